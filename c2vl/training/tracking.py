"""Curves while a training runs: DVCLive or TensorBoard, a row an epoch.

What they write has times, so it lies beside the state (`.c2vl/training/<name>/live`) and never in
an output: `curves.csv` there has the same numbers.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from c2vl.core.errors import UserError
from c2vl.training.curves import Epoch
from c2vl.training.training_params import TrackerName


class Tracker(Protocol):
    """Receives each row of the curves."""

    def log(self, row: Epoch) -> None:
        """Write the row of one epoch."""

    def close(self) -> None:
        """End: the training finished or failed."""


class NoTracker:
    """Tracks nothing."""

    def log(self, row: Epoch) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class DVCLiveTracker:
    """Curves for DVC's VS Code extension, or for `dvc plots show <folder>/plots/metrics`."""

    def __init__(self, folder: Path, resumed: bool) -> None:
        from dvclive import Live

        self.live: Any = Live(
            dir=str(folder),
            resume=resumed,
            report=None,
            save_dvc_exp=False,
            dvcyaml=None,
            monitor_system=False,
        )

    def log(self, row: Epoch) -> None:
        """Write the row of one epoch."""
        self.live.step = row.epoch
        for name, value in values(row).items():
            self.live.log_metric(name, value)
        self.live.make_summary()

    def close(self) -> None:
        """Do nothing: `Live.end` would write a dvc.yaml and stage files for git."""


class TensorBoardTracker:
    """Curves for `tensorboard --logdir .c2vl/training`."""

    def __init__(self, folder: Path, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(folder), purge_step=first)

    def log(self, row: Epoch) -> None:
        """Write the row of one epoch."""
        for name, value in values(row).items():
            self.writer.add_scalar(name, value, row.epoch)

    def close(self) -> None:
        """Flush to the disk."""
        self.writer.close()


def values(row: Epoch) -> dict[str, float]:
    """Return the columns of an epoch that have a value."""
    return {
        name: value for name, value in asdict(row).items() if name != "epoch" and value is not None
    }


def make_tracker(name: TrackerName, folder: Path, done: int) -> Tracker:
    """Return a tracker that writes to `folder`, going on after `done` epochs.

    Raises:
        UserError: its package is not installed.
    """
    if name == "none":
        return NoTracker()
    try:
        return (
            DVCLiveTracker(folder, done > 0)
            if name == "dvclive"
            else TensorBoardTracker(folder, done + 1)
        )
    except ImportError:
        raise UserError(
            f"`pretrain.tracker: {name}` needs the package {name}; "
            f"run `pip install {name}` or set it to none."
        ) from None
