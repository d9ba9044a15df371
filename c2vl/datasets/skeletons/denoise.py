"""Denoising as GAP and CTR-GCN do it: from a `.skeleton` file to the joints of two actors.

`denoise` applies the published rules in their order: read the bodies (`bodies.py`), keep those
that are people, write them into two actors, centre (`actors.py`), fill an empty second slot.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonError, SkeletonFile
from c2vl.datasets.skeleton_params import Rules, Solo
from c2vl.datasets.skeletons.actors import Actors, Log, centred, present
from c2vl.datasets.skeletons.bodies import Body, motion_of, read_bodies

SHORT = 11  # frames; a body must appear in more
FLAT = 0.8  # of the y-span; a wider body is noise in that frame
NOISY = 0.69754  # share of such frames from which on a body is dropped


def denoise(file: SkeletonFile, rules: Rules = "ctrgcn", solo: Solo = "zeros") -> Actors:
    """Denoise a parsed file.

    Args:
        file: the bodies of each frame.
        rules: `ctrgcn` gives exactly the published output; `aligned` keeps bodies at their own
            frames after a gap.
        solo: what the second slot of a clip of one body holds.

    Raises:
        SkeletonError: no frame holds a body, or nothing but zeros is left.
    """
    clip = _denoised(file, rules, solo)
    slots = clip.slots
    colour, tracked = _by_frame_of_file(file, slots)
    log = Log(
        bodies_seen=clip.bodies_seen,
        bodies_dropped=clip.bodies_seen - sum(map(len, slots.members)),
        frames_dropped=file.frames - len(clip.joints),
        merged=sum(max(len(members) - 1, 0) for members in slots.members),
        rules_differ=_differences(file, clip.joints, rules, solo),
        note="; ".join(filter(None, [clip.note, slots.note()])),
    )
    # A body of zeros takes a slot by the published rules, but nobody is there.
    bodies = int(slots.joints.any(axis=(0, 2, 3)).sum())
    return Actors(clip.joints, bodies, colour, tracked, log)


@dataclass(frozen=True)
class _Clip:
    joints: np.ndarray
    slots: Slots
    bodies_seen: int
    note: str


def _denoised(file: SkeletonFile, rules: Rules, solo: Solo) -> _Clip:
    """The rules, in order."""
    bodies, frames = read_bodies(file, rules)
    if not bodies:
        raise SkeletonError("no frame of the skeleton file holds a body")
    people, note = keep_people(bodies) if len(bodies) > 1 else (bodies, "")
    slots = assign(people, frames)
    joints = slots.joints
    if len(bodies) > 1:
        joints = joints[present(joints).any(axis=1)]
    joints = centred(joints)
    if solo == "copy" and len(people) == 1:
        joints[:, 1] = joints[:, 0]
    return _Clip(joints, slots, len(bodies), note)


def keep_people(bodies: list[Body]) -> tuple[list[Body], str]:
    """Return the bodies that are people, most motion first, and a note where the rules lack a case.

    For clips of more than one body, given in order of first appearance. Short bodies are dropped;
    where exactly one is left, it is the actor. Then, while more than one is left, flat bodies are
    dropped, and the motion of those with some flat frames is capped by the motion over their other
    frames.

    Where every body is short the original fails; we keep the longest (the first of equals) and say
    so in the note.
    """
    long = [body for body in bodies if len(body.numbers) > SHORT]
    if not long:
        longest = max(bodies, key=lambda body: len(body.numbers))
        return [longest], (
            f"no body appears in more than {SHORT} frames: kept the longest, "
            f"of {len(longest.numbers)}"
        )
    if len(long) == 1:
        return long, ""
    people: list[Body] = []
    for position, body in enumerate(long):
        alone = len(people) + len(long) - position == 1
        judged = body if alone else _judged_by_spread(body)
        if judged is not None:
            people.append(judged)
    return sorted(people, key=lambda body: body.motion, reverse=True), ""


def _judged_by_spread(body: Body) -> Body | None:
    """The body with its motion capped, or None where it is flat too often."""
    flat = flat_frames(body.joints)
    if not flat.any():
        return body
    if flat.sum() / len(flat) >= NOISY:
        return None
    return replace(body, motion=min(body.motion, motion_of(body.joints[~flat])))


def flat_frames(joints: np.ndarray) -> np.ndarray:
    """(n,) bool: frames of (n, 25, 3) whose x-span exceeds 0.8 times their y-span."""
    # Spans in float32, the product in double: what NumPy did when the published sets were made.
    x_span, y_span = (np.ptp(joints[..., axis], axis=1).astype(np.float64) for axis in (0, 1))
    return np.asarray(x_span > FLAT * y_span)


@dataclass
class Slots:
    """The two actors by frame number, before missing frames are removed.

    Attributes:
        joints: (n, 2, 25, 3) float32, metres, zero where absent.
        members: the bodies written into each slot, in the order of writing.
        late: appearances whose number lies past the last frame (one id twice in a frame makes
            numbers run ahead).
    """

    joints: np.ndarray
    members: tuple[list[Body], list[Body]] = field(default_factory=lambda: ([], []))
    late: int = 0

    def write(self, slot: int, body: Body) -> None:
        """Write `body` over what stands in `slot`."""
        inside = body.numbers < len(self.joints)
        self.joints[body.numbers[inside], slot] = body.joints[inside]
        self.members[slot].append(body)
        self.late += int((~inside).sum())

    def note(self) -> str:
        """A sentence on what was dropped; empty where nothing was."""
        if not self.late:
            return ""
        return f"a body appears twice in a frame: {self.late} frames past the end dropped"


def assign(people: list[Body], frames: int) -> Slots:
    """Write bodies, most motion first, into the two slots of a clip of `frames` numbered frames.

    The first body is actor 1. Each further one joins actor 1 where the two intervals share at most
    one frame, else actor 2 by the same rule, else it is dropped; the actor's interval becomes the
    hull. Actor 2 begins as [0, 0].
    """
    slots = Slots(np.zeros((frames, 2, 25, 3), np.float32))
    first = people[0]
    slots.write(0, first)
    intervals = [(first.start, first.end), (0, 0)]
    for body in people[1:]:
        for slot, (start, end) in enumerate(intervals):
            if min(end, body.end) - max(start, body.start) <= 0:
                slots.write(slot, body)
                intervals[slot] = (min(start, body.start), max(end, body.end))
                break
    return slots


def _by_frame_of_file(file: SkeletonFile, slots: Slots) -> tuple[np.ndarray, np.ndarray]:
    """Colour joints and tracking states of the actors' bodies, at their own frames of the file.

    Where all joints of a body are zero, nobody is there.
    """
    colour = np.full((file.frames, 2, 25, 2), np.nan, np.float32)
    tracked = np.zeros((file.frames, 2, 25), np.uint8)
    for slot, members in enumerate(slots.members):
        for body in members:
            records = body.records[body.joints.any(axis=(1, 2))]
            colour[file.frame[records], slot] = file.colour[records]
            tracked[file.frame[records], slot] = file.tracked[records]
    return colour, tracked


def _differences(file: SkeletonFile, joints: np.ndarray, rules: Rules, solo: Solo) -> int:
    """Actor-frames where the other rules give another output, or that only one of the two has."""
    other: Rules = "aligned" if rules == "ctrgcn" else "ctrgcn"
    numbers = ([body.numbers for body in read_bodies(file, either)[0]] for either in (rules, other))
    if all(np.array_equal(mine, theirs) for mine, theirs in zip(*numbers, strict=True)):
        return 0
    try:
        theirs = _denoised(file, other, solo).joints
    except SkeletonError:  # the other rules leave nothing
        theirs = joints[:0]
    shared = min(len(joints), len(theirs))
    differing = (joints[:shared] != theirs[:shared]).any(axis=(2, 3)).sum()
    extra = [longer[shared:].any(axis=(2, 3)).sum() for longer in (joints, theirs)]
    return int(differing + sum(extra))
