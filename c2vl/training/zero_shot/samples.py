"""Which training clips a split may use, and which of them choose the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from c2vl.core import tables
from c2vl.core.tables.class_list import read_class_list
from c2vl.training.zero_shot.protocols import NotRunError, ZeroShotSplit, find_split
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

ASIDE = 5  # every fifth clip of a seen class is a validation clip of the gate


@dataclass(frozen=True)
class TrainingSamples:
    """Ids of the training clips of seen classes; nothing in here depends on an unseen class.

    Attributes:
        seen: all of them; the final training reads these and no other.
        gate: what the gate's own training reads: seen classes that are not held out, without their
            validation clips.
        validation: what the gate is chosen on: clips of the held-out classes, and every fifth clip
            of the other seen classes.
        held_out: labels of the seen classes that play the unseen ones for the gate.
    """

    seen: list[str]
    gate: list[str]
    validation: list[str]
    held_out: tuple[int, ...]


def labels_of(data: Path, benchmark: str, split: str) -> dict[str, int]:
    """Label of every usable sample in the split `train` or `test` of a benchmark."""
    index = tables.read(data / "index" / "index.parquet", ["sample", "label", "status", benchmark])
    chosen = index.filter(
        pc.and_(pc.equal(index["status"], "ok"), pc.equal(index[benchmark], split))
    )
    return dict(zip(chosen["sample"].to_pylist(), chosen["label"].to_pylist(), strict=True))


def choose_samples(labels: dict[str, int], split: ZeroShotSplit, seed: int) -> TrainingSamples:
    """Divide the training clips of the seen classes.

    Args:
        labels: label by id of the training clips.
        split: which classes are seen.
        seed: of the held-out classes and of the validation clips.
    """
    present = sorted({label for label in labels.values() if label not in split.unseen})
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(present)
    held_out = tuple(sorted(shuffled[: min(split.held_out, len(present) - 1)].tolist()))
    by_class: dict[int, list[str]] = {label: [] for label in present}
    for sample in sorted(labels):
        if labels[sample] in by_class:
            by_class[labels[sample]].append(sample)
    gate, validation = [], []
    for label, samples in by_class.items():
        if label in held_out:
            validation += samples
            continue
        order: Sequence[int] = generator.permutation(len(samples)).tolist()
        aside = {samples[place] for place in order[: max(1, len(samples) // ASIDE)]}
        validation += sorted(aside)
        gate += [sample for sample in samples if sample not in aside]
    seen = [sample for samples in by_class.values() for sample in samples]
    return TrainingSamples(seen, gate, validation, held_out)


def dataset_of(data: Path) -> str:
    """Short name of the data set that the index lists; empty for an index without samples."""
    column = tables.read(data / "index" / "index.parquet", ["dataset"])["dataset"]
    return str(column[0].as_py() or "") if len(column) else ""


def split_samples(
    data: Path, benchmark: str, name: str, params: ZeroShotParams
) -> tuple[ZeroShotSplit, TrainingSamples]:
    """The split `name` on this project's data, and its training samples.

    Raises:
        NotRunError: it is published for another data set, or this one lacks clips for it.
        UserError: there is no such split, or it is not defined on the benchmark.
    """
    classes, dataset = len(read_class_list(data)), dataset_of(data)
    split = find_split(name, dataset, benchmark, classes, params.unseen, params.seed)
    train, test = (labels_of(data, benchmark, part) for part in ("train", "test"))
    if not set(test.values()) & set(split.unseen):
        raise NotRunError(f"{name} on {benchmark}: no test clip of an unseen class is usable.")
    if len(set(train.values()) - set(split.unseen)) < 2 or not set(test.values()) & set(split.seen):
        raise NotRunError(f"{name} on {benchmark}: fewer than two seen classes have usable clips.")
    return split, choose_samples(train, split, params.seed)
