"""Stage `skeleton` on raw files: parse and denoise, in processes: both hold Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import machine, tables
from c2vl.core.digest import digest_of
from c2vl.core.layout_file import layout_beside
from c2vl.core.tables.schemas import OK, skeleton
from c2vl.datasets import raw_files as places
from c2vl.datasets.pku_skeleton import LongSkeleton
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.skeleton_file import SkeletonError, parse_skeleton
from c2vl.datasets.skeleton_params import Rules, SkeletonParams
from c2vl.datasets.skeletons.actors import SLOTS_VERSION, actors_of_slots
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.metres import TorsoCount
from c2vl.datasets.skeletons.skeleton_table import with_second_slot
from c2vl.store.keys import content_key
from c2vl.store.stage import Failure, Row, Stage, Unit

VERSION = 3  # raise it when the parser, the rules or this file change a row
INDEX_COLUMNS = [
    "sample",
    "dataset",
    "skeleton_file",
    "skeleton_hash",
    "clip_begin",
    "clip_stop",
    "status",
]

CHANGED = Failure("changed", "the skeleton file changed after the index was made; run `dvc repro`")


class SkeletonStage(Stage):
    """Stage `skeleton` on raw files.

    Args:
        params: section `skeleton`.
        index: the index table.
        raw: the folder that the paths in the index are relative to.
    """

    name = "skeleton"
    done = "denoised"
    in_processes = True

    def __init__(self, params: SkeletonParams, index: Path, raw: Path) -> None:
        self.max_failed = params.max_failed
        self._params, self._raw = params, raw
        rows = tables.read(index, INDEX_COLUMNS)
        self._index = tables.Grouped(rows.filter(pc.equal(rows.column("status"), OK)))
        self._frames = self._two = self._bodies_dropped = self._differ = 0
        self._layout = layout_beside(index)
        self._torsos = TorsoCount(self._layout)

    def description(self) -> dict[str, Any]:
        """The rules. `finish` fills the second slot of one-person clips."""
        return {"version": VERSION, "rules": self._params.rules}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        """The skeleton table."""
        return skeleton(self._layout)

    def shards(self) -> Iterable[str]:
        """Setup and camera."""
        return self._index

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        """One unit per sample."""
        units = []
        for entry in self._index.rows(shard):
            sample = entry["sample"]
            if entry["skeleton_file"] is None:
                failure = Failure("no_file", "the sample has no skeleton file")
                units.append(Unit({"sample": sample}, None, failure=failure))
                continue
            source = Source(self._raw, entry["skeleton_file"], entry["skeleton_hash"])
            if entry["clip_begin"] is not None:
                key = content_key(fingerprint, source.content, "slots", SLOTS_VERSION)
                clip = (entry["clip_begin"], entry["clip_stop"])
                units.append(Unit({"sample": sample}, key, (source, clip)))
                continue
            key = content_key(fingerprint, source.content)
            units.append(Unit({"sample": sample}, key, (source, None, self._params.rules)))
        return units

    def batch_size(self) -> int:
        """Files per batch: some 10 MB of results, a segment that need not be merged."""
        return machine.batch_size("skeleton", 128)

    def preparer(self) -> Callable[[list[Any]], Sequence[Any]]:
        """Return the function that parses and denoises a batch."""
        return denoise_all

    def finish(self, table: pa.Table) -> pa.Table:
        """Fill the second slot of one-person clips as params say; PKU-MMD keeps its two slots."""
        if not len(table):
            return table
        entries = self._index.rows(tables.shard_of(table.column("sample")[0].as_py()))
        solo = {
            entry["sample"]: self._params.solo_of(entry["dataset"])
            for entry in entries
            if entry["clip_begin"] is None
        }
        return with_second_slot(table, solo)

    def observe(self, table: pa.Table) -> None:
        """Count frames, what the rules did, and skeletons that are not in metres."""
        self._torsos.observe(table)
        for row in tables.rows_of(
            table.select(["frames", "bodies", "bodies_dropped", "rules_differ", "status"])
        ):
            if row["status"] == OK:
                self._frames += row["frames"]
                self._two += row["bodies"] == 2
                self._bodies_dropped += row["bodies_dropped"]
                self._differ += row["rules_differ"] > 0

    def metrics(self) -> dict[str, Any]:
        """Sums over the usable rows."""
        return {
            **self._torsos.metrics(),
            "frames": self._frames,
            "samples_with_two_actors": self._two,
            "bodies_dropped": self._bodies_dropped,
            "samples_where_rules_differ": self._differ,
        }


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sample's bytes are: raw folder, place in it, and their hash as in the index."""

    raw: Path
    place: str
    content: str


def denoise_all(payloads: Sequence[Any]) -> list[Row | Failure]:
    """Return the rows of a batch. Worker processes call this."""
    return [denoised(*payload) for payload in payloads]


def denoised(
    source: Source, clip: tuple[int, int] | None = None, rules: Rules = "ctrgcn"
) -> Row | Failure:
    """Return the row of one sample, or why there is none.

    Args:
        source: a `.skeleton` file, or PKU-MMD's file of a long video.
        clip: first frame, and the frame after the last, in a long file; None: the whole file.
        rules: as in `c2vl.datasets.skeletons.denoise.denoise`; for NTU's files.
    """
    try:
        if clip is not None:
            long = _long(
                os.fspath(source.raw), source.place, *places.state(source.raw, source.place)
            )
            unchanged = clip[1] <= long.frames and long.digest(*clip) == source.content
            return actors_of_slots(long.joints(*clip)).row() if unchanged else CHANGED
        data = places.read(source.raw, source.place)
        if digest_of(data) != source.content:
            return CHANGED
        return denoise(parse_skeleton(data), rules).row()
    except PlaceError as error:
        return Failure("unreadable", f"the skeleton file is of no use: {error}")
    except SkeletonError as error:
        return Failure("unusable", str(error))


@lru_cache(maxsize=2)
def _long(raw: str, place: str, size: int, changed: int) -> LongSkeleton:
    """Read a long file once for all its clips, which follow each other."""
    return LongSkeleton(places.read(Path(raw), place))
