"""From what a few samples cost to what all of them will."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from c2vl.commands.costs.trial import Cost, Failed
from c2vl.commands.pipeline.store_stages import StoredStage, work_of
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import OK
from c2vl.datasets import raw_files as places
from c2vl.store.outlook import outlook

SIZED = 1000  # files whose size is looked up
RAW = {
    "skeleton": "skeleton_file",
    "crop": "video_file",
}  # what is read of the raw files, a column of the index
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
        has: units that the store has already.
        todo: units to compute; an estimate where the stages before are not done (`exact` is false then).
        exact: whether `todo` was counted.
        seconds: to compute them here, as this machine is set up now; None where the trial failed.
        read: bytes to read, of raw files or of what the stage before made.
        written: bytes to write into the store; None likewise.
    """

    stage: str
    has: int
    todo: int
    exact: bool
    seconds: float | None
    read: int
    written: int | None


def lines(
    costs: Mapping[str, Cost | Failed],
    stages: Mapping[str, StoredStage],
    index: pa.Table,
    raw: Path,
) -> Iterator[Line]:
    """The plan, a line a stage.

    What lies in the data folder is counted; what the stages before will still make is estimated by the trial's own ratio
    of units, and taken for new: an upper bound where a stage before is made anew and comes out the same.

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
        whole = (
            len(usable) if before is None else round(rows[before] * ratio)
        )  # units when all stages before are done
        if (
            counted is None
        ):  # no table to count in; what is in the store of the stage before, not sealed yet, comes too
            todo[name], rows[name] = whole, whole
        else:  # what comes may be more samples, or those that were counted made anew: not more than all
            todo[name], rows[name] = (
                min(counted + coming, max(whole, counted)),
                max(whole, counted + has),
            )
            has = min(has, rows[name] - todo[name])
        read = (
            _raw_bytes(name, usable, raw, todo[name], has)
            if name in RAW
            else _made_bytes(costs.get(BEFORE[name]), todo[name])
        )
        exact = _exact(before, counted, coming)
        if isinstance(cost, Failed):
            yield Line(name, has, todo[name], exact, None, read, None)
            continue
        seconds = todo[name] * cost.each + (cost.fixed if todo[name] else 0.0)
        written = round(todo[name] * cost.bytes / cost.usable) if cost.usable else 0
        yield Line(name, has, todo[name], exact, seconds, read, written)


def _made_of(
    name: str, costs: Mapping[str, Cost | Failed], usable: pa.Table
) -> tuple[str | None, float]:
    """The stage before that makes what `name` computes on, and units of `name` for each of its units; (None, 0) if none does.

    A stage before that made nothing, as `crop` without videos, is passed over: published sentences are counted by sample.
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
    if (
        name == "crop" and cost.units
    ):  # the trial's samples all have a video, of the others there is nothing to crop
        videos = usable["video_file"]
        ratio *= (len(videos) - videos.null_count) / len(videos)
    return before, ratio


def _exact(before: str | None, counted: int | None, coming: int) -> bool:
    return before is None or (counted is not None and not coming)


def _counted(stage: StoredStage) -> tuple[int | None, int]:
    """Units to compute and units there, of what the stages before have made; (None, 0) if they have made nothing."""
    try:
        seen = outlook(work_of(stage), stage.out)
    except UserError:
        return None, 0
    return seen.count(), seen.rows - seen.unusable - seen.count()


def _raw_bytes(stage: str, usable: pa.Table, raw: Path, todo: int, has: int) -> int:
    """Bytes of the raw files of the samples to compute, from the sizes of at most a thousand of them."""
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
    """Bytes of the rows of the stage before that `todo` units are made of, as large as the trial's."""
    return (
        round(todo * before.bytes / before.usable)
        if isinstance(before, Cost) and before.usable
        else 0
    )
