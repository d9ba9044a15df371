"""What the training stages share: the device, the data of a train split, publishing a result."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from c2vl.core import machine
from c2vl.core.files import write_json
from c2vl.core.lock import stage_lock
from c2vl.core.runlog import logged
from c2vl.core.tables.class_list import read_class_list
from c2vl.models.clips import Clips, load_clips
from c2vl.models.prompt_features import Prompts
from c2vl.models.read_prompts import read_prompts
from c2vl.training.checkpoint import save_checkpoint
from c2vl.training.devices import Devices
from c2vl.training.keep import forget
from c2vl.training.methods import Trained
from c2vl.training.reuse import RECORD

log = logging.getLogger(__name__)


class TrainingData(NamedTuple):
    """A train split: clips, their prompts (none: skeletons alone), and the number of classes."""

    clips: Clips
    prompts: Prompts | None
    classes: int


@contextlib.contextmanager
def recorded(stage: str, device: torch.device) -> Iterator[dict[str, Any]]:
    """The stage's lock and run log (`stage_lock`, `logged`); only the main process has them."""
    if not Devices(device).main:
        yield {}
        return
    with stage_lock(stage), logged(stage) as notes:
        yield notes


def state_folder(name: str) -> Path:
    """Where the state of the training `name` is kept while it is under way."""
    return machine.state_dir() / "training" / name


def load_training(
    data: Path,
    benchmark: str,
    kinds: Sequence[str],
    device: torch.device,
    only: Collection[str] | None = None,
    skeletons: Path | None = None,
) -> TrainingData:
    """Load the train split of a benchmark, or the samples `only` of it, with the prompts in use.

    `skeletons` as in `load_clips`.

    Raises:
        UserError: a table is missing, or nothing usable is in the split.
    """
    clips = load_clips(data, benchmark, "train", device, only, skeletons)
    return TrainingData(
        clips, read_prompts(data, clips.samples, kinds, device), len(read_class_list(data))
    )


def load_labelled(data: Path, benchmark: str, device: torch.device) -> TrainingData:
    """As `load_training`, of a data set of skeletons alone."""
    clips = load_clips(data, benchmark, "train", device)
    return TrainingData(clips, None, len(read_class_list(data)))


def publish(folder: Path, trained: Trained, state: Path | None = None) -> dict[str, Any]:
    """Write the checkpoint and its key, forget the unfinished state, and print one line.

    Of several processes only the main one writes. Returns what the run log keeps.
    """
    if not Devices(next(trained.network.parameters()).device).main:
        return {}
    save_checkpoint(folder, trained.network, trained.config, trained.curves)
    if trained.record is not None:
        write_json(folder / RECORD, trained.record)
    if state is not None:
        forget(state)
    notes: dict[str, Any] = {"clips": trained.config.clips, "left_out": trained.config.left_out}
    if trained.curves:
        last = trained.curves[-1]
        notes |= {"epochs": last.epoch, "loss": last.loss}
        notes |= {"probe": last.probe} if last.probe is not None else {}
    shown = ", ".join(f"{name} {value:.4g}" for name, value in notes.items())
    log.warning(f"{folder}: {shown}")
    return notes
