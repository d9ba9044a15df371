"""The knowledge prompts of a split as features on the device: up to K a clip and kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.nn.functional import normalize

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.models.resident import Resident

CHUNK = 1024  # clips whose prompts are averaged at once


class NoPromptsError(UserError):
    """None of the clips asked for has a usable prompt; training cannot go on, evaluation can."""


class Prompts:
    """Features of N clips' prompts, resident on the device where they fit.

    `features` by kind (vision, language): rows (N * K, width) float16, prompt k of clip n at n K +
    k, zero where missing; `valid`: (N, K) bool on the CPU, whether prompt k of a clip is there in
    *every* kind, because an image and its answer belong together.
    """

    def __init__(
        self,
        features: Mapping[str, Tensor],
        valid: Tensor,
        device: torch.device | str | None = None,
    ) -> None:
        """Keep the features where they fit.

        Args:
            features: by kind, (N, K, width).
            valid: (N, K).
            device: where a step wants them; by default where they lie.
        """
        self.valid = valid.cpu()
        self.widths = {kind: x.shape[2] for kind, x in features.items()}
        self.features = {
            kind: Resident(x.flatten(0, 1), device or x.device, f"{kind} prompts")
            for kind, x in features.items()
        }

    def usable(self) -> Tensor:
        """Indices (int64, CPU) of the clips with a prompt; the others cannot be trained on."""
        return self.valid.any(1).nonzero().squeeze(1)

    def swapped(self, share: float, seed: int) -> Prompts:
        """These prompts, where a random share of the clips has the prompts of another clip.

        An experiment's noise. The clips' prompts move on by one in a random order of the chosen
        clips, so that no clip keeps its own.
        """
        usable = self.usable()
        draws = torch.Generator().manual_seed(seed)
        chosen = usable[torch.randperm(len(usable), generator=draws)[: round(share * len(usable))]]
        if len(chosen) < 2:
            return self
        source = torch.arange(len(self.valid))
        source[chosen] = chosen.roll(1)
        slots = source[:, None] * self.valid.shape[1] + torch.arange(self.valid.shape[1])
        moved = {kind: features[slots] for kind, features in self.features.items()}
        return Prompts(moved, self.valid[source])

    def at(self, kind: str, rows: Tensor, k: Tensor) -> Tensor:
        """Features (…, width) float16 of prompts `k` of the clips `rows`, both int64 (…)."""
        return self.features[kind][rows.cpu() * self.valid.shape[1] + k]

    def take(
        self, rows: Tensor, how: Literal["random", "mean"], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Unit features (B, width) float32, by kind, of one prompt of each clip `rows` (B,).

        `random`: one of a clip's valid prompts, equally likely, the same k in every kind. `mean`:
        the mean of the unit features of all of them.
        """
        rows = rows.cpu()
        if how == "mean":
            return {kind: mean[rows] for kind, mean in self._means.items()}
        k = torch.multinomial(self.valid[rows].float(), 1, generator=generator).squeeze(1)
        return {kind: normalize(self.at(kind, rows, k).float(), dim=1) for kind in self.features}

    @cached_property
    def _means(self) -> dict[str, Resident]:
        """Means of all clips' prompts, (N, width) float32 by kind; computed once."""
        found: dict[str, Resident] = {}
        for kind, features in self.features.items():
            means = torch.empty(len(self.valid), self.widths[kind], device=features.tensor.device)
            for rows in torch.arange(len(self.valid)).split(CHUNK):
                valid = self.valid[rows]
                weights = valid / valid.sum(1, keepdim=True).clamp(
                    min=1
                )  # a clip without prompts is never taken
                unit = normalize(
                    self.at(kind, rows[:, None], torch.arange(valid.shape[1])).float(), dim=2
                )
                mean = normalize(torch.einsum("bk,bkd->bd", weights.to(unit.device), unit), dim=1)
                means[int(rows[0]) : int(rows[-1]) + 1] = mean.to(means.device)
            found[kind] = Resident(means, features.device, f"means of {kind} prompts")
        return found


def load_prompts(
    data: Path, samples: Sequence[str], kinds: Sequence[str], device: torch.device | str
) -> Prompts:
    """Load the features of `samples` from `data/embed/<kind>`; rows that are not `ok` are left out.

    Raises:
        NoPromptsError: none of the samples has a prompt.
        UserError: a table is missing.
    """
    position = {sample: row for row, sample in enumerate(samples)}
    loaded = {kind: _load_kind(data / "embed" / kind, position) for kind in kinds}
    most = max(valid.shape[1] for _, valid in loaded.values())
    valid = np.ones((len(samples), most), dtype=bool)
    features: dict[str, Tensor] = {}
    for kind, (values, present) in loaded.items():
        pad = most - present.shape[1]
        valid &= np.pad(present, ((0, 0), (0, pad)))
        features[kind] = torch.from_numpy(np.pad(values, ((0, 0), (0, pad), (0, 0))))
    if not valid.any():
        raise NoPromptsError(
            f"{data / 'embed'} has no usable {' and '.join(kinds)} prompt for this split; "
            "look at its `reason` column."
        )
    return Prompts(features, torch.from_numpy(valid), device)


def _load_kind(folder: Path, position: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, K, width) float16 and presence (N, K) of one kind."""
    rows: list[np.ndarray] = []
    ks: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for _, table in tables.shards(folder, ["sample", "k", "feature", "status"]):
        table = table.filter(pc.equal(table["status"], "ok"))
        row = np.array(
            [position.get(sample, -1) for sample in table["sample"].to_pylist()], dtype=np.int64
        )
        table = table.filter(row >= 0)
        rows.append(row[row >= 0])
        ks.append(table["k"].to_numpy().astype(np.int64))
        values.append(tables.vectors(table["feature"]))
    if not sum(map(len, rows)):
        raise NoPromptsError(
            f"{folder} has no usable prompt for the samples of this split; "
            "look at its `reason` column."
        )
    row, k, value = np.concatenate(rows), np.concatenate(ks), np.concatenate(values)
    features = np.zeros((len(position), int(k.max()) + 1, value.shape[1]), dtype=np.float16)
    present = np.zeros(features.shape[:2], dtype=bool)
    features[row, k], present[row, k] = value, True
    return features, present
