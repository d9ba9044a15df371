"""The encoder of UmURL (Sun et al., ACM MM 2023): one Transformer over frames, another over joints.

Frames are tokens of all persons' coordinates, and joints are tokens of their whole trajectory; each
is embedded, encoded, and reduced by the maximum over its tokens. This is UmURL's path for one
modality, without the fusion layers of several.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from c2vl.core.errors import UserError
from c2vl.models.encoders.persons import padded_slots
from c2vl.models.graph import NTU25, SkeletonGraph

TRUNCATED = 10_000.0  # longest wave length of the positions, in units of 2 pi frames


class Transformer(nn.Module):
    """Encode clips (B, C, T, V, M) of a fixed T into features (B, 2 * width).

    Args:
        graph: the skeleton.
        in_channels: C, coordinates per joint.
        width: of the tokens and of the feed-forward layers, even; 1024 is published.
        layers: depth of each of the two; 1 is published.
        heads: of the attention; 1 is published.
        frames: T, which the trajectories' embedding is built for; 64 is published.
    """

    positions: Tensor

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        in_channels: int = 3,
        width: int = 1024,
        layers: int = 1,
        heads: int = 1,
        frames: int = 64,
    ) -> None:
        super().__init__()
        self.features = 2 * width
        self.frames, self.joints, self.slots = frames, graph.joints, graph.persons
        self.embed_frames = embedding(graph.persons * graph.joints * in_channels, width)
        self.embed_joints = embedding(frames * in_channels, width)
        self.register_buffer("positions", sinusoids(frames, width), persistent=False)
        self.over_frames, self.over_joints = (encoder(width, heads, layers) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = padded_slots(x, self.joints, self.slots)
        if x.shape[2] != self.frames:
            raise UserError(
                f"This transformer takes clips of {self.frames} frames, not {x.shape[2]}; "
                "set `encoder.frames` and `view.frames` to the same number."
            )
        x = x.permute(0, 4, 3, 2, 1)  # (B, M, V, T, C)
        frames = (
            self.embed_frames(x.permute(0, 3, 1, 2, 4).flatten(2)) + self.positions
        )  # (B, T, width)
        joints = self.embed_joints(x.flatten(3).flatten(1, 2))  # (B, M*V, width)
        return torch.cat(
            [self.over_frames(frames).amax(1), self.over_joints(joints).amax(1)], dim=1
        )


def embedding(inputs: int, width: int) -> nn.Module:
    """Two linear layers around LayerNorm and ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
    )


class EncoderLayer(nn.TransformerEncoderLayer):
    """torch's post-norm encoder layer without dropout, with less copying in the backward pass.

    Parameters and function are the same.

    `nn.MultiheadAttention` takes queries, keys and values out of one tensor by three selections,
    each of which becomes a tensor of zeros of three times the size in the backward pass.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, dim_feedforward=width, dropout=0.0, batch_first=True)

    def forward(self, src: Tensor, *_: object, **__: object) -> Tensor:
        """(B, N, width) to the same; the masks that `nn.TransformerEncoder` gives are not used."""
        x = self.norm1(src + self._attend(src))
        y: Tensor = self.norm2(x + self.linear2(self.linear1(x).relu()))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        attention = self.self_attn
        packed = linear(x, attention.in_proj_weight, attention.in_proj_bias).unflatten(
            2, (3, attention.num_heads, -1)
        )
        query, key, value = packed.transpose(1, 3).unbind(2)  # (B, heads, N, width / heads)
        mixed = scaled_dot_product_attention(query, key, value)
        y: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
        return y


def encoder(width: int, heads: int, layers: int) -> nn.Module:
    """Post-norm encoder layers without dropout."""
    return nn.TransformerEncoder(EncoderLayer(width, heads), layers, enable_nested_tensor=False)


def sinusoids(length: int, width: int) -> Tensor:
    """Positions as sines (even columns) and cosines (odd ones), (length, width).

    Vaswani et al., 2017.
    """
    angles = torch.arange(length)[:, None] * TRUNCATED ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
