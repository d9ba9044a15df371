"""Read the prompts of a split: sentences about frames, or about whole clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor

from c2vl.core import tables
from c2vl.core.tables.schemas import OK
from c2vl.models.prompt_features import NoPromptsError, Prompts, load_prompts


def read_prompts(
    data: Path, samples: Sequence[str], kinds: Sequence[str], device: torch.device | str
) -> Prompts:
    """Load the features of `samples` from `data/embed/<kind>`, as `load_prompts`.

    A sentence about a whole clip (`k` is null) belongs to each of the clip's usable crops.

    Raises:
        NoPromptsError: none of the samples has a prompt.
        UserError: a table is missing.
    """
    folder = data / "embed" / "language"
    if "language" not in kinds or not of_clips(folder):
        return load_prompts(data, samples, kinds, device)
    sentences, valid = _sentences(folder, samples)  # (N, 1, width), (N, 1)
    features = {"language": sentences}
    if "vision" in kinds:
        crops = load_prompts(data, samples, ["vision"], "cpu")
        count = crops.valid.shape[1]
        valid = valid & crops.valid
        vision = crops.features["vision"].tensor
        features = {
            "vision": vision.unflatten(0, (len(samples), count)),
            "language": sentences.expand(-1, count, -1),
        }
    if not valid.any():
        raise NoPromptsError(
            f"{data / 'embed'} has no usable {' and '.join(kinds)} prompt for this split; "
            "look at its `reason` column."
        )
    return Prompts({kind: features[kind] for kind in kinds}, valid, device)


def of_clips(folder: Path) -> bool:
    """Whether the prompts of a table are about whole clips; False for one without rows."""
    for _, table in tables.shards(folder, ["k"]):
        if len(table):
            return bool(table["k"].null_count)
    return False


def _sentences(folder: Path, samples: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Features (N, 1, width) float16, zero where missing, and presence (N, 1)."""
    position = {sample: row for row, sample in enumerate(samples)}
    features: np.ndarray | None = None
    valid = np.zeros((len(samples), 1), dtype=bool)
    for _, table in tables.shards(folder, ["sample", "feature", "status"]):
        table = table.filter(pc.equal(table["status"], OK))
        row = np.array([position.get(sample, -1) for sample in table["sample"].to_pylist()], int)
        values = tables.vectors(table.filter(row >= 0)["feature"])
        if features is None:
            features = np.zeros((len(samples), 1, values.shape[1]), dtype=np.float16)
        row = row[row >= 0]
        features[row, 0], valid[row, 0] = values, True
    assert features is not None  # `of_clips` saw a row
    return torch.from_numpy(features), torch.from_numpy(valid)
