"""One split of a zero-shot protocol, from training to its numbers.

Two trainings: the final one on all seen training clips, and the gate's own, which leaves out some
seen classes so that they can play the unseen ones. Each encoder is used twice, frozen: without any
label, through the space it shares with the prompts; and with an alignment head that the labels of
its training clips train. No clip of an unseen class is loaded before both trainings are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from c2vl.core.files import write_bytes, write_json
from c2vl.evaluation.encoded import Array, Encoded
from c2vl.evaluation.frozen_features import encoded_by
from c2vl.evaluation.shared_space import name_similarities
from c2vl.evaluation.zero_shot.alignment import AlignmentHead, train_alignment
from c2vl.evaluation.zero_shot.gate import choose_gate, gzsl, zsl
from c2vl.evaluation.zero_shot.protocols import ZeroShotSplit
from c2vl.evaluation.zero_shot.samples import TrainingSamples
from c2vl.evaluation.zero_shot.zero_shot_params import ZeroShotParams
from c2vl.models.clips import load_clips
from c2vl.training.devices import Devices
from c2vl.training.keep import forget
from c2vl.training.methods import Trained, train
from c2vl.training.stage import TrainingData, load_training, publish
from c2vl.training.training_params import BaselinesParams, PretrainParams

SETTINGS = ("label_free", "labels")
HEAD, RESULT = "alignment.safetensors", "zero_shot.json"


@dataclass(frozen=True)
class Job:
    """What one split is trained and evaluated with."""

    data: Path
    benchmark: str
    split: ZeroShotSplit
    params: ZeroShotParams
    pretrain: PretrainParams
    descriptions: Array
    device: torch.device


def train_on(job: Job, samples: Sequence[str], state: Path) -> tuple[TrainingData, Trained]:
    """Pretrain an encoder on these training clips alone, without labels."""
    params = job.params.pretraining(job.pretrain)
    kinds = params.objective.kinds
    loaded = load_training(job.data, job.benchmark, kinds, job.device, samples)
    cell = job.benchmark, job.params.stream
    return loaded, train("c2vl", *loaded, *cell, params, BaselinesParams(), state)


def scored(job: Job, encoded: Encoded) -> tuple[dict[str, Array], AlignmentHead]:
    """Scores (N, classes) of the test part of `encoded` by setting, and the alignment head.

    `label_free` is missing where the encoder was not aligned with language.
    """
    features = encoded.features
    classes = np.unique(features.train_labels).tolist()
    head = train_alignment(
        features.train,
        features.train_labels,
        job.descriptions,
        classes,
        job.params.alignment,
        job.params.seed,
    )
    found = {"labels": head.scores(features.test, job.descriptions)}
    without = name_similarities(encoded, job.descriptions)
    return found | ({} if without is None else {"label_free": without}), head


def gates(
    job: Job, samples: TrainingSamples, loaded: TrainingData, trained: Trained
) -> dict[str, float]:
    """The gate of each setting, chosen on validation clips of the training split."""
    clips = load_clips(job.data, job.benchmark, "train", job.device, samples.validation)
    encoded = encoded_by(trained.network, trained.config, loaded.clips, clips)
    scores, _ = scored(job, encoded)
    taking_part = set(loaded.clips.labels.tolist()) | set(samples.held_out)
    absent = [label for label in range(job.split.classes) if label not in taking_part]
    found = {}
    for setting, values in scores.items():
        values[:, absent] = -np.inf
        found[setting] = choose_gate(values, clips.labels, samples.held_out)
    return found


def run_split(job: Job, samples: TrainingSamples, state: Path, out: Path) -> dict[str, Any]:
    """Train, evaluate and write `out`; returns what the run log keeps.

    Of several processes only the main one evaluates and writes.
    """
    main = Devices(job.device).main
    loaded, trained = train_on(job, samples.gate, state / "gate")
    gate = gates(job, samples, loaded, trained) if main else {}
    loaded, trained = train_on(job, samples.seen, state / "final")
    if not main:
        return {}
    notes = publish(out, trained)
    test = load_clips(job.data, job.benchmark, "test", job.device)
    encoded = encoded_by(trained.network, trained.config, loaded.clips, test)
    scores, head = scored(job, encoded)
    of_head = {name: np.ascontiguousarray(value) for name, value in asdict(head).items()}
    write_bytes(out / HEAD, save(of_head))
    result = about(job, samples, encoded)
    for setting, values in scores.items():
        unseen = job.split.unseen
        result[setting] = {
            "zsl": zsl(values, test.labels, unseen),
            "gzsl": gzsl(values, test.labels, unseen, gate[setting]),
            "gzsl_without_gate": gzsl(values, test.labels, unseen, 0.0),
        }
    write_json(out / RESULT, result)
    for phase in ("gate", "final"):  # not before: after a kill in between both are taken up again
        forget(state / phase)
    return notes | {setting: result[setting]["zsl"]["top1"] for setting in scores}


def about(job: Job, samples: TrainingSamples, encoded: Encoded) -> dict[str, Any]:
    """What a reader has to know beside the numbers."""
    split, of_unseen = job.split, np.isin(encoded.features.test_labels, job.split.unseen)
    schedule = job.params.pretraining(job.pretrain)
    return {
        "split": {
            **asdict(split),
            "seen": len(split.seen),
            "held_out": list(samples.held_out),
            "benchmark": job.benchmark,
            "stream": job.params.stream,
        },
        "clips": {
            "train": len(encoded.train_samples),
            "test_seen": int((~of_unseen).sum()),
            "test_unseen": int(of_unseen.sum()),
        },
        "epochs": schedule.epochs,
    }
