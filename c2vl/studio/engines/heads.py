"""Heads that train the vision tower and are dropped after training.

They predict where the joints are and what the person does. With the contrastive loss alone, the
tower needs many times as long to find the hands.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from c2vl.studio.engines.configs import PATCH, TOWER_SIZE, WIDTH
from c2vl.studio.engines.look import NUMBERS
from c2vl.studio.engines.targets import PARTS

# Joints counted from 0: head, spine shoulder, spine base, elbows, hands, knees, ankles.
JOINTS = (3, 20, 0, 5, 9, 7, 11, 13, 17, 14, 18)
HANDS = (JOINTS.index(7), JOINTS.index(11))
WORN = {"shirt": JOINTS.index(20), "trousers": JOINTS.index(13)}  # where clothes are seen
GRID = TOWER_SIZE // PATCH


def joint_cells(joints: np.ndarray) -> torch.Tensor:
    """Index (N, J) of the patch that contains each of `JOINTS`; -100 (ignored) if there is none.

    Args:
        joints: (N, 25, 2) in 0…1 of the crop, NaN if unknown.
    """
    places = torch.from_numpy(joints[:, JOINTS])
    cells = (places * GRID).floor()
    known = torch.isfinite(places).all(-1) & (cells >= 0).all(-1) & (cells < GRID).all(-1)
    index = torch.nan_to_num(cells[..., 1] * GRID + cells[..., 0])
    return torch.where(known, index, -100).long()


class Heads(nn.Module):
    """Linear heads: which patch contains each joint; `PARTS`; the look."""

    def __init__(self) -> None:
        super().__init__()
        self.patch_norm, self.pooled_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.joints = nn.Linear(WIDTH, len(JOINTS))
        self.parts = nn.Linear(WIDTH, sum(PARTS.values()))
        self.held = nn.Linear(WIDTH, PARTS["object"])
        self.worn = nn.ModuleDict({part: nn.Linear(WIDTH, PARTS[part]) for part in WORN})
        self.look = nn.Linear(WIDTH, NUMBERS)

    def joint_loss(self, patches: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of each joint's patch: (N, G², D) patches against (N, J) cells."""
        if not (cells >= 0).any():
            return patches.new_zeros(())
        logits = self.joints(self.patch_norm(patches)).transpose(1, 2)  # (N, J, G²)
        return F.cross_entropy(logits.flatten(0, 1), cells.flatten(), ignore_index=-100)

    def held_loss(
        self, patches: torch.Tensor, cells: torch.Tensor, objects: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of the held object, read at the true hands: (N, G², D), (N, J), (N,).

        It teaches the patches what to look for before the network finds the hands itself.
        """
        hands = cells[:, HANDS]
        known = (hands >= 0).all(1)
        if not known.any():
            return patches.new_zeros(())
        places = hands[known][..., None].expand(-1, -1, patches.shape[-1])
        both = self.patch_norm(patches[known]).gather(1, places)  # (K, 2, D)
        return F.cross_entropy(self.held(both.amax(1)), objects[known])

    def worn_loss(
        self, patches: torch.Tensor, cells: torch.Tensor, parts: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of the clothes' colours at chest and knee: (N, G², D), (N, J), (N, 7).

        As with the held object, it teaches the patches what to look for.
        """
        losses = []
        for part, joint in WORN.items():
            known = cells[:, joint] >= 0
            if known.any():
                places = cells[known, joint][:, None, None].expand(-1, 1, patches.shape[-1])
                seen = self.patch_norm(patches[known]).gather(1, places)[:, 0]  # (K, D)
                colours = parts[known, list(PARTS).index(part)]
                losses.append(F.cross_entropy(self.worn[part](seen), colours))
        return torch.stack(losses).sum() if losses else patches.new_zeros(())

    def part_losses(self, pooled: torch.Tensor, parts: torch.Tensor) -> list[torch.Tensor]:
        """Cross-entropy of each of `PARTS`: (N, D) against (N, 7)."""
        logits = self.parts(self.pooled_norm(pooled)).split(list(PARTS.values()), dim=1)
        return [F.cross_entropy(part, parts[:, index]) for index, part in enumerate(logits)]

    def look_loss(self, pooled: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """Squared error of the look: (N, D) against (N, NUMBERS)."""
        return F.mse_loss(self.look(self.pooled_norm(pooled)), looks)
