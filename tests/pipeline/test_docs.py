"""The Markdown pages: short lines, and links, paths and commands that exist."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from c2vl import commands
from c2vl.cli import command_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "docs/*.md",
        "published/*.md",
        "descriptions/*.md",
        "extensions/*.md",
        "truth/*.md",
        "tests/*.md",
    )
    for path in ROOT.glob(pattern)
)
LONGEST = 100  # columns
LINK = re.compile(r"\]\(([^)\s]+)\)")
MENTIONED = re.compile(r"(?<![\w./-])(?:c2vl|stages|tests|docs|bench|profiles)/[\w./*-]*[\w*]")
COMMAND = re.compile(r"(?<![\w./'-])c2vl ([a-z]+(?:-[a-z]+)*)")
TARGET = re.compile(r"(?<![\w./-])make ([a-z]+)")
RETIRED = (
    "measured anew",
    "said plainly",
    "who writes",
    "stated by",
    "sealed",
    " crew",
    "handover",
)

each_page = pytest.mark.parametrize("page", PAGES)


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def code_of(page: str) -> list[str]:
    """Inline code and lines of indented code blocks, without comments."""
    text = text_of(page)
    blocks = re.findall(r"(?m)^ {4,}(\S.*)$", text)
    inline = re.findall(r"`([^`]+)`", text)
    return [re.split(r"\s#\s", part)[0] for part in (*blocks, *inline)]


def anchors_of(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"(?m)^#+ (.+)$", text_of(page))
    return {re.sub(r"[^\w\s-]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"} <= set(PAGES)


@each_page
def test_lines_fit(page: str) -> None:
    long = {
        number: len(line)
        for number, line in enumerate(text_of(page).splitlines(), 1)
        if len(line) > LONGEST and not line.startswith(("|", "    ")) and not LINK.search(line)
    }
    assert not long, f"{page}: wrap these lines at {LONGEST} columns (line: length) {long}"


@each_page
def test_relative_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for target in LINK.findall(text_of(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (folder / path).resolve() if path else ROOT / page
        assert there.exists(), f"{page} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors_of(there.relative_to(ROOT).as_posix()), f"{page}: {target}"


@each_page
def test_paths_that_are_mentioned_exist(page: str) -> None:
    missing = {
        path
        for path in MENTIONED.findall(re.sub(r"\w+://\S+", "", text_of(page)))
        if not any(ROOT.glob(path))
    }
    assert not missing, f"{page} mentions {sorted(missing)}, which are not there"


@each_page
def test_commands_that_are_named_exist(page: str) -> None:
    modules = pkgutil.iter_modules(commands.__path__)
    known = {command_of(module.name) for module in modules if not module.ispkg}
    named = {name for part in code_of(page) for name in COMMAND.findall(part)}
    assert named <= known, f"{page}: `c2vl` has no command {sorted(named - known)}"


@each_page
def test_make_targets_that_are_named_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"(?m)^([a-z]+):", makefile))
    named = {name for part in code_of(page) for name in TARGET.findall(part)}
    assert named <= known, f"the Makefile has no target {sorted(named - known)}"


@each_page
def test_no_retired_phrase(page: str) -> None:
    text = " ".join(text_of(page).lower().split())
    assert not [phrase for phrase in RETIRED if phrase in text], page


# --- docs/architecture.md against the code ---

ARCHITECTURE = "docs/architecture.md"


def table_of(head: str) -> dict[str, set[str]]:
    """A two-column table by its head: the words of column 1, each with the set of column 2."""
    body = text_of(ARCHITECTURE).split(f"{head}\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    cells = [line.strip("|").split(" | ", 1) for line in body]
    return {name: set(re.findall(r"\w+", used)) for names, used in cells for name in words(names)}


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_layers_are_those_of_the_contract() -> None:
    block = text_of(ARCHITECTURE).split("## The layers", 1)[1].split("Rooms on one line", 1)[0]
    drawn = [
        set(re.sub(r"\(.*\)", "", line).split()) for line in block.splitlines() if line.strip()
    ]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [{name.rpartition(".")[2] for name in layer.split(" | ")} for layer in layers]
    assert drawn == [{"c2vl"} if layer == {"cli"} else layer for layer in names]


def test_rooms_import_what_the_page_says() -> None:
    stated = table_of("| room | imports |")
    for room in sorted({path.parent.name for path in (ROOT / "c2vl").glob("*/__init__.py")}):
        sources = [
            path.read_text(encoding="utf-8") for path in (ROOT / "c2vl" / room).rglob("*.py")
        ]
        found = {
            name
            for source in sources
            for name in re.findall(r"(?m)^\s*(?:from|import) c2vl\.(\w+)", source)
        }
        assert found - {room} == stated.get(room, set()), f"{ARCHITECTURE}: imports of {room}"


def test_stages_use_the_rooms_that_the_page_says() -> None:
    stated = table_of("| stages | uses beside `core` |")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        deps = [str(dep) for dep in stage.get("do", stage)["deps"]]
        rooms = {dep.split("/")[1] for dep in deps if dep.startswith("c2vl/")}
        assert rooms - {"core"} == stated[name], f"{ARCHITECTURE}: rooms of stage {name}"
