"""The skeleton of a data set: its joints, bones, coordinates and persons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
Coordinates = Literal["3d", "2d"]
SIDES = ("left", "right", "middle")  # of the body
SEEN = 0.01  # a 2D joint with a score above is seen; pyskl's threshold
T = TypeVar("T")


@dataclass(frozen=True)
class SkeletonLayout:
    """What the numbers of a clip (T, M, V, 3) mean; the bones form a tree.

    Attributes:
        name: of the file, without `.yaml`.
        joints: their names, V of them.
        parents: the parent of each joint, from 0; the root is its own parent.
        coordinates: `3d`: x, y, z in metres; `2d`: x, y and the pose estimator's score.
        persons: M, slots for persons; empty slots hold zeros.
        centre: joints on whose mean 3D clips are centred; empty for 2D.
        sides: (left, right) pairs of joints.
        head: (middle of the head, neck), for drawing; None where there are no such joints.
        colour_frame: width and height of the image in whose pixels the sensor also gives each 3D
            joint; None where it gives none.

    Raises:
        ValueError: the joints and bones are no skeleton; the sentence says why.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    coordinates: Coordinates
    persons: int = 2
    centre: tuple[int, ...] = ()
    sides: tuple[tuple[int, int], ...] = ()
    head: tuple[int, int] | None = None
    colour_frame: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"'{self.name}' is no name for a skeleton; use lower-case letters, digits, - and _"
            )
        named = [*self.parents, *self.centre, *(self.head or ()), *sum(self.sides, ())]
        if len(self.parents) != self.count or not set(named) <= set(range(self.count)):
            raise ValueError(f"joints have numbers from 0 to {self.count - 1}, and a parent each")
        if (name := twice(self.joints)) is not None:
            raise ValueError(f"two joints are called '{name}'")
        if (joint := twice(sum(self.sides, ()))) is not None:
            raise ValueError(f"`sides` names '{self.joints[joint]}' twice")
        self._check_tree()
        if self.three_d and not self.centre:
            raise ValueError("`centre` is missing; name the joint that 3D clips are centred on")
        for key, value in (("centre", self.centre), ("colour_frame", self.colour_frame)):
            if value and not self.three_d:
                raise ValueError(f"`{key}` is for 3D joints; remove it")

    def _check_tree(self) -> None:
        roots = [joint for joint, parent in enumerate(self.parents) if joint == parent]
        if len(roots) > 1:
            names = " and ".join(f"'{self.joints[joint]}'" for joint in roots[:2])
            raise ValueError(f"{names} have no parent; a skeleton has one root")
        for joint in range(self.count):
            at = joint
            for _ in range(self.count):
                at = self.parents[at]
            if at not in roots:
                raise ValueError(f"the bones from '{self.joints[joint]}' lead round in a circle")

    @property
    def count(self) -> int:
        """Number of joints V."""
        return len(self.joints)

    @property
    def three_d(self) -> bool:
        """Whether joints are metres in space."""
        return self.coordinates == "3d"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(M, V, 3): persons, joints, and numbers of a joint."""
        return self.persons, self.count, 3

    def fits(self, other: SkeletonLayout) -> bool:
        """Whether clips of the one can be read as the other's: same joints, bones, coordinates."""
        return (self.shape, self.parents, self.coordinates) == (
            other.shape,
            other.parents,
            other.coordinates,
        )

    @property
    def root(self) -> int:
        """The joint that all bones lead to."""
        return next(joint for joint, parent in enumerate(self.parents) if joint == parent)

    @property
    def bones(self) -> list[tuple[int, int]]:
        """(joint, parent) pairs in the order of the joints."""
        return [(joint, parent) for joint, parent in enumerate(self.parents) if joint != parent]

    def side(self, joint: int) -> Literal["left", "right", "middle"]:
        """Side of the body that a joint is on."""
        for left, right in self.sides:
            if joint in (left, right):
                return "left" if joint == left else "right"
        return "middle"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """All of it as JSON on one line, the same for equal skeletons."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> SkeletonLayout:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return TypeAdapter(SkeletonLayout).validate_json(text)
        except ValidationError as error:
            raise ValueError(f"not a skeleton: {error.errors()[0]['msg']}") from None


def twice(values: Iterable[T]) -> T | None:
    """The first value that comes more than once; None if there is none."""
    return next((value for value, count in Counter(values).items() if count > 1), None)
