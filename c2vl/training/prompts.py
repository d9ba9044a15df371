"""The knowledge prompts of a split as features on the device: K a clip and kind, some of them missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize

from c2vl import tables
from c2vl.errors import UserError


@dataclass(frozen=True)
class Prompts:
    """Features of N clips' prompts.

    `features` by kind (vision, language): (N, K, width) float16, zero where missing; `valid`: (N, K) bool, whether
    prompt k of a clip is there in *every* kind, because an image and its answer belong together.
    """

    features: dict[str, Tensor]
    valid: Tensor

    @property
    def widths(self) -> dict[str, int]:
        """Width of the features by kind."""
        return {kind: features.shape[2] for kind, features in self.features.items()}

    def usable(self) -> Tensor:
        """Indices (int64) of the clips with at least one prompt; the others cannot be trained on."""
        return self.valid.any(1).nonzero().squeeze(1)

    def take(self, rows: Tensor, how: Literal["random", "mean"], generator: torch.Generator) -> dict[str, Tensor]:
        """Unit features of one prompt for each of the clips `rows` (B,), (B, width) float32 by kind.

        `random`: one of a clip's valid prompts, equally likely, the same k in every kind. `mean`: the mean of the
        unit features of all of them.
        """
        valid = self.valid[rows]
        if how == "mean":
            weights = valid / valid.sum(1, keepdim=True)
            unit = {kind: normalize(features[rows].float(), dim=2) for kind, features in self.features.items()}
            return {kind: normalize(torch.einsum("bk,bkd->bd", weights, x), dim=1) for kind, x in unit.items()}
        k = torch.multinomial(valid.cpu().float(), 1, generator=generator).squeeze(1).to(rows.device)
        return {kind: normalize(features[rows, k].float(), dim=1) for kind, features in self.features.items()}


def load_prompts(data: Path, samples: Sequence[str], kinds: Sequence[str], device: torch.device | str) -> Prompts:
    """Load the features of `samples` from `data/embed/<kind>`; rows that are not `ok` and other samples are left out.

    Raises:
        UserError: a table is missing, or none of the samples has a prompt.
    """
    position = {sample: row for row, sample in enumerate(samples)}
    loaded = {kind: _load_kind(data / "embed" / kind, position) for kind in kinds}
    most = max(valid.shape[1] for _, valid in loaded.values())
    valid = np.ones((len(samples), most), dtype=bool)
    features: dict[str, Tensor] = {}
    for kind, (values, present) in loaded.items():
        pad = most - present.shape[1]
        valid &= np.pad(present, ((0, 0), (0, pad)))
        features[kind] = torch.from_numpy(np.pad(values, ((0, 0), (0, pad), (0, 0)))).to(device)
    if not valid.any():
        raise UserError(
            f"{data / 'embed'} has no usable {' and '.join(kinds)} prompt for this split; look at its `reason` column."
        )
    return Prompts(features, torch.from_numpy(valid).to(device))


def _load_kind(folder: Path, position: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, K, width) float16 and presence (N, K) of one kind."""
    rows: list[np.ndarray] = []
    ks: list[np.ndarray] = []
    values: list[np.ndarray] = []
    width = 0
    for _, table in tables.shards(folder, ["sample", "k", "feature", "status"]):
        width = table.schema.field("feature").type.list_size
        table = table.filter(pc.equal(table["status"], "ok"))
        row = np.array([position.get(sample, -1) for sample in table["sample"].to_pylist()], dtype=np.int64)
        table = table.filter(row >= 0)
        rows.append(row[row >= 0])
        ks.append(table["k"].to_numpy().astype(np.int64))
        values += [chunk.flatten().to_numpy().reshape(-1, width) for chunk in table["feature"].chunks]
    if not sum(map(len, rows)):
        raise UserError(f"{folder} has no usable prompt for the samples of this split; look at its `reason` column.")
    row, k, value = np.concatenate(rows), np.concatenate(ks), np.concatenate(values)
    features = np.zeros((len(position), int(k.max()) + 1, width), dtype=np.float16)
    present = np.zeros(features.shape[:2], dtype=bool)
    features[row, k], present[row, k] = value, True
    return features, present
