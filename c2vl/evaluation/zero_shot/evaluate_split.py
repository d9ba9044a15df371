"""The numbers of one zero-shot split, from its two encoders, which stay frozen.

Each is used twice: without any label, through the space it shares with the prompts; and with an
alignment head that the labels of its own training clips train. The gate is chosen with the encoder
that has not seen the held-out classes; the numbers are the final encoder's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.numpy import save

from c2vl.core.files import write_bytes, write_json
from c2vl.evaluation.encoded import Array, Encoded
from c2vl.evaluation.frozen_features import encoded_by
from c2vl.evaluation.shared_space import name_similarities
from c2vl.evaluation.zero_shot.alignment import AlignmentHead, train_alignment
from c2vl.evaluation.zero_shot.gate import choose_gate, gzsl, zsl
from c2vl.models.clips import load_clips
from c2vl.training.checkpoint import load_checkpoint
from c2vl.training.zero_shot.protocols import ZeroShotSplit
from c2vl.training.zero_shot.samples import TrainingSamples
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

HEAD, RESULT = "alignment.safetensors", "zero_shot.json"


@dataclass(frozen=True)
class Job:
    """What one split is evaluated with; `descriptions` (classes, width) are of all classes."""

    data: Path
    benchmark: str
    split: ZeroShotSplit
    samples: TrainingSamples
    params: ZeroShotParams
    descriptions: Array
    device: torch.device

    def encoded(self, checkpoint: Path, trained: list[str], asked: list[str] | None) -> Encoded:
        """Features of the clips it was trained on, and of the clips it is asked about.

        Args:
            checkpoint: folder of the encoder.
            trained: ids of its training clips.
            asked: ids of training clips, or None for the test split.
        """
        loaded = load_checkpoint(checkpoint)
        known = load_clips(self.data, self.benchmark, "train", self.device, trained)
        split: Literal["train", "test"] = "test" if asked is None else "train"
        new = load_clips(self.data, self.benchmark, split, self.device, asked)
        return encoded_by(loaded.network, loaded.config, known, new)

    def scored(self, encoded: Encoded) -> tuple[dict[str, Array], AlignmentHead]:
        """Scores (N, classes) of the clips asked about, by setting, and the alignment head.

        `label_free` is missing where the encoder was not aligned with language.
        """
        features, params = encoded.features, self.params
        classes = np.unique(features.train_labels).tolist()
        labelled = features.train, features.train_labels
        head = train_alignment(*labelled, self.descriptions, classes, params.alignment, params.seed)
        found = {"labels": head.scores(features.test, self.descriptions)}
        without = name_similarities(encoded, self.descriptions)
        return found | ({} if without is None else {"label_free": without}), head


def gates(job: Job, checkpoint: Path) -> dict[str, float]:
    """The gate of each setting, chosen on validation clips of the training split."""
    samples = job.samples
    encoded = job.encoded(checkpoint, samples.gate, samples.validation)
    taking_part = set(encoded.features.train_labels.tolist()) | set(samples.held_out)
    absent = [label for label in range(job.split.classes) if label not in taking_part]
    found = {}
    for setting, scores in job.scored(encoded)[0].items():
        scores[:, absent] = -np.inf
        found[setting] = choose_gate(scores, encoded.features.test_labels, samples.held_out)
    return found


def evaluate_split(job: Job, encoders: Path, out: Path) -> dict[str, Any]:
    """Evaluate the encoders in `encoders/gate` and `encoders/final`; write `out`.

    Returns what the run log keeps.
    """
    gate, unseen = gates(job, encoders / "gate"), job.split.unseen
    encoded = job.encoded(encoders / "final", job.samples.seen, None)
    labels = encoded.features.test_labels
    scores, head = job.scored(encoded)
    of_head = {name: np.ascontiguousarray(value) for name, value in asdict(head).items()}
    write_bytes(out / HEAD, save(of_head))
    result = _about(job, encoded, load_checkpoint(encoders / "final").config.training["epochs"])
    for setting, values in scores.items():
        result[setting] = {
            "zsl": zsl(values, labels, unseen),
            "gzsl": gzsl(values, labels, unseen, gate[setting]),
            "gzsl_without_gate": gzsl(values, labels, unseen, 0.0),
        }
    write_json(out / RESULT, result)
    return {setting: result[setting]["zsl"]["top1"] for setting in scores}


def _about(job: Job, encoded: Encoded, epochs: int) -> dict[str, Any]:
    split, of_unseen = job.split, np.isin(encoded.features.test_labels, job.split.unseen)
    return {
        "split": {
            **asdict(split),
            "seen": len(split.seen),
            "held_out": list(job.samples.held_out),
            "benchmark": job.benchmark,
            "stream": encoded.stream,
        },
        "clips": {
            "train": len(encoded.train_samples),
            "test_seen": int((~of_unseen).sum()),
            "test_unseen": int(of_unseen.sum()),
        },
        "epochs": epochs,
    }
