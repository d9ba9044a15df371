"""Synthetic lists of all clip names of NTU RGB+D 60 and 120."""

from __future__ import annotations

import itertools

from c2vl.datasets.benchmarks import NTU120_SUBJECTS, missing_skeletons
from c2vl.datasets.names import SampleName


def grid(dataset: str) -> list[SampleName]:
    """As many names as the data set has, 56,880 or 114,480, spread over splits as the real ones.

    Who performed in which setup is published with the data only. The pairs of setup and subject
    here are those that the lists of missing skeletons prove, filled up with made-up ones to the
    real numbers of pairs: 158 in NTU60's setups (112 of training subjects) and 160 in the later
    ones (64 of training subjects), together 152 in even setups.
    """
    known = sorted({(name.setup, name.subject) for name in missing_skeletons("ntu120")})
    old = _filled(
        [pair for pair in known if pair[0] <= 17],
        range(1, 18),
        range(1, 41),
        {True: 112, False: 46},
        None,
    )
    even = 152 - sum(setup % 2 == 0 for setup, _ in old)
    new = _filled(
        [pair for pair in known if pair[0] > 17],
        range(18, 33),
        range(41, 107),
        {True: 64, False: 96},
        even,
    )
    halves = (
        [(old, range(1, 61))]
        if dataset == "ntu60"
        else [(old, range(1, 61)), (new, range(61, 121))]
    )
    return [
        SampleName(setup, camera, subject, repetition, action)
        for pairs, actions in halves
        for (setup, subject), camera, repetition, action in itertools.product(
            pairs, (1, 2, 3), (1, 2), actions
        )
    ]


def _filled(
    known: list[tuple[int, int]],
    setups: range,
    subjects: range,
    by_training: dict[bool, int],
    even: int | None,
) -> list[tuple[int, int]]:
    total = sum(by_training.values())
    by_parity = {0: total, 1: total} if even is None else {0: even, 1: total - even}
    room, pairs = dict(by_training), []
    for setup, subject in [
        *known,
        *(pair for pair in itertools.product(setups, subjects) if pair not in known),
    ]:
        if room[subject in NTU120_SUBJECTS] and by_parity[setup % 2]:
            room[subject in NTU120_SUBJECTS] -= 1
            by_parity[setup % 2] -= 1
            pairs.append((setup, subject))
    assert set(known) <= set(pairs) and len(pairs) == total
    return pairs
