"""Estimate what all samples cost from what a few of them cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.commands.costs.trial import Cost, Failed
from c2vl.commands.pipeline.store_stages import StoredStage
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import OK
from c2vl.datasets import raw_files as places
from c2vl.store.status import status_of

SIZED = 1000  # raw files whose size is read, at most
# Stage -> column of the index with the raw file that it reads.
RAW = {
    "pose": "video_file",
    "skeleton": "skeleton_file",
    "crop": "video_file",
    "video_skeleton": "video_file",
}
# Stage -> the stage whose output it computes on.
BEFORE = {
    "crop": "skeleton",
    "caption": "crop",
    "embed-vision": "crop",
    "embed-language": "caption",
}


@dataclass(frozen=True)
class Line:
    """A stage of the plan.

    Attributes:
        stage: its name.
        has: units that the store has.
        todo: units to compute.
        exact: whether `todo` was counted; it is an estimate if an earlier stage is not complete.
        seconds: to compute them on this machine; None if the trial failed.
        read: bytes to read, of raw files or of the earlier stage's output.
        written: bytes to write to the store; None if the trial failed.
        memory: bytes of GPU memory; 0 on a CPU.
    """

    stage: str
    has: int
    todo: int
    exact: bool
    seconds: float | None
    read: int
    written: int | None
    memory: int = 0


def lines(
    costs: Mapping[str, Cost | Failed],
    stages: Mapping[str, StoredStage],
    index: pa.Table,
    raw: Path,
) -> Iterator[Line]:
    """The plan, a line a stage.

    Units whose inputs exist are counted. Units whose inputs an earlier stage will still compute
    are estimated from the trial's ratio of units, and all count as new. That is an upper bound: an
    earlier stage may compute the same results again.

    Args:
        costs: of the trial, by stage, in the order of the stages.
        stages: by name.
        index: all samples.
        raw: folder of the raw files.
    """
    usable = index.filter(pc.equal(index["status"], OK))
    todo: dict[str, int] = {}
    rows: dict[str, int] = {}
    for name, cost in costs.items():
        counted, has = _counted(stages[name])
        before, ratio = _made_of(name, costs, usable)
        coming = 0 if before is None else round(todo[before] * ratio)
        # Units when all earlier stages are complete.
        whole = len(usable) if before is None else round(rows[before] * ratio)
        if counted is None:
            # There is no table to count in yet. Units of the earlier stage that the store has
            # count too, as its table will hold them.
            todo[name], rows[name] = whole, whole
        else:
            # The coming units may be more samples, or those that were counted, computed again.
            most = max(whole, counted)
            todo[name], rows[name] = min(counted + coming, most), max(whole, counted + has)
            has = min(has, rows[name] - todo[name])
        read = (
            _raw_bytes(name, usable, raw, todo[name], has)
            if name in RAW
            else _made_bytes(costs.get(BEFORE[name]), todo[name])
        )
        exact = before is None or (counted is not None and not coming)
        if isinstance(cost, Failed):
            yield Line(name, has, todo[name], exact, None, read, None)
            continue
        seconds = todo[name] * cost.each + (cost.fixed if todo[name] else 0.0)
        written = round(todo[name] * cost.bytes / cost.usable) if cost.usable else 0
        yield Line(name, has, todo[name], exact, seconds, read, written, cost.memory)


def _made_of(
    name: str, costs: Mapping[str, Cost | Failed], usable: pa.Table
) -> tuple[str | None, float]:
    """The stage whose output `name` computes on, and units of `name` for each of its units.

    (None, 0) if there is none. A stage that computed nothing, such as `crop` without videos, is
    skipped: published sentences are counted by sample.
    """
    before, cost = BEFORE.get(name), costs[name]
    while (
        before is not None
        and isinstance(last := costs.get(before), Cost)
        and not last.units
        and before in BEFORE
    ):
        before = BEFORE[before]
    if before is None:
        return None, 0.0
    last = costs.get(before)
    if not isinstance(last, Cost) or not isinstance(cost, Cost) or not last.units:
        return before, 0.0
    ratio = cost.units / last.units
    if name == "crop" and cost.units:
        # The trial's samples all have a video; of samples without one there is nothing to crop.
        videos = usable["video_file"]
        ratio *= (len(videos) - videos.null_count) / len(videos)
    return before, ratio


def _counted(stage: StoredStage) -> tuple[int | None, int]:
    """Units to compute and units that exist; (None, 0) if the earlier stage has no output."""
    try:
        seen = status_of(stage.open(), stage.out)
    except UserError:
        return None, 0
    return seen.count(), seen.rows - seen.unusable - seen.count()


def _raw_bytes(stage: str, usable: pa.Table, raw: Path, todo: int, has: int) -> int:
    """Bytes of the raw files to read, estimated from the sizes of at most a thousand files."""
    column = RAW[stage]
    if not todo:
        return 0
    if raw.is_file():  # a preprocessed file
        return raw.stat().st_size if stage == "skeleton" else 0
    files = sorted({places.split(place)[0] for place in usable[column].drop_null().to_pylist()})
    sizes = []
    for file in files[:: max(1, len(files) // SIZED)]:
        with contextlib.suppress(places.PlaceError, OSError):
            sizes.append(places.state(raw, file)[0])
    share = todo / (todo + has)
    return round(share * len(files) * sum(sizes) / len(sizes)) if sizes else 0


def _made_bytes(before: Cost | Failed | None, todo: int) -> int:
    """Bytes of the earlier stage's rows that `todo` units read, as large as the trial's rows."""
    return (
        round(todo * before.bytes / before.usable)
        if isinstance(before, Cost) and before.usable
        else 0
    )
