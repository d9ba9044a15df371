"""Shares of a stage's units for several processes, cut so that no process has to ask another.

Every process reads the same units, cuts them into the same blocks and takes every n-th. So shares
are disjoint and even without a server or a lock.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from c2vl.core.errors import UserError
from c2vl.store.stage import Unit

MOST_UNITS, FEWEST_UNITS = 256, 16  # of a block; powers of two, as batches mostly are
BLOCKS_A_SHARD = 8  # at least, where the shard has units enough


@dataclass(frozen=True)
class Share:
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, block: int) -> bool:
        """Whether block number `block` of the stage is in this share."""
        return block % self.count == self.index - 1


ALL = Share()


def batches(units: Sequence[Unit], size: int) -> Iterator[list[Unit]]:
    """Cut units into batches of at most `size`, keeping a sample's units together where they fit.

    Depends on nothing but the units and `size`. So a resumed run cuts as the first did, and results
    that depend in the last bit on their batch come out the same.
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
    """The units of a shard that have something to compute, each key once, in blocks.

    Batches are cut within blocks: a machine's batch size does not move the shares, nor do the
    shares move the batches.
    """
    first = list({unit.key: unit for unit in reversed(units) if unit.key is not None}.values())[
        ::-1
    ]
    size = MOST_UNITS
    while size > FEWEST_UNITS and size * BLOCKS_A_SHARD > len(first):
        size //= 2
    return batches(first, size)


def share_of(text: str) -> Share:
    """The share that the user wrote, such as `2/8`.

    Raises:
        UserError: it is none.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"A share is written I/N with I from 1 to N, such as 2/8, not '{text}'.")
    return Share(int(match[1]), int(match[2]))


def share_of_environment(environment: Mapping[str, str] = os.environ) -> Share:
    """The share that the launcher of this process gave it; all of the work where there was none.

    Known are `accelerate launch` and `torchrun` (RANK of WORLD_SIZE), `srun` (SLURM_PROCID of
    SLURM_STEP_NUM_TASKS) and Slurm's job arrays. With an array of launches each array task's part
    is divided further.

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
            "This Slurm array's numbers have gaps, so its shares are unknown; give --share I/N."
        )
    return Share(index + 1, count)
