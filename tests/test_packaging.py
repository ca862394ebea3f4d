"""What is installed, pinned and promised agrees: ranges, constraints, imports, commands, package data."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
OWN = {"bench", "methods"}
FIRST_RUN = "python -m pip install -c constraints.txt -e . && python -m bench run --methods add,lcm --steps 1,4"
TESTS = "python -m pip install -c constraints.txt tox && python -m tox"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    data: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return data


def requirements(*extras: str) -> list[Requirement]:
    data = project()
    lines = [*data["dependencies"], *(line for extra in extras for line in data["optional-dependencies"][extra])]
    return [item for item in map(Requirement, lines) if item.name != data["name"]]


def constraints(text: str) -> dict[str, str]:
    """Package -> pinned version; raises ValueError for a line that is not `name==version`."""
    pins: dict[str, str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[canonicalize_name(name)] = version
    return pins


PINS = constraints(read("constraints.txt"))


@pytest.mark.parametrize("item", requirements(*project()["optional-dependencies"]), ids=lambda item: item.name)
def test_every_range_holds_the_version_that_was_tested(item: Requirement) -> None:
    assert canonicalize_name(item.name) in PINS, "not in constraints.txt"
    assert item.specifier, "a dependency has a range"
    assert item.specifier.contains(PINS[canonicalize_name(item.name)])


def test_a_range_that_the_tested_version_leaves_is_seen() -> None:
    assert not SpecifierSet("<1.18").contains("1.18.0")
    with pytest.raises(ValueError, match="not enough values"):
        constraints("torch @ file:///wheels/torch.whl")


def test_constraints_name_no_place() -> None:
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.+!]*", version) for version in PINS.values())
    assert "scipy" in PINS
    assert SpecifierSet("<1.18").contains(PINS["scipy"])


def imported(package: str) -> set[str]:
    """Top-level names that the modules of `package` import."""
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(OWN))
def test_every_import_is_a_declared_dependency(package: str) -> None:
    declared = {canonicalize_name(item.name) for item in requirements("parity", "energy")}
    distributions = packages_distributions()
    foreign = imported(package) - OWN - set(sys.stdlib_module_names)
    assert "torch" in foreign
    missing = {
        name
        for name in foreign
        if not {canonicalize_name(found) for found in distributions.get(name, [name])} & declared
    }
    assert not missing


def test_the_commands_of_the_readme_are_the_ones_that_run() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", read("README.md"), re.S)
    commands = [line.strip() for block in blocks for line in block.splitlines()]
    assert FIRST_RUN in commands
    assert TESTS in commands
    assert TESTS in read(".ci/run").splitlines()
    assert f"- run: {TESTS}" in [line.strip() for line in read(".github/workflows/ci.yml").splitlines()]


def test_the_readme_has_one_place_for_generated_results() -> None:
    text = read("README.md")
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1
    assert text.index("<!-- results:begin -->") < text.index("<!-- results:end -->")


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_changelog_tells_of_numbers() -> None:
    assert re.search(r"^### Numbers$", read("CHANGELOG.md"), re.M)


def test_both_packages_say_that_they_are_typed() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in OWN)


@pytest.mark.slow
def test_a_wheel_holds_everything_the_main_job_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("fewstep_bench-*.whl"))) as wheel:
        names = set(wheel.namelist())
    stored = {
        path.relative_to(ROOT).as_posix()
        for package in OWN
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert stored <= names
    assert not [name for name in names if name.startswith("tests/")]
