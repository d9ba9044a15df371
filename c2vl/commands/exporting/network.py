"""The network that is exported: from joints to features, embedding and scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from c2vl.core.layout import SkeletonLayout
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.evaluation.fusion import fuse_tensors
from c2vl.evaluation.linear import LinearHead
from c2vl.models.streams import Stream, to_stream

END_SHARE = 40  # 1/40 of the frames at each end is cut: the test view is the middle 95 %


class ExportedNetwork(nn.Module):
    """Takes clips (B, F, M, V, 3) of a skeleton; returns `features`, `embedding` and `scores`.

    B and F are free. The pre-processing is part of the network: 3D joints may have any origin. 2D
    joints are relative to the image (`relative_to_image`), beside their scores.

    Args:
        encoder: `(B, C, T, V, M) -> (B, D)`.
        layout: the skeleton.
        stream: joint, motion or bone; computed from the joints.
        frames: T, to which clips are resized.
        skeleton_head: linear layer into the space shared with CLIP. None: no `embedding` (B, d).
        linear: classifier. None: no `scores` (B, classes).
    """

    def __init__(
        self,
        encoder: nn.Module,
        layout: SkeletonLayout,
        stream: Stream,
        frames: int,
        skeleton_head: nn.Linear | None = None,
        linear: LinearHead | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.skeleton_head = encoder, skeleton_head
        self.layout, self.stream, self.frames = layout, stream, frames
        self.linear = None if linear is None else Classifier(linear)
        self.outputs = [
            "features",
            *(["embedding"] if skeleton_head else []),
            *(["scores"] if linear else []),
        ]

    def forward(self, joints: Tensor) -> tuple[Tensor, ...]:
        """Compute `outputs`, in that order, of clips (B, F, M, V, 3)."""
        found = self.values(joints)
        if "logits" in found:
            found["scores"] = found.pop("logits").softmax(1)
        return tuple(found[name] for name in self.outputs)

    def values(self, joints: Tensor) -> dict[str, Tensor]:
        """`features`, and `embedding` and `logits` where there are heads for them."""
        features = self.encoder(to_stream(self.view(joints), self.stream, self.layout))
        found = {"features": features}
        if self.skeleton_head is not None:
            found["embedding"] = normalize(self.skeleton_head(features), dim=1)
        if self.linear is not None:
            found["logits"] = self.linear(features)
        return found

    def view(self, joints: Tensor) -> Tensor:
        """Pre-process clips (B, F, M, V, 3); return (B, 3, T, V, M).

        Centre 3D joints on the skeleton's centre in person 1's first frame, keep the middle 95 % of
        the frames, resize them in time. Equals `c2vl.datasets.skeletons.actors.centred` with
        `c2vl.models.views.test_view` for clips without empty frames.
        """
        x = self._centred(joints) if self.layout.three_d else joints
        frames = x.shape[1]
        x = x[:, frames // END_SHARE : frames - frames // END_SHARE]
        x = x.permute(0, 2, 3, 4, 1).flatten(1, 3)  # (B, M*V*C, F')
        x = interpolate(x, size=self.frames, mode="linear", align_corners=False)
        return x.unflatten(1, self.layout.shape).permute(0, 3, 4, 2, 1)

    def _centred(self, joints: Tensor) -> Tensor:
        real = joints.ne(0).flatten(3).any(3)  # (B, F, M)
        first = real[:, :, 0].int().argmax(1)
        clips = torch.arange(joints.shape[0])
        each = [joints[clips, first, 0, joint] for joint in self.layout.centre]  # (B, 3)
        centre = each[0] if len(each) == 1 else torch.stack(each).mean(0)
        return (joints - centre[:, None, None, None]) * real[..., None, None]


class FusedNetwork(nn.Module):
    """Several streams as one network; `scores` are fused as the stage `evaluate` fuses them.

    Features and embeddings stay apart: the outputs are `features_<stream>` and, where the stream
    has one, `embedding_<stream>`, then `scores`.

    Args:
        parts: networks with `scores`, by stream.
        fusion: section `evaluate.fusion`.
    """

    def __init__(self, parts: Mapping[str, ExportedNetwork], fusion: FusionParams) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.weights = {stream: fusion.weights[stream] for stream in parts}
        self.adds = fusion.scores
        self.about = {"weights": self.weights, "scores": self.adds}
        first = next(iter(parts.values()))
        self.layout, self.frames = first.layout, first.frames
        self.outputs = [
            f"{name}_{stream}" for stream, part in parts.items() for name in part.outputs[:-1]
        ]
        self.outputs.append("scores")

    def forward(self, joints: Tensor) -> tuple[Tensor, ...]:
        """Compute `outputs`, in that order, of clips (B, F, M, V, 3)."""
        found: list[Tensor] = []
        logits: dict[str, Tensor] = {}
        for stream, part in self.parts.items():
            assert isinstance(part, ExportedNetwork)
            values = part.values(joints)
            logits[stream] = values.pop("logits")
            found += values.values()
        return (*found, fuse_tensors(logits, self.weights, self.adds))


class Classifier(nn.Module):
    """Logits of a linear head on standardised features: (B, D) to (B, classes)."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, head: LinearHead) -> None:
        super().__init__()
        for name in ("weight", "bias", "mean", "scale"):
            self.register_buffer(name, torch.from_numpy(getattr(head, name)).float())

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of features (B, D)."""
        standard = (features - self.mean) / self.scale
        return standard @ self.weight.T + self.bias
