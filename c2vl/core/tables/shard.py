"""Names the shard of a sample: one for each setup and camera (or similar).

A new setup only adds shards and leaves the others unchanged. Ids of other data sets say nothing
of that kind; their samples are spread over `OTHERS` shards by a hash of the id.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import groupby

# Parts of a sample id that name its shard: setup and camera (NTU RGB+D), performer and view
# (PKU-MMD II), ten videos and view (PKU-MMD I).
NAMES = [
    re.compile(r"(?P<first>S\d{3})(?P<then>C\d{3})P\d{3}R\d{3}A\d{3}", re.ASCII),
    re.compile(r"A\d{3}(?P<first>N\d{3})(?P<then>V\d{3})C\d{3}L\d{3}", re.ASCII),
    re.compile(r"(?P<first>F\d{2})\d(?P<then>V\d{3})C\d{3}L\d{3}", re.ASCII),
    # Ids that `c2vl.datasets.preprocessed_ctrgcn` gives to clips without names: 1000 a shard.
    re.compile(r"(?P<first>(?:train|test)_)(?P<then>\d{3})\d{3}", re.ASCII),
]
# Ids of any other data set. They become names of files and parts of commands, so no sign in them
# means anything to a file system or a shell.
OTHER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}", re.ASCII)
PART, OTHERS = "part-", 32


def is_sample_id(text: str) -> bool:
    """Whether `text` can be the id of a sample."""
    return OTHER.fullmatch(text) is not None


def shard_of(sample: str) -> str:
    """The shard of `sample`, without file suffix.

    Raises:
        ValueError: `sample` is not a sample id, so it must not become part of a path.

    Examples:
        >>> shard_of("S001C002P003R001A004")
        'S001C002'
        >>> shard_of("A013N008V002C048L005"), shard_of("F002V001C048L005")
        ('N008V002', 'F00V001')
        >>> shard_of("v_Basketball_g01_c02")
        'part-15'
    """
    match = next(filter(None, (name.fullmatch(sample) for name in NAMES)), None)
    if match is not None:
        return match["first"] + match["then"]
    if not is_sample_id(sample):
        raise ValueError(f"not a sample id: {sample!r}")
    return f"{PART}{hashlib.blake2b(sample.encode(), digest_size=1).digest()[0] % OTHERS:02}"


def by_shard(samples: Iterable[str]) -> dict[str, list[str]]:
    """Return the sorted samples of each shard, shards sorted too."""
    named = sorted((shard_of(sample), sample) for sample in samples)
    return {
        shard: [sample for _, sample in members]
        for shard, members in groupby(named, key=lambda pair: pair[0])
    }
