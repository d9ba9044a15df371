"""Damaged `.skeleton` files give finite actors or a reason, and take little time."""

from __future__ import annotations

import time
import warnings
from random import Random

import numpy as np
import pytest
from ntu_text import record, text

from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeletons.denoise import denoise

NUMBERS = [
    b"nan",
    b"-inf",
    b"1e300",
    b"3e38",
    b"-3e38",
    b"99999999",
    b"-1.#INF",
    b"0",
    b"1e-40",
    b"x",
    b"",
]


def test_coordinates_beyond_any_sensor_give_a_reason() -> None:
    """The difference of two finite float32 coordinates may be infinite, so centring would fail."""
    random = np.random.default_rng(0)
    lines = text(2, [record(random, frame, "1") for frame in range(2)]).split(b"\n")
    for number in (b"3e38", b"-3e38", b"2e9"):
        lines[4] = number + lines[4][lines[4].index(b" ") :]
        with pytest.raises(SkeletonError, match="or absurd"):
            parse_skeleton(b"\n".join(lines))


@pytest.mark.slow
def test_damaged_numbers_counts_and_ids_give_finite_actors_or_a_reason() -> None:
    random, values = Random(0), np.random.default_rng(0)
    bodies = [
        record(values, frame, body, flat=body == "9")
        for frame in range(14)
        for body in ("7", "8", "9")
        if frame % 5
    ]
    words = [line.split(b" ") for line in text(14, bodies).split(b"\n")]
    slowest = 0.0
    for _ in range(300):
        changed = [list(line) for line in words]
        for _ in range(random.randrange(1, 4)):
            line = random.choice(changed)
            if line[0] == b"7" or random.random() < 0.1:
                # Bodies that swap, repeat or vanish.
                line[0] = random.choice([b"7", b"8", b"9", b"0"])
            else:
                line[random.randrange(len(line))] = random.choice(NUMBERS)
        data = b"\n".join(b" ".join(line) for line in changed)
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an overflow would be a warning first
            try:
                file = parse_skeleton(data)
                for rules in ("ctrgcn", "aligned"):
                    actors = denoise(file, rules, random.choice(["zeros", "copy"]))
                    assert np.isfinite(actors.joints).all() and 1 <= actors.bodies <= 2
            except SkeletonError as error:
                assert str(error).isprintable()
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5
