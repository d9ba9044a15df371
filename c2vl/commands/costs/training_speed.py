"""Measure how fast training and evaluation run here, with the real encoder on clips of noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from c2vl.core.layout import SkeletonLayout
from c2vl.training.training_params import PretrainParams

if TYPE_CHECKING:
    import torch

CLIPS, STEPS = 16, 3
LINEAR_STEPS, ROWS = 50, 2000
TWO_PEOPLE = 11 / 60  # share of the clips: the classes of NTU RGB+D 60 that have two people


@dataclass(frozen=True)
class Speed:
    """What training costs on this machine's device.

    Attributes:
        train: clips a second, forward and backward through the encoder.
        encode: clips a second, forward only.
        step: seconds of one step of linear evaluation.
        pairs: pairs of features a second that the nearest-neighbour search compares.
        features: numbers in a clip's feature.
        weights: bytes of the encoder's weights.
        memory: largest number of bytes on the GPU; 0 on a CPU.
    """

    train: float
    encode: float
    step: float
    pairs: float
    features: int
    weights: int
    memory: int


def measured(params: PretrainParams, layout: SkeletonLayout, classes: int, batch: int) -> Speed:
    """Time a few steps of training, of encoding, and of linear evaluation.

    Args:
        params: section `pretrain`: encoder, frames, batch, precision.
        layout: the skeleton of the clips.
        classes: how many labels there are.
        batch: of linear evaluation.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from c2vl.core import machine
    from c2vl.models.encoders.registry import build_encoder
    from c2vl.models.graph import SkeletonGraph
    from c2vl.training.devices import Devices
    from c2vl.training.environment import threads

    device = machine.device()
    torch.set_num_threads(threads())  # as many as a training uses on a CPU
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    count = (params.micro_batch or params.batch) if cuda else CLIPS
    encoder = build_encoder(params.encoder, SkeletonGraph.of(layout)).to(device).train()
    x = torch.randn(count, 3, params.view.frames, layout.count, layout.persons, device=device)
    # An encoder with `persons: present` leaves out absent people.
    x[ceil(TWO_PEOPLE * count) :, ..., 1:] = 0
    devices = Devices(device)

    def train() -> None:
        with devices.autocast(params.precision):
            loss = encoder(x).float().square().mean()
        loss.backward()

    @torch.no_grad()
    def encode() -> None:
        encoder(x)

    trained = _seconds(train, device, STEPS)
    memory = torch.cuda.max_memory_reserved(device) if cuda else 0
    encoder.eval()
    encoded = _seconds(encode, device, STEPS)

    width = int(encoder.features)  # type: ignore[arg-type]
    layer = torch.nn.Linear(width, classes, device=device)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    rows = torch.randn(batch, width, device=device)
    labels = torch.zeros(batch, dtype=torch.int64, device=device)

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(layer(rows), labels).backward()
        optimiser.step()

    gallery = torch.randn(ROWS, width, device=device)

    def compare() -> None:
        (gallery @ gallery.T).argmax(1)

    weights = sum(value.numel() * value.element_size() for value in encoder.state_dict().values())
    return Speed(
        train=count / trained,
        encode=count / encoded,
        step=_seconds(step, device, LINEAR_STEPS),
        pairs=ROWS**2 / _seconds(compare, device, STEPS),
        features=width,
        weights=weights,
        memory=memory,
    )


def _seconds(once: Callable[[], None], device: torch.device, times: int) -> float:
    """Seconds that a call takes, the mean over some calls."""
    import torch

    once()  # the first one chooses kernels and takes memory
    for ends in (False, True):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if not ends:
            began = time.perf_counter()
            for _ in range(times):
                once()
    return (time.perf_counter() - began) / times
