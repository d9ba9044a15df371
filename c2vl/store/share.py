"""Divide a stage's units among processes, without communication between them.

Every process reads the same units, cuts them into the same blocks and takes every n-th block. So
shares are disjoint and even, without a server or a lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from c2vl.core.errors import UserError


@dataclass(frozen=True)
class Share:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, block: int) -> bool:
        """True if block number `block` of the stage is in this share."""
        return block % self.count == self.index - 1


ALL = Share()


def share_of(text: str) -> Share:
    """Parse a share such as `2/8`.

    Raises:
        UserError: the text is not a share.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--share must be I/N with I from 1 to N, for example 2/8, not '{text}'.")
    return Share(int(match[1]), int(match[2]))


def share_of_environment(environment: Mapping[str, str] = os.environ) -> Share:
    """Return the share that a launcher assigned to this process; without a launcher, everything.

    It knows `accelerate launch` and `torchrun` (RANK of WORLD_SIZE), `srun` (SLURM_PROCID of
    SLURM_STEP_NUM_TASKS) and Slurm's job arrays. In an array of launches, each array task's
    part is divided further.

    Raises:
        UserError: the array's numbers have gaps.
    """
    array = _array(environment)
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if rank in environment and size in environment:
            index, count = int(environment[rank]), int(environment[size])
            return Share((array.index - 1) * count + index + 1, array.count * count)
    return array


def _array(environment: Mapping[str, str]) -> Share:
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return ALL
    number, count, first, step = (
        int(environment.get(f"SLURM_ARRAY_TASK_{name}", default))
        for name, default in (
            ("ID", "0"),
            ("COUNT", "1"),
            ("MIN", environment["SLURM_ARRAY_TASK_ID"]),
            ("STEP", "1"),
        )
    )
    index, rest = divmod(number - first, max(step, 1))
    if rest or not 0 <= index < count:
        raise UserError(
            "This Slurm array has gaps in its numbers, so the shares are unknown; give --share I/N."
        )
    return Share(index + 1, count)
