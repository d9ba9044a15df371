"""The recurrent encoder of CMD and PCM³ (Mao et al., ECCV 2022; Zhang et al., ACM MM 2023).

Three layers of two GRUs each over frames of both persons' coordinates, BatchNorm before. The
published code feeds one frame at a time to a bidirectional GRU, so both of a layer's "directions"
read forward in time; `reading: forward` is that, and `both` a GRU that is bidirectional in time.
The parameters are the same.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from c2vl.models.encoders.persons import padded_slots
from c2vl.models.encoders.recurrence import together
from c2vl.models.graph import NTU25, SkeletonGraph

Reading = Literal["forward", "both"]


class Layer(nn.Module):
    """Two GRUs over the same frames, their outputs side by side; (B, T, D) to (B, T, 2 * width)."""

    def __init__(self, inputs: int, width: int, reading: Reading) -> None:
        super().__init__()
        self.reading = reading
        self.first = nn.GRU(inputs, width, batch_first=True)
        self.second = nn.GRU(inputs, width, batch_first=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs frame by frame, and the state after all frames, (B, 2 * width)."""
        if self.reading == "forward" and on_cpu(x):
            one, two = together(self.first, self.second, x)
        else:
            one, _ = self.first(x)
            two, _ = self.second(x.flip(1) if self.reading == "both" else x)
        read = torch.cat([one[:, -1], two[:, -1]], dim=1)
        return torch.cat([one, two.flip(1) if self.reading == "both" else two], dim=2), read


def on_cpu(x: Tensor) -> bool:
    """Whether the GRUs are computed together. Otherwise torch's own kernels are faster."""
    return (
        x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _no_half_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Autocast is off within it, but on a CPU.

    Torch's autocast computes cuDNN's GRU in float16 also where bfloat16 is asked for
    (ATen/cudnn/AutocastRNN.cpp), and gradients in float16 vanish if they are not scaled. In float32
    cuDNN uses TF32.
    """
    return nullcontext() if x.device.type == "cpu" else torch.autocast(x.device.type, enabled=False)


class GRU(nn.Module):
    """Encode clips (B, C, T, V, M) into features (B, 2 * width): last layer, after all frames.

    Args:
        graph: the skeleton.
        in_channels: C, coordinates per joint.
        width: hidden units of one direction; 1024 is published.
        layers: depth; 3 is published.
        reading: `forward` (published code) or `both`, which reads the second direction from the
            last frame to the first.
    """

    def __init__(
        self,
        graph: SkeletonGraph = NTU25,
        in_channels: int = 3,
        width: int = 1024,
        layers: int = 3,
        reading: Reading = "forward",
    ) -> None:
        super().__init__()
        self.features = 2 * width
        self.joints, self.slots = graph.joints, graph.persons
        inputs = graph.persons * graph.joints * in_channels
        self.input_norm = nn.BatchNorm1d(inputs)
        self.layers = nn.ModuleList(
            Layer(2 * width if layer else inputs, width, reading) for layer in range(layers)
        )
        for parameter in self.layers.parameters():
            if parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)  # as in the published pretraining

    def forward(self, x: Tensor) -> Tensor:
        x = padded_slots(x, self.joints, self.slots)
        x = x.permute(0, 4, 3, 1, 2).flatten(1, 3)  # (B, M*V*C, T)
        x = self.input_norm(x).transpose(1, 2)
        with _no_half_precision(x):
            for layer in self.layers:
                x, read = layer(x)
        return read
