"""The two encoders of a zero-shot split: the final one, and the one for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from c2vl.training.devices import Devices
from c2vl.training.keep import forget
from c2vl.training.methods import train
from c2vl.training.reuse import Reuse
from c2vl.training.stage import load_training, publish
from c2vl.training.training_params import BaselinesParams, PretrainParams
from c2vl.training.zero_shot.samples import TrainingSamples
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

PHASES = ("gate", "final")


def pretrain_seen(
    data: Path,
    benchmark: str,
    samples: TrainingSamples,
    params: ZeroShotParams,
    pretrain: PretrainParams,
    device: torch.device,
    state: Path,
    out: Path,
) -> dict[str, Any]:
    """Pretrain both encoders, without labels, and write them to `out/gate` and `out/final`.

    No clip of an unseen class is loaded. Returns what the run log keeps.
    """
    own = params.pretraining(pretrain)
    of_phase = {"gate": samples.gate, "final": samples.seen}
    notes: dict[str, Any] = {}
    for phase in PHASES:
        only = of_phase[phase]
        loaded = load_training(data, benchmark, own.objective.kinds, device, only)
        cell = benchmark, params.stream
        reuse = Reuse(out / phase, Devices(device))
        trained = train("c2vl", *loaded, *cell, own, BaselinesParams(), state / phase, reuse)
        notes[phase] = publish(out / phase, trained)
    for phase in PHASES:  # not before: DVC deletes `out` after a kill, and both are taken up again
        forget(state / phase)
    return notes
