"""The index of a preprocessed file: its clips, labels and splits as they are in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.progress import progress
from c2vl.core.tables import schemas
from c2vl.core.tables.shard import PART, shard_of
from c2vl.core.unicode_text import printable
from c2vl.datasets.benchmarks import BENCHMARKS, OWN_BENCHMARKS, missing_skeletons
from c2vl.datasets.classes import CLASSES_FILE, published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.kpfiles import FOLDER
from c2vl.datasets.names import SampleName, parse_name
from c2vl.datasets.preprocessed import open_preprocessed, preprocessed_file
from c2vl.datasets.ready_clip import ReadyClip, ReadyFile
from c2vl.datasets.remarks import not_here, passed_over
from c2vl.datasets.rows import Index

NO_VIDEO = "there is no video file"


def build(params: DataParams) -> Index:
    """Read the file `params.raw` once.

    Raises:
        UserError: the file cannot be used, or has not the benchmarks or classes that the parameters
            ask for.
    """
    file = open_preprocessed(params.raw, params.layout() if params.skeleton else None)
    classes = _classes(params, file)
    _fits(params, file, len(classes))
    missing = {str(name) for name in missing_skeletons(params.dataset)}
    rows, kinds, strangers = [], Counter[str](), list(file.strangers)
    benchmarks = BENCHMARKS.get(params.dataset, file.benchmarks)
    splits = {benchmark: Counter({"train": 0, "test": 0}) for benchmark in benchmarks}
    for clip in progress(file.clips(), "index", "clips"):
        if not _is_sample_of(params.dataset, clip.sample):
            strangers.append(clip.sample)
            continue
        kind, reason = _exclusion(clip, clip.sample in missing, len(classes))
        if not kind and (
            outside := [benchmark for benchmark in file.benchmarks if benchmark not in clip.splits]
        ):
            reason = f"it is in no list of {' and '.join(outside)}"
        rows.append(_row(params, clip, kind, reason, splits))
        if kind:
            kinds[kind] += 1
    rows.sort(key=lambda row: row["sample"])
    counts = {
        "dataset": params.dataset,
        "samples": len(rows),
        "usable": len(rows) - kinds.total(),
        "excluded": dict(sorted(kinds.items())),
        "videos": {"no video file": len(rows)} if rows else {},
        "splits": {benchmark: dict(count) for benchmark, count in splits.items()},
        "ignored": {"not_of_this_data_set": 0, "not_a_sample_name": len(strangers)},
        "notes": [
            *_notes(params, file, {row["sample"] for row in rows}),
            *passed_over(strangers),
            *_unread(params),
            *_unwatched(params, rows),
        ],
    }
    return Index(tables.table_of(rows, schemas.index(benchmarks)), classes, counts, file.layout)


def _classes(params: DataParams, file: ReadyFile) -> list[str]:
    """The class names; `class 0` and so on where nobody names the classes of a file."""
    if _unnamed(params):
        return [f"class {label}" for label in range(file.classes)]
    return published_class_names(params.dataset, params.raw, params.class_names)


def _unnamed(params: DataParams) -> bool:
    """Whether nobody names the classes of a file that does not do so itself."""
    named = params.class_names is not None or (params.raw / CLASSES_FILE).is_file()
    return params.dataset in OWN_BENCHMARKS and not named


def _is_sample_of(dataset: str, sample: str) -> bool:
    """Whether a clip of this name can be one of the data set."""
    return dataset in OWN_BENCHMARKS or not shard_of(sample).startswith(PART)


def _unread(params: DataParams) -> list[str]:
    beside = params.raw.with_name(CLASSES_FILE)
    if params.raw.is_dir() or params.class_names is not None or not beside.is_file():
        return []
    return [f"{beside} is not read beside a file: list its names in `data.class_names`"]


def _unwatched(params: DataParams, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    if params.raw.is_dir() or all(row["skeleton_file"] == params.raw.name for row in rows):
        return []
    return [
        f"DVC watches {params.raw.name} alone: put it and its {FOLDER} into a folder of their own, "
        "and name that folder in `data.raw`"
    ]


def _notes(params: DataParams, file: ReadyFile, samples: Collection[str]) -> list[str]:
    notes = not_here(params.dataset, samples)
    if _unnamed(params):
        notes.append("the file does not name its classes: list them in `data.class_names`")
    if file.lacking:
        notes.append(
            f"{len(file.lacking):,} clips of its lists are not in it, "
            f"such as {printable(file.lacking[0][:60])}"
        )
    return [*notes, *file.remarks]


def _fits(params: DataParams, file: ReadyFile, classes: int) -> None:
    for benchmark in params.benchmarks:
        if benchmark not in file.benchmarks:
            has = ", ".join(file.benchmarks) or "none"
            raise UserError(
                f"{params.raw} has splits of {has}, not of {benchmark}; "
                "correct `data.benchmarks` in params.yaml."
            )
    if file.classes > classes:
        raise UserError(
            f"{params.raw} has {file.classes} classes, {params.dataset} has {classes}; "
            "correct `data.dataset` in params.yaml."
        )


def _exclusion(clip: ReadyClip, missing: bool, classes: int) -> tuple[str, str]:
    if missing:
        return "listed as missing", "the data set's authors list its skeleton as missing"
    if clip.problem:
        return "unreadable skeleton", clip.problem
    named = _parsed(clip.sample)
    if named is not None and named.label != clip.label:
        return "label disagrees", f"its name says class {named.label}, the file says {clip.label}"
    if clip.label >= classes:
        return "no class name", f"label {clip.label} has no class name, there are {classes}"
    return "", ""


def _row(
    params: DataParams, clip: ReadyClip, kind: str, reason: str, counts: dict[str, Counter[str]]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "sample": clip.sample,
        "dataset": params.dataset,
        "action": clip.label + 1,
        "label": clip.label,
    }
    if named := _parsed(clip.sample):
        row |= {part: getattr(named, part) for part in ("setup", "camera", "subject", "repetition")}
    file = clip.file or (preprocessed_file(params.raw) or params.raw).name
    row |= {"skeleton_file": file, "skeleton_hash": clip.content}
    row |= {
        "skeleton_frames": None if clip.joints is None else len(clip.joints),
        "video_reason": NO_VIDEO,
    }
    row["video_width"], row["video_height"] = clip.size or (None, None)
    for benchmark, count in counts.items():
        row[benchmark] = "" if kind else clip.splits.get(benchmark, "")
        if row[benchmark]:
            count[row[benchmark]] += 1
    return row | {"status": schemas.EXCLUDED if kind else schemas.OK, "reason": reason}


def _parsed(sample: str) -> SampleName | None:
    try:
        return parse_name(sample)
    except ValueError:
        return None
