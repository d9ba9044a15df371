"""Train and test views of clips as batched tensor code on the ragged skeletons' device.

The rules are those of CTR-GCN's feeder (`valid_crop_resize`, `random_rot`), to the letter: crop in
time, linear resize with `align_corners=False`, one rotation a clip in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from c2vl.core.params import ParamsModel
from c2vl.models.ragged import RaggedSkeletons

TEST_SHARE = 0.95  # of the valid frames, from the middle
TRAIN_SHARES = (0.5, 1.0)
IN_PLANE = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


class ViewParams(ParamsModel):
    """Section `pretrain.view`: how a clip becomes a fixed number of frames."""

    frames: int = Field(default=64, ge=1, description="T of a view")
    rotation: float = Field(
        default=0.3,
        ge=0,
        description="largest angle about each axis, of 2D joints in the image, rad; 0: none",
    )
    crop: bool = Field(
        default=True, description="random crop in time; false: the test view's centre crop"
    )
    shortest: int = Field(
        default=64,
        ge=1,
        description="frames below which a random crop does not go (clips shorter stay whole)",
    )


@dataclass(frozen=True)
class Draws:
    """Random numbers of a batch of train views, drawn on the CPU: all devices get the same.

    `share` (B,) ~ U(0.5, 1) of the frames kept; `start` (B,) ~ U(0, 1) place of the crop; `angles`
    (B, 3) ~ U(-r, r) rad.
    """

    share: Tensor
    start: Tensor
    angles: Tensor

    def part(self, own: slice) -> Draws:
        """Those of a part of the batch."""
        return Draws(self.share[own], self.start[own], self.angles[own])


def draw(batch: int, params: ViewParams, generator: torch.Generator) -> Draws:
    """Draw the random numbers of `batch` train views from a CPU generator."""
    numbers = torch.rand(batch, 5, generator=generator, dtype=torch.float64)
    low, high = TRAIN_SHARES
    return Draws(
        low + (high - low) * numbers[:, 0],
        numbers[:, 1],
        params.rotation * (2 * numbers[:, 2:] - 1),
    )


def train_view(clips: RaggedSkeletons, rows: Tensor, params: ViewParams, draws: Draws) -> Tensor:
    """Crop, resize and rotate the clips `rows` (B,); (B, C, T, V, M) float32."""
    valid = clips.lengths[rows.cpu()]
    if params.crop:
        length = torch.minimum(
            (draws.share * valid).floor().long().clamp(min=params.shortest), valid
        )
        bias = torch.minimum((draws.start * (valid - length + 1)).floor().long(), valid - length)
        view = _resize(clips, rows, bias, length, params.frames)
    else:
        view = test_view(clips, rows, params.frames)
    if params.rotation == 0:
        return view
    # 2D joints turn in the image: about z, where their score is, which so stays as it is.
    angles = draws.angles if clips.layout.three_d else draws.angles * IN_PLANE
    rotation = rotation_matrices(angles).mT.to(view)  # of rows: (x y z) R'
    points = view.permute(0, 2, 4, 3, 1)  # (B, T, M, V, C), as they lie in memory
    return torch.bmm(points.flatten(1, 3), rotation).view(points.shape).permute(0, 4, 1, 3, 2)


def test_view(clips: RaggedSkeletons, rows: Tensor, frames: int) -> Tensor:
    """The middle 95 % of clips `rows` (B,) in `frames` frames; (B, C, T, V, M) float32."""
    valid = clips.lengths[rows.cpu()]
    bias = torch.from_numpy(
        ((1 - TEST_SHARE) * valid.numpy().astype(np.float64) / 2).astype(np.int64)
    )
    return _resize(clips, rows, bias, valid - 2 * bias, frames)


def rotation_matrices(angles: Tensor) -> Tensor:
    """R = Rz Ry Rx from angles (B, 3) about x, y, z in rad; (B, 3, 3).

    Signs are those of CTR-GCN's `_rot`.
    """
    sin, cos = angles.sin().unbind(1), angles.cos().unbind(1)
    one, zero = torch.ones_like(sin[0]), torch.zeros_like(sin[0])

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=1).view(-1, 3, 3)

    about_x = matrix(one, zero, zero, zero, cos[0], sin[0], zero, -sin[0], cos[0])
    about_y = matrix(cos[1], zero, -sin[1], zero, one, zero, sin[1], zero, cos[1])
    about_z = matrix(cos[2], sin[2], zero, -sin[2], cos[2], zero, zero, zero, one)
    return about_z @ about_y @ about_x


def _resize(
    clips: RaggedSkeletons, rows: Tensor, bias: Tensor, length: Tensor, frames: int
) -> Tensor:
    """Frames bias…bias+length-1 of each clip, linearly resized in time.

    `bias` and `length` are (B,) int64 on the CPU.
    """
    centres = torch.arange(frames, dtype=torch.float64) + 0.5
    position = (centres * (length.double() / frames)[:, None] - 0.5).clamp(min=0)  # (B, T)
    before = torch.minimum(position.floor().long(), length[:, None] - 1)
    after = torch.minimum(before + 1, length[:, None] - 1)
    weight = (position - before).float().to(clips.device, non_blocking=True)[..., None, None, None]
    begin = (clips.starts[rows.cpu()] + bias)[:, None]
    first = clips.joints[begin + before]  # (B, T, M, V, C)
    second = clips.joints[begin + after]
    return torch.lerp(first, second, weight).permute(0, 4, 1, 3, 2)  # (B, C, T, V, M)
