"""Name tables and facts of the fakes. Imports no torch, so that a test can show what a command does not import."""

from __future__ import annotations

from bench.suites.info import SuiteInfo
from methods.names import NameTable

INFO = SuiteInfo(
    name="toy",
    title="toy",
    prompts=12,
    default_limit=12,
    metrics=("brightness", "spread"),
    image_size=4,
)

METHODS = NameTable(
    "method",
    {
        "add": ("tests.harness.fakes:FakeADD", "one"),
        "lcm": ("tests.harness.fakes:FakeLCM", "two"),
        "guided": ("tests.harness.fakes:FakeGuided", "three"),
    },
    "fewstep.tests.none",
)
METRICS = NameTable(
    "metric",
    {
        "brightness": ("tests.harness.fakes:Brightness", "mean brightness"),
        "spread": ("tests.harness.fakes:Spread", "spread of features"),
        "hungry": ("tests.harness.fakes:Hungry", "needs many images"),
        "choosy": ("tests.harness.fakes:Choosy", "works for seed 0 only"),
        "broken": ("tests.harness.fakes:Broken", "never works"),
    },
    "fewstep.tests.none",
)
SUITES = NameTable("suite", {"toy": ("tests.harness.fakes:ToySuite", "a toy")}, "fewstep.tests.none")
SUITE_INFOS = NameTable("suite", {"toy": ("tests.harness.tables:INFO", "a toy")}, "fewstep.tests.none")


def install(monkeypatch: object) -> None:
    """Put the fakes in place of the real tables; `monkeypatch` is pytest's, or has its `setattr`."""
    import bench.registry
    import methods.registry

    set_attribute = monkeypatch.setattr  # type: ignore[attr-defined]
    set_attribute(methods.registry, "METHODS", METHODS)
    set_attribute(bench.registry, "METRICS", METRICS)
    set_attribute(bench.registry, "SUITES", SUITES)
    set_attribute(bench.registry, "SUITE_INFOS", SUITE_INFOS)
