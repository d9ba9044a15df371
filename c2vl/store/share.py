"""Divide a stage's units among processes, without communication between them.

Every process reads the same units, cuts them into the same blocks and takes every n-th block. So
shares are disjoint and even, without a server or a lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from c2vl.core.errors import UserError
from c2vl.store.stage import Unit

Item = TypeVar("Item")
MOST_UNITS, FEWEST_UNITS = 256, 16  # of a block; powers of two, like most batch sizes
BLOCKS_A_SHARD = 8  # at least, if the shard has enough units


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


def batches(units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Cut units into batches of at most `size`; keep a sample's units together if they fit.

    The cut depends only on the units and `size`. So a resumed run computes the same batches as the
    first run, and gets the same results, which may depend on their batch in the last bit.
    """
    batch: list[Unit] = []
    for _, members in groupby(units, key=lambda unit: unit.identity["sample"]):
        sample = list(members)
        if batch and len(batch) + len(sample) > size:
            yield batch
            batch = []
        batch += sample
        while len(batch) > size:
            yield batch[:size]
            batch = batch[size:]
    if batch:
        yield batch


def blocks(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Cut the units of a shard that have a key, each key once, into blocks.

    Batches are cut within blocks. So the batch size does not change the shares, and the shares do
    not change the batches.
    """
    first = list({unit.key: unit for unit in reversed(units) if unit.key is not None}.values())[
        ::-1
    ]
    size = MOST_UNITS
    while size > FEWEST_UNITS and size * BLOCKS_A_SHARD > len(first):
        size //= 2
    return batches(first, size)


def rotated(items: Sequence[Item], start: float) -> list[Item]:
    """Return all items, beginning at the place `start` (from 0 to 1) and going round.

    Examples:
        >>> rotated("abcd", 0), rotated("abcd", 0.5)
        (['a', 'b', 'c', 'd'], ['c', 'd', 'a', 'b'])
    """
    at = int(start * len(items))
    return [*items[at:], *items[:at]]


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
