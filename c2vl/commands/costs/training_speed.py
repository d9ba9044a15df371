"""Measure how fast pretraining runs here, with the real encoder on clips of noise."""

from __future__ import annotations

import time

from c2vl.training.training_params import PretrainParams

CLIPS, STEPS = 16, 3


def clips_a_second(params: PretrainParams) -> float:
    """Clips a second in forward and backward passes of the encoder on this machine's device."""
    import torch

    from c2vl.core import machine
    from c2vl.models.encoders.registry import build_encoder
    from c2vl.training.environment import threads

    device = machine.device()
    torch.set_num_threads(threads())  # as many as a training uses on a CPU
    count = CLIPS if device.type == "cpu" else params.batch
    encoder = build_encoder(params.encoder).to(device).train()
    x = torch.randn(count, 3, params.view.frames, 25, 2, device=device)

    def step() -> None:
        encoder(x).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    step()  # the first step chooses kernels and takes memory
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return count * STEPS / (time.perf_counter() - began)
