"""Sizes and costs of the skeleton encoders as a Markdown table.

    python bench/encoders.py [--demo]

Parameters, FLOPs and bytes are counted, so they are the same on every machine. `--demo` adds the
processor seconds of one core for one epoch of the demo (476 clips of 16 frames, batch 32, a quarter
of the clips with two persons).
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from c2vl.models.encoders.cost import cost
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.encoders.settings import PUBLISHED, TWO_CORES

CLIPS, BATCH, FRAMES = 476, 32, 16


def table(settings: str) -> None:
    """Print one row for each encoder."""
    demo = settings == "two cores"
    chosen, frames = (TWO_CORES, FRAMES) if demo else (PUBLISHED, 64)
    heads = [
        "encoder",
        "features",
        "parameters",
        "forward, GFLOP a clip",
        "forward and backward, GFLOP",
        "kept for backward, MB",
    ]
    print(f"\nSettings: {settings}; clips of {frames} frames, 25 joints, 2 persons\n")
    print("| " + " | ".join(heads + ["s an epoch, one core"] * demo) + " |")
    print("|---" + "|---:" * (len(heads) - 1 + demo) + "|")
    for name, params in chosen.items():
        torch.manual_seed(0)
        encoder = build_encoder(params)
        found = cost(encoder, frames)
        flops = (found.forward_flops / 1e9, found.training_flops / 1e9, found.saved_bytes / 1e6)
        cells = [
            name,
            str(encoder.features),
            f"{found.parameters:,}",
            *(f"{value:.{3 if demo else 2}f}" for value in flops),
        ]
        print(
            "| " + " | ".join(cells + ([f"{epoch(encoder):.1f}"] if demo else [])) + " |",
            flush=True,
        )


def epoch(encoder: nn.Module, repeats: int = 5) -> float:
    """Processor seconds of forward and backward over the demo's training clips on one core."""
    torch.set_num_threads(1)
    x = torch.randn(BATCH, 3, FRAMES, 25, 2)
    x[BATCH // 4 :, ..., 1] = 0

    def step() -> None:
        encoder(x).square().mean().backward()

    step()
    begin = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - begin) / repeats * CLIPS / BATCH


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--demo", action="store_true", help="the settings for two cores, with times"
    )
    table("two cores" if parser.parse_args().demo else "published")
