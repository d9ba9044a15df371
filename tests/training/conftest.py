"""Clips and prompts of a small synthetic data set, shared by the tests of trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import BENCHMARK, write_data

from c2vl.models.clips import Clips, load_clips
from c2vl.models.prompt_features import Prompts, load_prompts


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def clips(data: Path) -> Clips:
    return load_clips(data, BENCHMARK, "train", "cpu")


@pytest.fixture(scope="module")
def prompts(data: Path, clips: Clips) -> Prompts:
    return load_prompts(data, clips.samples, ("vision", "language"), "cpu")
