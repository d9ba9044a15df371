"""From bodies to two actors: bodies that do not overlap in time share a slot."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from c2vl.datasets.skeletons.bodies import Body


@dataclass
class Slots:
    """The two actors by frame number, before missing frames are removed.

    Attributes:
        joints: (n, 2, 25, 3) float32, metres, zero where absent.
        members: the bodies written into each slot, in the order of writing.
        late: appearances whose number lies past the last frame (one id twice in a frame makes numbers run ahead).
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


def assign(people: list[Body], frames: int) -> Slots:
    """Write bodies, most motion first, into the two slots of a clip of `frames` numbered frames.

    The first body is actor 1. Each further one joins actor 1 where the two intervals share at most one frame, else
    actor 2 by the same rule, else it is dropped; the actor's interval becomes the hull. Actor 2 begins as [0, 0].
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
