"""What the index is made of, whichever data set it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from c2vl.datasets.probe import Probe

UNKNOWN = Probe()


@dataclass(frozen=True)
class Index:
    """The table of all samples of the data set, its class names, and counts for people to read."""

    table: pa.Table
    classes: list[str]
    counts: dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The one file of a kind that a sample has, or why it has none (`kind` groups reasons for counting)."""

    file: str | None = None
    probe: Probe = UNKNOWN
    kind: str = ""
    reason: str = ""


def choose(paths: Sequence[str], probes: Mapping[str, Probe], what: str) -> Chosen:
    """The file a sample uses: copies of one file in several folders are one, different files are none."""
    if not paths:
        return Chosen(kind=f"no {what} file", reason=f"there is no {what} file")
    first, *others = paths
    probe = probes[first]
    for other in others:
        if probes[other].hash != probe.hash:
            return Chosen(
                kind=f"different {what} files",
                reason=f"{first} and {other} differ; remove the wrong one",
            )
    return Chosen(first, probe, f"unreadable {what}" if probe.trouble else "", probe.trouble)
