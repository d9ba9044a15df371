"""Which shard a sample belongs to: one per setup × camera, so that adding a setup leaves the other shards as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

NTU_NAME = re.compile(r"(S\d{3}C\d{3})P\d{3}R\d{3}A\d{3}")


def shard_of(sample: str) -> str:
    """Return the shard of `sample` without suffix.

    Raises:
        ValueError: `sample` is no sample id, and so must not become part of a path.

    Examples:
        >>> shard_of("S001C002P003R001A004")
        'S001C002'
    """
    match = NTU_NAME.fullmatch(sample)
    if match is None:
        raise ValueError(f"not a sample id: {sample!r}")
    return match.group(1)


def by_shard(samples: Iterable[str]) -> dict[str, list[str]]:
    """Return the sorted samples of each shard, shards sorted too."""
    return {shard: list(members) for shard, members in groupby(sorted(samples), key=shard_of)}
