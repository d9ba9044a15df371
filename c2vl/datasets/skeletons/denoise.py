"""Denoising: which bodies of a clip are people worth keeping, most motion first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from c2vl.datasets.skeletons.bodies import Body, motion_of

SHORT = 11  # frames; a body must appear in more
FLAT = 0.8  # of the y-span; a wider body is noise in that frame
NOISY = 0.69754  # share of such frames from which on a body is dropped


def keep_people(bodies: list[Body]) -> tuple[list[Body], str]:
    """Return the bodies that survive, most motion first, and a note when the rules had to be completed.

    For clips of more than one body, given in order of first appearance. Short bodies are dropped; where exactly one
    is left, it is the actor. Then, while more than one is left, flat bodies are dropped, and the motion of those with
    some flat frames is capped by the motion over their clean frames.

    Where every body is short the original fails; we keep the longest (the first of equals) and say so in the note.
    """
    long = [body for body in bodies if len(body.numbers) > SHORT]
    if not long:
        longest = max(bodies, key=lambda body: len(body.numbers))
        return (
            [longest],
            f"no body appears in more than {SHORT} frames: kept the longest, of {len(longest.numbers)}",
        )
    if len(long) == 1:
        return long, ""
    people: list[Body] = []
    for position, body in enumerate(long):
        alone = len(people) + len(long) - position == 1
        judged = body if alone else _judged(body)
        if judged is not None:
            people.append(judged)
    return sorted(people, key=lambda body: body.motion, reverse=True), ""


def _judged(body: Body) -> Body | None:
    """The body with its motion capped, or None where it is flat too often."""
    noisy = flat_frames(body.joints)
    if not noisy.any():
        return body
    if noisy.sum() / len(noisy) >= NOISY:
        return None
    return replace(body, motion=min(body.motion, motion_of(body.joints[~noisy])))


def flat_frames(joints: np.ndarray) -> np.ndarray:
    """(n,) bool: frames of (n, 25, 3) whose x-span exceeds 0.8 times their y-span."""
    # Spans in float32, the product in double: what NumPy did when the published sets were made.
    x_span, y_span = (np.ptp(joints[..., axis], axis=1).astype(np.float64) for axis in (0, 1))
    return np.asarray(x_span > FLAT * y_span)
