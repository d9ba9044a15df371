"""What people find who pick the project up: the wheel's files, the citation, the pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import c2vl

ROOT = Path(c2vl.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_data_file_of_the_package_goes_into_the_wheel() -> None:
    package = ROOT / "c2vl"
    data = {
        path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    globs = PROJECT["tool"]["setuptools"]["package-data"]["c2vl"]
    assert package / "py.typed" in data
    assert data == {path for glob in globs for path in package.glob(glob)}
    assert all((path.parent / "__init__.py").is_file() for path in package.rglob("*.py"))


def test_the_citation_names_this_version_its_licence_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == c2vl.__version__
    assert citation["license"] == PROJECT["project"]["license"] == "Apache-2.0"
    paper = citation["preferred-citation"]
    assert {"type", "title", "authors", "year", "doi"} <= set(paper)
    assert paper["url"] == PROJECT["project"]["urls"]["Paper"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_whatever_is_required_is_pinned() -> None:
    def name(requirement: str) -> str:
        found = re.match(r"[\w.-]+", requirement)
        assert found is not None, requirement
        return re.sub(r"[._-]+", "-", found[0]).lower()

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name(line) for line in lines if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"].values()
    required = {name(one) for one in PROJECT["project"]["dependencies"]}
    required |= {name(one) for extra in extras for one in extra} - {"c2vl"}
    assert required <= pinned, f"constraints.txt lacks {sorted(required - pinned)}"
