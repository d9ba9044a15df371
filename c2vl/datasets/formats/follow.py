"""Follow people over the frames of a pose estimator that lists them in any order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from c2vl.datasets.formats.recording import MOST_PERSONS
from c2vl.datasets.skeleton_file import SkeletonError

FARTHEST_STEP = 1.0  # between frames, as a share of the person's size
LONGEST_GAP = 15  # frames; somebody who comes back later is another person


def follow(frames: Sequence[np.ndarray], ids: Sequence[Sequence[int]] | None = None) -> np.ndarray:
    """Give each person a place of their own over all frames.

    In each frame, the people and the persons seen before are matched so that the sum of the mean
    distances of their joints is smallest (Hungarian method). A match farther than the person's
    size, or after a long gap, is none.

    Args:
        frames: for each frame (P, V, C) joints; x and y come first, a score of 0 or a joint at
            the origin was not found.
        ids: for each frame the P numbers of its people, where the estimator followed them itself.

    Returns:
        (T, M, V, C), zero where a person is absent; M is the number of persons followed.

    Raises:
        SkeletonError: there are absurdly many people.
    """
    places: list[list[tuple[int, int]]] = []  # of each person: (frame, position in it)
    if ids is not None:
        by_id: dict[int, list[tuple[int, int]]] = {}
        for at, numbers in enumerate(ids):
            for position, number in enumerate(numbers):
                by_id.setdefault(number, []).append((at, position))
        places = list(by_id.values())
    else:
        for at, people in enumerate(frames):
            if len(people) > MOST_PERSONS:
                raise SkeletonError(f"frame {at} has {len(people)} people")
            alive = [one for one in places if at - one[-1][0] <= LONGEST_GAP]
            last = [frames[one[-1][0]][one[-1][1]] for one in alive]
            matched = _match(last, people)
            for position in range(len(people)):
                if position in matched:
                    alive[matched[position]].append((at, position))
                else:
                    places.append([(at, position)])
    shape = next((people.shape[1:] for people in frames if len(people)), None)
    if shape is None:
        raise SkeletonError("nobody is in any frame")
    places = sorted(places, key=len, reverse=True)[:MOST_PERSONS]  # the rest are glimpses
    joints = np.zeros((len(frames), len(places), *shape), np.float32)
    for person, seen in enumerate(places):
        for at, position in seen:
            joints[at, person] = frames[at][position]
    return joints


def _match(last: Sequence[np.ndarray], people: np.ndarray) -> dict[int, int]:
    """Position of a person in this frame -> in `last`."""
    if not last or not len(people):
        return {}
    cost = np.array([[_distance(one, person) for one in last] for person in people])
    rows, columns = linear_sum_assignment(cost)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if cost[row, column] <= FARTHEST_STEP
    }


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of the joints that both have, as a share of the first one's size."""
    both = one[:, :2].any(axis=1) & other[:, :2].any(axis=1)
    if not both.any():
        return 2 * FARTHEST_STEP
    found = one[one[:, :2].any(axis=1), :2]
    size = float(np.linalg.norm(found.max(axis=0) - found.min(axis=0)))
    step = float(np.linalg.norm(one[both, :2] - other[both, :2], axis=1).mean())
    return min(step / max(size, 1e-6), 2 * FARTHEST_STEP)
