"""What recipes share: filmed clips, a sample store, and a clean clone with quick stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import recipe_data
from recipes import settings
from whole_project import Project, copy_of_the_working_tree


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recipe_data.film(tmp_path_factory.mktemp("filmed"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample store for all recipes, so that the same crops are captioned once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def project(tmp_path: Path, python: Path, store: Path) -> Project:
    """A clean clone; its stages start quickly."""
    made = copy_of_the_working_tree(tmp_path / "project")
    made.environment |= settings(python, store)
    return made
