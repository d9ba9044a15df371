"""Time of a training step by objective, beside hard InfoNCE, at the size of the study.

    python bench/objectives.py

All take turns in one run, in a changing order, on the same clips, with the encoder and the batch of
`profiles/study.yaml`. `of InfoNCE` is a step's time divided by InfoNCE's in the same turn, median
over the turns. On a CPU with one thread and one worker (`C2VL_WORKERS=1`) the clock is this
process's processor time, so other programs hardly matter.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from train import made_up, seconds

from c2vl.core import machine
from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.training.devices import Devices
from c2vl.training.environment import threads
from c2vl.training.pretrain import Pretraining
from c2vl.training.schedule import sgd
from c2vl.training.step import backward
from c2vl.training.training_params import PretrainParams

PROFILE = Path("profiles/study.yaml")
K, WIDTH, LONGEST = 4, 64, 56
FROZEN = {"prompt_heads": "centred"}
OBJECTIVES: dict[str, tuple[dict[str, Any], float]] = {  # changes, share of the frames
    "infonce": ({"name": "infonce"}, 1),
    "infonce, frozen prompts": ({"name": "infonce", **FROZEN}, 1),
    "c2vl": ({"name": "c2vl"}, 1),
    "c2vl, teacher ema": ({"name": "c2vl", "teacher": "ema"}, 1),
    "two_views": ({"name": "two_views", **FROZEN}, 1),
    "two_views, of half the frames": ({"name": "two_views", **FROZEN}, 0.5),
}


class Step:
    """A training step with an objective."""

    def __init__(
        self, base: PretrainParams, changes: dict[str, Any], frames: float, clips: int
    ) -> None:
        device = machine.device()
        section = base.model_dump()
        section["objective"] |= changes
        section["view"]["frames"] = round(frames * base.view.frames)
        self.params = PretrainParams.model_validate(section)
        features = np.random.default_rng(1).normal(size=(2, clips, K, WIDTH)).astype(np.float16)
        kinds = dict(zip(("vision", "language"), torch.from_numpy(features), strict=True))
        prompts = Prompts(kinds, torch.ones(clips, K, dtype=torch.bool), device)
        skeletons = RaggedSkeletons.from_clips(made_up(clips, LONGEST), device)
        torch.manual_seed(0)
        self.task = Pretraining(skeletons, prompts, "joint", self.params)
        self.task.network.to(device).train()
        self.task.ready()
        self.task.begin_epoch(0)
        self.optimiser = sgd(self.task.network, self.params)
        self.devices, self.generator = Devices(device), torch.Generator().manual_seed(0)

    def __call__(self) -> None:
        rows = self.task.rows[: self.params.batch]
        self.optimiser.zero_grad()
        backward(self.task, self.task.network, self.devices, rows, self.generator, 0)
        self.optimiser.step()
        self.task.after_step()


@one_sentence
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time of a training step by objective.")
    parser.add_argument("--repetitions", type=int, default=12, help="turns that count")
    parser.add_argument("--batch", type=int, help="clips (default: the profile's)")
    arguments = parser.parse_args()
    base = load_section("pretrain", PretrainParams, PROFILE)
    if arguments.batch:
        base = base.model_copy(update={"batch": arguments.batch})
    torch.set_num_threads(threads())
    steps = {name: Step(base, *given, base.batch) for name, given in OBJECTIVES.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for turn in range(arguments.repetitions + 2):  # the first two warm up
        order.append(order.pop(0))
        for name in order:
            spent = seconds(steps[name], machine.device())
            if turn >= 2:
                times[name].append(spent)
    hard = times["infonce"]
    print("| objective | ms a step | of InfoNCE |\n|---|---:|---:|")
    for name, spent in times.items():
        ratio = median([one / other for one, other in zip(spent, hard, strict=True)])
        print(f"| {name} | {1000 * median(spent):.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
