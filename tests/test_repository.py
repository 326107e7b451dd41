"""Laws of the repository itself: one version, pins that fit, nothing that holds on one machine only."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import anomalon

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "scripts", "src", "tests")
TEXT = {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".cff", ".j2", ".html", ".css", ".js", ".json", ".csv", ""}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# The pieces are joined here so that this file does not find itself.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w./-])/(work|root|home|Users|mnt)/",
    "the host of a package registry": "pypi" + r"\.org|python" + r"hosted\.|download" + r"\.pytorch",
    "a reference by a number of ours": r"\bsource " + r"\d{3}\b",
}


def text_files() -> list[Path]:
    inside = [f for folder in FOLDERS for f in (ROOT / folder).rglob("*") if "__pycache__" not in f.parts]
    top = [f for f in ROOT.iterdir() if f.name != ".git"]
    return sorted(f for f in [*top, *inside] if f.is_file() and f.suffix in TEXT)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_mentions(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in text_files()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a path of one machine", "open('/" + "home/me/a.root')"),
        ("the host of a package registry", "https://pypi" + ".org/simple"),
        ("a reference by a number of ours", "the features of source" + " 000"),
    ],
)
def test_what_must_not_be_mentioned_would_be_found(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == anomalon.__version__
    assert citation["license"] == PROJECT["project"]["license"]


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def of_the_package() -> list[Requirement]:
    extras = [line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in [*PROJECT["project"]["dependencies"], *extras]]


def of_the_tools() -> list[Requirement]:
    groups = [line for group in PROJECT["dependency-groups"].values() for line in group if isinstance(line, str)]
    return [Requirement(line) for line in [*groups, *PROJECT["build-system"]["requires"]]]


@pytest.mark.parametrize("requirement", [*of_the_package(), *of_the_tools()], ids=lambda r: r.name)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)], prereleases=True)


def test_pins_hold_on_any_index() -> None:
    assert not [f"{name}=={version}" for name, version in pins().items() if Version(version).local]


def third_party_imports() -> Iterator[tuple[str, Path]]:
    for file in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            roots = {name.split(".")[0] for name in names}
            yield from ((root, file) for root in roots - sys.stdlib_module_names - {"anomalon"})


def test_every_import_is_a_declared_dependency() -> None:
    """A package that is there only because another one brought it can leave at any release."""
    declared = {canonicalize_name(requirement.name) for requirement in of_the_package()}
    owners = packages_distributions()
    undeclared = {
        f"{file.relative_to(ROOT)} imports {root}"
        for root, file in third_party_imports()
        if not declared & {canonicalize_name(owner) for owner in owners.get(root, [root])}
    }
    assert not undeclared


def test_links_between_documents_lead_somewhere() -> None:
    documents = [file for file in text_files() if file.suffix == ".md"]
    links = [
        (file, link)
        for file in documents
        for link in re.findall(r"\]\(([^)#\s]+)", file.read_text(encoding="utf-8"))
        if "://" not in link and not link.startswith("mailto:")
    ]
    assert not [f"{file.relative_to(ROOT)}: {link}" for file, link in links if not (file.parent / link).exists()]


def test_continuous_integration_can_be_executed() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


needs_make = pytest.mark.skipif(not (shutil.which("make") and shutil.which("bash")), reason="needs make and bash")


@needs_make
def test_make_explains_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("install", "search", "test", "bench", "lint", "clean"):
        assert re.search(rf"^  make {target} +\w", shown, re.MULTILINE), target


@needs_make
def test_an_old_python_is_refused_in_one_line_before_anything_is_made(tmp_path: Path) -> None:
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "install", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "needs Python 3.11 or newer" in result.stderr
    assert "Python 3.8.2" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_size_report_names_every_aim() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "size_report.py")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for row in ("median", "90th percentile", "longest", "longest file", "most parameters", "tests : code"):
        assert re.search(rf"^{row} +[\d.]+", shown, re.MULTILINE), row


def test_the_benchmarks_refuse_an_unknown_name() -> None:
    command = [sys.executable, "-m", "benchmarks", "no-such-benchmark"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "no benchmark no-such-benchmark; allowed: " in result.stderr
