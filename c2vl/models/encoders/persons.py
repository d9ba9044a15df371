"""Clips hold two person slots, of which the second is often empty: how encoders deal with that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError

Persons = Literal["padded", "present"]


def padded_slots(x: Tensor, joints: int, slots: int) -> Tensor:
    """Fill up to `slots` person slots with zeros, as the data sets do.

    (B, C, T, V, M) to (B, C, T, V, slots).

    Raises:
        UserError: the clips' skeleton is not the encoder's, which has `joints` joints.
        ValueError: there are more than two slots.
    """
    if x.shape[3] != joints:
        raise UserError(
            f"This encoder's skeleton has {joints} joints, the clips' {x.shape[3]}; "
            "train it on this data (`dvc repro pretrain`)."
        )
    missing = slots - x.shape[-1]
    if missing < 0:
        raise ValueError(f"a clip has at most {slots} persons, not {x.shape[-1]}")
    return nn.functional.pad(x, (0, missing)) if missing else x


def present_slots(x: Tensor) -> Tensor:
    """Which slots of (B, C, T, V, M) hold a non-zero value, (B, M) bool.

    The first always counts, so that no clip is empty.
    """
    filled = x.ne(0).flatten(1, 3).any(1)
    return torch.cat([torch.ones_like(filled[:, :1]), filled[:, 1:]], dim=1)


def mean_over_persons(
    bodies: Tensor, present: Tensor, persons: Persons, encode: Callable[[Tensor], Tensor]
) -> Tensor:
    """Encode each body by itself and average over the slots of a clip; (B, M, ...) to (B, D).

    Args:
        bodies: one body a slot.
        present: (B, M) of `present_slots`.
        persons: `padded` encodes and averages every slot (published); `present` only those that
            hold somebody.
        encode: (N, ...), one body a row, to (N, D).
    """
    clips, slots = present.shape
    if persons == "padded" or torch.compiler.is_exporting():
        features = encode(bodies.flatten(0, 1)).unflatten(0, (clips, slots))
        if persons == "padded":
            return features.mean(1)
        weights = present.to(features)[
            ..., None
        ]  # an exported graph cannot leave rows out; the mean is the same
        return (features * weights).sum(1) / weights.sum(1)
    chosen = present.flatten().nonzero().squeeze(1)
    features = encode(bodies.flatten(0, 1)[chosen])
    total = features.new_zeros(clips, features.shape[1]).index_add_(0, chosen // slots, features)
    return total / present.sum(1, keepdim=True)


class PersonNorm(nn.Module):
    """BatchNorm of each coordinate of each joint of each person slot.

    (B, C, T, V, M) to (B, slots, C, V, T).

    As in 2s-AGCN, CTR-GCN and MS-G3D, whose statistics are those of a slot: an empty one becomes a
    constant.
    """

    def __init__(self, joints: int, channels: int, slots: int) -> None:
        super().__init__()
        self.joints, self.slots = joints, slots
        self.norm = nn.BatchNorm1d(slots * joints * channels)

    def forward(self, x: Tensor) -> Tensor:
        x = padded_slots(x, self.joints, self.slots)
        clips, channels, frames, joints, slots = x.shape
        x = self.norm(x.permute(0, 4, 3, 1, 2).reshape(clips, -1, frames))
        return x.view(clips, slots, joints, channels, frames).transpose(2, 3)
