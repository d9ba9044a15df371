"""What the training stages share: the device, the data of a train split, and publishing a result."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from c2vl import machine
from c2vl.training.checkpoint import save_checkpoint
from c2vl.training.clips import Clips, class_names, load_clips
from c2vl.training.methods import Trained
from c2vl.training.prompts import Prompts, load_prompts


class TrainingData(NamedTuple):
    """A train split: clips, their prompts, and the number of classes."""

    clips: Clips
    prompts: Prompts
    classes: int


def prepare() -> torch.device:
    """The device of this machine; on a CPU as many threads as workers."""
    torch.set_num_threads(machine.workers())
    return machine.device()


def load_training(data: Path, benchmark: str, kinds: Sequence[str], device: torch.device) -> TrainingData:
    """Load the train split of a benchmark with the prompts in use.

    Raises:
        UserError: a table is missing, or nothing usable is in the split.
    """
    clips = load_clips(data, benchmark, "train", device)
    return TrainingData(clips, load_prompts(data, clips.samples, kinds, device), len(class_names(data)))


def publish(folder: Path, trained: Trained) -> dict[str, Any]:
    """Write the checkpoint, print one line, and return what the run log keeps."""
    save_checkpoint(folder, trained.network, trained.config, trained.curves)
    notes: dict[str, Any] = {"clips": trained.config.clips, "left_out": trained.config.left_out}
    if trained.curves:
        last = trained.curves[-1]
        notes |= {"epochs": last.epoch, "loss": last.loss}
        notes |= {"probe": last.probe} if last.probe is not None else {}
    told = ", ".join(f"{name} {value:.4g}" for name, value in notes.items())
    print(f"{folder}: {told}", file=sys.stderr)
    return notes
