"""Prompts of a split whose sentences are about whole clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core import tables
from c2vl.core.tables.schemas import feature
from c2vl.models.prompt_features import NoPromptsError, load_prompts
from c2vl.models.read_prompts import of_clips, read_prompts

torch = pytest.importorskip("torch")

WIDTH = 4
KINDS = ("vision", "language")
# Clips with both crops and a sentence, with one crop, without a sentence, and without any crop.
CROPS = {"whole": "oo", "partly": "xo", "silent": "oo", "empty": "xx"}
SAID = {"whole", "partly"}


def vector(sample: str, k: int | None) -> np.ndarray:
    """A feature of its own for each prompt."""
    seed = [list(CROPS).index(sample), 9 if k is None else k]
    return np.random.default_rng(seed).normal(size=WIDTH).astype(np.float16)


def row(sample: str, k: int | None, ok: bool) -> dict[str, Any]:
    made = {"sample": sample, "k": k, "status": "ok", "reason": ""}
    if ok:
        return made | {"feature": vector(sample, k)}
    return made | {"status": "no_crop", "reason": "damaged", "feature": None}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Features of crops, and of one sentence a clip."""
    vision = [row(one, k, mark == "o") for one in CROPS for k, mark in enumerate(CROPS[one])]
    language = [row(one, None, one in SAID) for one in CROPS]
    for kind, rows in (("vision", vision), ("language", language)):
        folder = tmp_path / "embed" / kind
        folder.mkdir(parents=True)
        tables.write(folder / "S001C001.parquet", tables.table_of(rows, feature(WIDTH)))
    return tmp_path


def test_a_sentence_stands_beside_each_usable_crop_of_its_clip(data: Path) -> None:
    assert of_clips(data / "embed/language") and not of_clips(data / "embed/vision")
    prompts = read_prompts(data, list(CROPS), KINDS, "cpu")
    assert prompts.valid.tolist() == [[True, True], [False, True], [False] * 2, [False] * 2]
    assert prompts.usable().tolist() == [0, 1]
    for number, sample in enumerate(("whole", "partly")):
        for k in np.flatnonzero(prompts.valid[number]):
            at = torch.tensor([number]), torch.tensor([int(k)])
            assert prompts.at("vision", *at)[0].tolist() == vector(sample, int(k)).tolist()
            assert prompts.at("language", *at)[0].tolist() == vector(sample, None).tolist()


@pytest.mark.parametrize("how", ["mean", "random"])
def test_both_ways_to_take_prompts_give_the_sentence_of_the_clip(data: Path, how: Any) -> None:
    prompts = read_prompts(data, list(CROPS), KINDS, "cpu")
    taken = prompts.take(torch.tensor([0, 1]), how, torch.Generator().manual_seed(0))
    for number, sample in enumerate(("whole", "partly")):
        said = vector(sample, None).astype(np.float32)
        np.testing.assert_allclose(
            taken["language"][number], said / np.linalg.norm(said), atol=1e-6
        )
    seen = vector("partly", 1).astype(np.float32)  # its only crop
    np.testing.assert_allclose(taken["vision"][1], seen / np.linalg.norm(seen), atol=1e-6)


def test_one_kind_alone(data: Path) -> None:
    assert read_prompts(data, list(CROPS), ["language"], "cpu").valid.shape == (4, 1)
    alone = read_prompts(data, list(CROPS), ["vision"], "cpu")
    assert alone.valid.equal(load_prompts(data, list(CROPS), ["vision"], "cpu").valid)
    with pytest.raises(NoPromptsError, match="no usable vision and language prompt"):
        read_prompts(data, ["silent"], KINDS, "cpu")
