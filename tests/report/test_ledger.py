"""The ledger: verdicts by their rules, dashes with reasons, the formats people use, the command."""

from __future__ import annotations

import csv
import io
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cli import main
from bench.errors import FewstepError, RecordError, UsageError
from bench.published.tables import published
from bench.record import Record
from bench.report.frame import groups
from bench.report.ledger.figure7 import answers, figure7, rate
from bench.report.ledger.figure11 import curve, figure11
from bench.report.ledger.find import look, miniature
from bench.report.ledger.ledger import ENTRIES, Sources, ledger
from bench.report.ledger.lines import Entry, Line, valued
from bench.report.ledger.names import NAMES
from bench.report.ledger.order import changes
from bench.report.ledger.studies import study
from bench.report.ledger.table1 import Ablated, table1
from bench.report.ledger.table2 import table2
from bench.report.ledger.verdict import CANNOT_TELL, PAPER_TIES, Change, by_order, by_value
from bench.report.ledger.write import entry_csv, entry_latex, entry_markdown, files, summary_markdown
from methods.interface import Recipe
from methods.recipes import write_recipe

N = 200
GAN_RECIPE = Recipe(scheduler="none", guidance="none", allowed_steps=(1, 1))
SURE = Change(-2.0, -3.0, -1.0, told=True)


@pytest.mark.parametrize(
    ("published_delta", "ours", "kind", "reason"),
    [
        (-5.0, SURE, "reproduced", ""),
        (5.0, SURE, "differs", ""),
        (-0.3, SURE, "not comparable", PAPER_TIES),
        (0.3, SURE, "not comparable", PAPER_TIES),
        (-0.31, SURE, "reproduced", ""),
        (-5.0, replace(SURE, told=False), "not comparable", CANNOT_TELL),
    ],
)
def test_a_verdict_by_order(published_delta: float, ours: Change, kind: str, reason: str) -> None:
    assert by_order(published_delta, 0.3, ours).kind == kind
    assert by_order(published_delta, 0.3, ours).reason == reason


def test_a_verdict_by_value_gives_the_paper_our_standard_error() -> None:
    """20.0 [19.0, 21.0] against a print to 0.1: the interval of the difference is 1.414, and 0.05 for the digits."""
    for value, kind in ((21.4, "reproduced"), (18.6, "reproduced"), (21.5, "differs"), (18.5, "differs")):
        assert by_value(value, 0.05, 20.0, 19.0, 21.0).kind == kind


def cell(make: SimpleNamespace, method: str, steps: int, level: float, latency: float = 0.01, seed: int = 0) -> Record:
    """A measured cell whose every image is about `level` good: a higher CLIP score, a lower distance."""
    rng = random.Random(f"{method}{steps}{seed}")
    clip = tuple(level + rng.gauss(0, 1) for _ in range(N))
    distance = tuple(30 - level + rng.gauss(0, 1) for _ in range(N))
    wins = tuple(float(rng.random() < level / 30) * 100 for _ in range(N))
    return make.record(
        method, steps,
        (
            make.quantity("fd-shapes", sum(distance) / N, 0.15),
            make.quantity("clip-shapes", sum(clip) / N, 0.15, higher=True),
            make.quantity("preference", sum(wins) / N, 5.0, higher=True, unit="%"),
            make.quantity("latency_s", latency, latency * 0.02, unit="s"),
        ),
        {"fd-shapes": distance, "clip-shapes": clip, "preference": wins, "preference_score": clip},
    )  # fmt: skip


@pytest.fixture
def bench(make: SimpleNamespace) -> list[Record]:
    """ADD is better than PD, worse than LCM-LoRA; UFOGen failed and CFG-aware distillation was refused."""
    return [
        cell(make, "add", 1, 20, 0.010), cell(make, "add", 4, 24, 0.030), cell(make, "pd", 1, 15, 0.010),
        cell(make, "pd", 4, 22, 0.030), cell(make, "lcm-lora", 4, 22, 0.030), cell(make, "sdxl-euler", 50, 20, 0.4),
        cell(make, "gan", 1, 10, 0.009),
        make.missing("ufogen", 1, "failed", "weights | of 50 % <b>lost</b>"),
        make.missing("cfg-aware", 8, "unsupported", "no such steps"),
    ]  # fmt: skip


def line(entry: Entry, part: str, *heads: str) -> Line:
    found = next(item for item in entry.parts if item.slug == part)
    return next(item for item in found.lines if item.heads[-len(heads) :] == heads)


def test_table_2_holds_each_row_against_add(bench: list[Record]) -> None:
    entry = table2(groups(bench))
    pd = line(entry, "table2-fd-shapes", "Progressive Distillation", "1")
    assert (pd.published, pd.published_difference, pd.verdict.kind) == ("37.2", "+17.5", "reproduced")
    assert pd.difference.startswith("+5.")
    assert pd.ours.record is not None
    better = line(entry, "table2-clip-shapes", "Progressive Distillation", "4")
    assert (better.published_difference, better.verdict.kind) == ("-0.026", "differs")
    time = line(entry, "table2-latency_s", "Progressive Distillation", "4")
    assert time.verdict.kind == "reproduced"
    same = line(entry, "table2-latency_s", "Progressive Distillation", "1")
    assert same.verdict.reason == PAPER_TIES


def test_what_is_missing_is_a_dash_with_its_reason(bench: list[Record]) -> None:
    entry = table2(groups(bench))
    reasons = {
        ("DPM Solver", "25"): "not measured",
        ("UFOGen", "1"): "failed: weights | of 50 % <b>lost</b>",
        ("CFG-Aware Distillation", "8"): "unsupported: no such steps",
        ("InstaFlow-1.7B", "1"): "its stacked network of twice the size was not published and is not trained here",
    }
    for heads, reason in reasons.items():
        found = line(entry, "table2-fd-shapes", *heads)
        assert (found.ours.text, found.ours.reason, found.verdict.reason) == ("–", reason, reason)
    empty = table2(())
    assert {item.ours.text for item in empty.lines} == {"–"}
    assert {item.verdict.kind for item in empty.lines} == {"not comparable"}


def test_without_add_there_is_nothing_to_hold_a_row_against(bench: list[Record]) -> None:
    entry = table2(groups([item for item in bench if item.cell.method != "add"]))
    found = line(entry, "table2-fd-shapes", "Progressive Distillation", "1")
    assert found.ours.text != "–"
    assert "ADD-M is not measured here" in found.verdict.reason


def test_guided_off_recipe_and_other_groups_are_no_counterparts(make: SimpleNamespace, bench: list[Record]) -> None:
    """Records of another machine setting, guidance or recipe are split or left out, never averaged in."""
    pd = next(item for item in bench if item.cell.method == "pd" and item.cell.num_inference_steps == 1)
    rest = [item for item in bench if item is not pd]
    for change in ({"guidance_scale": 3.0}, {"off_recipe": True}, {"device": "cuda"}, {"limit": 100}, {"seed": 1}):
        moved = replace(pd, cell=replace(pd.cell, **change))
        group = miniature(groups([*rest, moved]))
        assert look(group, "pd", 1).record is None, change
    assert look(miniature(groups(bench)), "pd", 1).record is pd


def test_a_released_checkpoint_is_compared_by_value(make: SimpleNamespace, bench: list[Record]) -> None:
    full = make.record(
        "sd15-dpm", 25,
        (make.quantity("fid", 20.3, 0.4), make.quantity("clip-score", 31.0, 0.1, higher=True)),
        suite="coco2017-5k", family="sd15",
    )  # fmt: skip
    entry = table2(groups([*bench, full]))
    fid = line(entry, "table2-full-fid", "DPM Solver", "25")
    clip = line(entry, "table2-full-clip_score", "DPM Solver", "25")
    assert (fid.published, fid.ours.whole, fid.verdict.kind) == ("20.1", "20.30 [19.90, 20.70]", "reproduced")
    assert (clip.published, clip.verdict.kind) == ("0.318", "differs")  # 0.310 +- 0.0014


def test_studies_ask_who_is_preferred(bench: list[Record]) -> None:
    entry = study(groups(bench), "5")
    assert line(entry, "figure5-quality", "StyleGAN-T++", "1").verdict.kind == "reproduced"
    assert line(entry, "figure5-quality", "LCM-XL", "4").verdict.kind == "differs"
    assert line(entry, "figure5-alignment", "SDXL 1.0 Base", "50").verdict.reason == PAPER_TIES  # 48.0 of 400 votes
    assert line(entry, "figure5-quality", "OpenMUSE", "16").ours.text == "–"
    assert all(not item.detail for item in entry.lines)  # the judge's scores are there: every vote is decided
    assert {item.verdict.kind for item in study(groups(bench), "9").lines} == {"not comparable"}


def test_figure_7_rates_those_who_are_there(bench: list[Record]) -> None:
    found = answers(groups(bench))
    rated = rate([item.record for item in found.values() if item.record is not None])
    assert rated is not None
    entry = figure7(groups(bench), rated, found)
    assert line(entry, "figure7-elo", "ADD-XL", "1").verdict.kind == "reproduced"
    assert line(entry, "figure7-elo", "LCM-XL", "4").verdict.kind == "reproduced"
    assert "held against it" in line(entry, "figure7-elo", "ADD-XL", "4").verdict.reason
    assert rate([bench[0]]) is None
    alone = figure7((), None, answers(()))
    assert {item.ours.text for item in alone.lines} == {"–"}


def test_figure_7_compares_a_time_by_value_only_where_the_model_ran_on_an_a100(make: SimpleNamespace) -> None:
    def timed(processor: str) -> Line:
        item = make.record(
            "add", 1, (make.quantity("latency_s", 0.112, 0.002, unit="s", processor=processor),),
            family="sdxl", device="cuda", dtype="float16", height=512, width=512,
        )  # fmt: skip
        found = groups([item])
        return line(figure7(found, None, answers(found)), "figure7-time", "ADD-XL", "1")

    assert timed("NVIDIA A100-SXM4-80GB").verdict.kind == "reproduced"
    other = timed("NVIDIA H200")
    assert other.verdict.reason == "an A100 there, NVIDIA H200 here"
    assert other.ours.text == "0.1120"


def truncated(make: SimpleNamespace, psi: float, level: float) -> Record:
    item = cell(make, "gan", 1, level, seed=round(10 * psi))
    return replace(item, provenance={"recipe": {"scheduler_config": {"truncation_psi": psi}}})


def test_figure_11_compares_whole_curves(make: SimpleNamespace) -> None:
    found = curve([truncated(make, 0.3, 12), truncated(make, 1.0, 10), truncated(make, 0.7, 11)])
    entry = figure11(found)
    assert line(entry, "figure11-clip-shapes", "StyleGAN-T++").verdict.kind == "reproduced"  # CLIP rises in both
    assert line(entry, "figure11-fd-shapes", "StyleGAN-T++").verdict.kind == "differs"  # ours falls, the paper's rises
    assert "two truncations" in line(figure11(found[:1]), "figure11-fd-shapes", "StyleGAN-T++").ours.reason
    assert line(entry, "figure11-fd-shapes", "GigaGAN").ours.text == "–"


def test_figure_11_does_not_mind_how_fast_its_points_were_made(make: SimpleNamespace) -> None:
    def timed(psi: float, threads: str) -> Record:
        item = truncated(make, psi, 10)
        speed = make.quantity("latency_s", 0.1, unit="s", threads=threads)
        return replace(item, quantities=(*item.quantities, speed))

    assert len(curve([timed(0.3, "1"), timed(1.0, "2")])) == 2
    other = truncated(make, 0.5, 10)
    score = replace(other.quantities[0], protocol={"extractor": "another"})
    with pytest.raises(RecordError, match="extractor"):
        curve([timed(1.0, "2"), replace(other, quantities=(score, *other.quantities[1:]))])


def test_table_1_holds_each_setting_against_its_default(make: SimpleNamespace) -> None:
    item = make.record("add", 1)
    here = valued(5.0, 4.0, 6.0, 1, item)

    def row(change: Change | None) -> Ablated:
        moved = {} if change is None else {"fd-shapes": change, "clip-shapes": change}
        return Ablated({"fd-shapes": here, "clip-shapes": here}, moved)

    entry = table1({
        ("c", "random"): row(Change(90.0, 80.0, 100.0, told=True)), ("c", "pretrained"): row(None),
        ("f", "2"): row(SURE), ("a", "ViT-L CLIP"): Ablated({}, {}, "1 of 3 training seeds"),
    })  # fmt: skip
    assert line(entry, "table1c-fd-shapes", "random").verdict.kind == "reproduced"
    assert line(entry, "table1c-clip-shapes", "random").verdict.kind == "differs"
    assert line(entry, "table1f-fd-shapes", "2").verdict.reason == PAPER_TIES
    assert line(entry, "table1a-fd-shapes", "ViT-L CLIP").ours.reason == "1 of 3 training seeds"
    assert line(entry, "table1b-fd-shapes", "text").ours.reason == "not measured"
    assert len(entry.lines) == 2 * len(published("table1"))


def test_a_difference_of_distances_is_told_image_by_image(make: SimpleNamespace) -> None:
    """The values' own intervals overlap; image by image the difference is plain."""
    base = make.record("add", 1, (make.quantity(value=10.0, half=3.0),), {"fd-shapes": tuple(range(N))})
    other = make.record(
        "lcm", 1, (make.quantity(value=9.0, half=3.0),), {"fd-shapes": tuple(x - 1.0 for x in range(N))}
    )
    found = changes([base, other], base, "fd-shapes")[other.cell.name]
    assert (found.value, found.told) == (-1.0, True)
    unpaired = replace(other, per_image={})
    assert changes([base, unpaired], base, "fd-shapes")[other.cell.name].told is False


@pytest.fixture
def sources(bench: list[Record], make: SimpleNamespace, tmp_path: Path) -> Sources:
    from bench.report.sheets import read_prompts, read_sheets

    results = make.write_results(tmp_path / "results", bench)
    found = groups(bench)
    sheets = {group.slug: read_sheets(results, group.measured) for group in found}
    return Sources(results, bench, found, sheets, read_prompts(results))


def test_every_table_and_figure_of_the_paper_is_there_and_repeats_byte_for_byte(sources: Sources) -> None:
    assert tuple(ENTRIES) == tuple(sorted(NAMES, key=list(ENTRIES).index))
    assert set(ENTRIES) == set(NAMES)
    entries = ledger(sources)
    first = {name: data for entry in entries for name, data in files(entry).items()}
    again = {name: data for entry in ledger(sources, ("table2", "figure7")) for name, data in files(entry).items()}
    assert {name: first[name] for name in again} == again
    assert {"tables/table2.md", "tables/table2.tex", "figures/figure7-ratings.svg"} <= set(again)
    assert all(entry.verdicts for entry in entries)
    text = summary_markdown(entries)
    assert all(entry.title in text for entry in entries)
    assert {"figures/figure5-votes.svg", "figures/figure5-votes.png"} <= set(first)


def test_the_formats_agree_and_escape(bench: list[Record]) -> None:
    entry = table2(groups(bench))
    rows = list(csv.DictReader(io.StringIO(entry_csv(entry))))
    assert len(rows) == len(entry.lines) == 3 * len(published("table2"))
    assert {row["verdict"] for row in rows} == {"reproduced", "differs", "not comparable"}
    markdown = entry_markdown(entry)
    assert "| **reproduced** |" in markdown
    assert "&lt;b>lost" in markdown
    assert "<b>" not in markdown
    columns = {row.count(" | ") for row in markdown.splitlines() if row.startswith("| DPM Solver")}
    assert columns == {6}
    latex = entry_latex(entry)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 3
    body = [row for row in latex.splitlines() if row.endswith(r"\\")]
    assert {row.replace(r"\&", "").count("&") for row in body} == {6}
    assert not any("%" in row.replace(r"\%", "") for row in body)


def test_the_best_is_marked_only_where_it_is_beyond_doubt(make: SimpleNamespace) -> None:
    clear = table2(groups([cell(make, "add", 1, 20), cell(make, "pd", 1, 15)]))
    assert line(clear, "table2-fd-shapes", "ADD-M", "1").ours.best
    assert r"\textbf{" in entry_latex(clear)
    tie = table2(groups([cell(make, "add", 1, 20), cell(make, "pd", 1, 20)]))
    assert not any(item.ours.best for item in tie.parts[0].lines)


def test_the_command_shows_and_writes_what_is_asked_for(sources: Sources, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table2", "figure5", "--from", str(sources.results)]) == 0
    shown, told = capsys.readouterr()
    assert shown.startswith("# Table 2")
    assert "# Figure 5" in shown
    assert "reproduced" in told
    written = {path.name for path in (sources.results / "report").rglob("*.*")}
    assert {"table2.md", "table2.csv", "table2.tex", "figure5.md", "figure5-votes.png", "figure5-votes.svg"} <= written
    assert "table1.md" not in written


def test_the_command_says_what_makes_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table9"]) == 2
    assert "there is no 'table9' in the paper; use table1" in capsys.readouterr().err
    assert main(["reproduce", "--from", str(tmp_path)]) == 2
    assert "make some with `python -m bench run" in capsys.readouterr().err


def test_showing_imports_no_torch(sources: Sources) -> None:
    code = (
        f"import sys; from bench.cli import main; main(['reproduce', 'table2', '--from', {str(sources.results)!r}])\n"
    )
    code += "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_run_as_any_other_cell(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.commands import reproducing

    assert ("pd", 2) in reproducing.missing(["table2"], sources.results)
    assert ("add", 1) not in reproducing.missing(["table2"], sources.results)
    assert reproducing.missing(["figure7"], sources.results) == []
    assert reproducing.missing(["table1", "figure2"], sources.results) == []
    ran: list[list[str]] = []
    monkeypatch.setattr(reproducing, "_run", lambda command: ran.append(command) or 0)
    assert reproducing.run_missing(["table2"], sources.results) == 0
    commands = {command[1]: command for command in ran}
    assert commands["sdxl-dpm"][3] == "25,8"
    settings = [
        "--suite",
        "shapes",
        "--limit",
        "40",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--batch-size",
        "20",
        "--seed",
        "0",
    ]
    assert all(command[-len(settings) :] == settings for command in ran)  # so that new cells join the group

    def refuse(command: list[str]) -> int:
        raise UsageError("no")

    monkeypatch.setattr(reproducing, "_run", refuse)
    assert reproducing.run_missing(["table2"], sources.results) == 2


def test_the_gan_is_run_at_every_truncation_that_is_missing(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.commands import reproducing, truncating
    from methods.recipes import read_recipe
    from tests.tiny import write_tiny_gan

    folder = write_tiny_gan(tmp_path / "tiny")
    write_recipe(folder, GAN_RECIPE)
    monkeypatch.setattr(truncating, "checkpoint", lambda: folder)
    seen: dict[str, object] = {}

    def run(command: list[str]) -> int:
        options = dict(zip(command[::2], command[1::2], strict=True))
        assert (options["--methods"], options["--limit"]) == ("gan", "40")
        if "--weights" in options:
            given = Path(options["--weights"].removeprefix("gan="))
            found = read_recipe(given)
            assert found is not None
            seen[Path(options["--out"]).name] = found.scheduler_config["truncation_psi"]
            (Path(options["--out"]) / "records").mkdir(parents=True)
            (Path(options["--out"]) / "records" / "gan.json").write_text("{}")
        return 0

    monkeypatch.setattr(reproducing, "_run", run)
    assert reproducing.run_missing(["figure11"], sources.results) == 0
    assert seen == {f"{psi:g}": psi for psi in truncating.PSIS}
    seen.clear()
    monkeypatch.setattr(reproducing, "missing", lambda *_: [])
    assert reproducing.run_missing(["figure11"], sources.results) == 0
    assert seen == {}
    assert read_recipe(folder) == GAN_RECIPE  # as it was


def test_weights_are_handed_to_what_is_run_with_them(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.commands import reproducing, truncating
    from tests.tiny import write_tiny_gan

    folder = write_tiny_gan(tmp_path / "tiny")
    write_recipe(folder, GAN_RECIPE)
    monkeypatch.setattr(truncating, "checkpoint", lambda: tmp_path / "not this one")
    ran: list[dict[str, str]] = []
    monkeypatch.setattr(
        reproducing, "_run", lambda command: ran.append(dict(zip(command[::2], command[1::2], strict=True))) or 0
    )
    assert reproducing.run_missing(["figure11"], sources.results, {"gan": str(folder)}) == 0
    assert len(ran) == len(truncating.PSIS)  # of copies of the folder; the suite's own is not looked for
    assert all(command["--weights"].endswith("/gan") for command in ran)
    ran.clear()
    assert reproducing.run_missing(["table2"], sources.results, {"pd": "mine"}) == 0
    assert {command["--methods"]: command.get("--weights") for command in ran}.pop("pd") == "pd=mine"
    assert [command for command in ran if "--weights" in command and command["--methods"] != "pd"] == []
    assert (
        reproducing.run_missing(["figure11"], sources.results, {"gan": str(tmp_path / "none")})
        == FewstepError("x").exit_code
    )
    assert "there is no folder" in capsys.readouterr().err
    assert main(["reproduce", "--no-run", "--weights", "gan=x"]) == 2
    assert "--weights is for what is run" in capsys.readouterr().err


def test_without_a_gan_the_truncations_are_an_error_of_one_line(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.commands import reproducing, truncating

    def none(_psi: object = None) -> Path:
        raise FewstepError("figure11: the suite has no GAN")

    monkeypatch.setattr(truncating, "checkpoint", none)
    monkeypatch.setattr(reproducing, "_run", lambda _: 0)
    assert reproducing.run_missing(["figure11"], sources.results) == FewstepError("x").exit_code
    assert "error: figure11: the suite has no GAN" in capsys.readouterr().err
