"""Which shard a sample belongs to: one per setup × camera or the like, so that a new setup leaves the others as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

# What of a name makes the shard: setup and camera; performer and view (PKU-MMD II); ten videos and view (PKU-MMD I).
NAMES = [
    re.compile(r"(?P<first>S\d{3})(?P<then>C\d{3})P\d{3}R\d{3}A\d{3}", re.ASCII),
    re.compile(r"A\d{3}(?P<first>N\d{3})(?P<then>V\d{3})C\d{3}L\d{3}", re.ASCII),
    re.compile(r"(?P<first>F\d{2})\d(?P<then>V\d{3})C\d{3}L\d{3}", re.ASCII),
    # A clip of a file without names (`c2vl.datasets.preprocessed_ctrgcn`): shards of a thousand.
    re.compile(r"(?P<first>(?:train|test)_)(?P<then>\d{3})\d{3}", re.ASCII),
]


def shard_of(sample: str) -> str:
    """Return the shard of `sample` without suffix.

    Raises:
        ValueError: `sample` is no sample id, and so must not become part of a path.

    Examples:
        >>> shard_of("S001C002P003R001A004")
        'S001C002'
        >>> shard_of("A013N008V002C048L005"), shard_of("F002V001C048L005")
        ('N008V002', 'F00V001')
    """
    match = next(filter(None, (name.fullmatch(sample) for name in NAMES)), None)
    if match is None:
        raise ValueError(f"not a sample id: {sample!r}")
    return match["first"] + match["then"]


def by_shard(samples: Iterable[str]) -> dict[str, list[str]]:
    """Return the sorted samples of each shard, shards sorted too."""
    named = sorted((shard_of(sample), sample) for sample in samples)
    return {
        shard: [sample for _, sample in members]
        for shard, members in groupby(named, key=lambda pair: pair[0])
    }
