"""Chooses the samples of the gallery: a random draw over the classes, and frames that failed.

The draw does not look at results, so the gallery does not favour successes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Choice:
    """One card of the gallery: the sample, one of its K prompts, and what failed (if anything)."""

    sample: str
    k: int
    why: str = ""


def typical(labels: Mapping[str, int], prompts: int, count: int, seed: int) -> list[Choice]:
    """Draw `count` classes spread evenly over all classes, and of each a sample and a prompt.

    Args:
        labels: label of each sample that may be shown.
        prompts: K.
        count: samples wanted.
        seed: seed of the draw.
    """
    generator = np.random.default_rng(seed)
    members: dict[int, list[str]] = {}
    for sample in sorted(labels):
        members.setdefault(labels[sample], []).append(sample)
    classes = sorted(members)
    wanted = min(count, len(classes))
    chosen = [classes[turn * len(classes) // wanted] for turn in range(wanted)]
    return [
        Choice(str(generator.choice(members[label])), int(generator.integers(max(1, prompts))))
        for label in chosen
    ]


def failures(
    frames: Sequence[Mapping[str, Any]],
    failed: Sequence[tuple[str, int, str]],
    shown: set[str],
    count: int,
    seed: int,
) -> list[Choice]:
    """Choose failed frames, in turn from each kind of failure.

    Args:
        frames: rows of `results/scores/frames.parquet`; empty without ground truth.
        failed: (sample, k, reason) of the crops and answers whose status is not ok.
        shown: samples already in the gallery; the chosen samples are added to it.
        count: number of cards wanted.
        seed: seed of the draw.
    """
    kinds: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "a person was missed": lambda frame: _less(frame["matched"], frame["people"]),
        "something was found that is not a person": lambda frame: _less(
            frame["matched"], frame["detections"]
        ),
        "object and action phrase are both wrong": lambda frame: (
            _wrong(frame, "object") and _wrong(frame, "phrase")
        ),
        "the posture is wrong": lambda frame: _wrong(frame, "posture"),
    }
    found = [
        [Choice(frame["sample"], frame["k"], why) for frame in frames if went(frame)]
        for why, went in kinds.items()
    ]
    found.insert(0, [Choice(sample, k, reason) for sample, k, reason in failed])
    generator = np.random.default_rng(seed)
    queues = [[kind[at] for at in generator.permutation(len(kind))] for kind in found if kind]
    chosen: list[Choice] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            while queue and queue[-1].sample in shown:
                queue.pop()
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
                shown.add(chosen[-1].sample)
    return chosen


def _less(found: int | None, wanted: int | None) -> bool:
    return found is not None and wanted is not None and found < wanted


def _wrong(frame: Mapping[str, Any], part: str) -> bool:
    return (
        frame["answer"] is not None
        and frame[f"{part}_true"] is not None
        and frame[f"{part}_said"] != frame[f"{part}_true"]
    )
