"""The index of PKU-MMD: one row a clip, and one a video whose labels cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables import schemas
from c2vl.datasets import raw_files as places
from c2vl.datasets.benchmarks import BENCHMARKS
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.file_facts import FileFacts, on_workers, read_facts
from c2vl.datasets.pku import PkuError, VideoName
from c2vl.datasets.pku_labels import Clip
from c2vl.datasets.pku_read import Reading, read_video
from c2vl.datasets.pku_scan import VideoFiles, scan
from c2vl.datasets.pku_splits import SPLIT_FILES, Splits, parse_splits
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.remarks import passed_over
from c2vl.datasets.rows import Chosen, Index, checked_length, choose


def build(params: DataParams) -> Index:
    """Scan the raw folder and read every label and skeleton file in it, each once.

    Raises:
        UserError: the folder or a split file cannot be used.
    """
    found = scan(params.dataset, params.raw)
    classes = published_class_names(params.dataset, params.raw, params.class_names)
    splits = {
        name: _splits(params, name, found.splits.get(name, []))
        for name in BENCHMARKS[params.dataset]
    }
    read = partial(read_video, params.raw, params.clip_bounds)
    readings = dict(
        zip(found.videos, on_workers(read, list(found.videos.values()), "videos"), strict=True)
    )
    paths = [path for files in found.videos.values() for path in files.videos]
    facts = dict(zip(paths, read_facts(params.raw, paths), strict=True))
    index = assemble(params, found.videos, readings, facts, splits, classes)
    index.counts["ignored"] = {"not_of_this_data_set": 0, "not_a_sample_name": len(found.strangers)}
    index.counts["notes"] += passed_over(found.strangers, found.packed)
    return index


def assemble(
    params: DataParams,
    videos: Mapping[VideoName, VideoFiles],
    readings: Mapping[VideoName, Reading],
    facts: Mapping[str, FileFacts],
    splits: Mapping[str, Splits | None],
    classes: Sequence[str],
) -> Index:
    """Make the rows of all clips from what is known of their videos, sorted by sample."""
    rows: list[dict[str, Any]] = []
    kinds, usable_videos, noticed = Counter[str](), Counter[str](), Counter[str]()
    counts = {benchmark: Counter({"train": 0, "test": 0}) for benchmark in splits}
    for name, files in videos.items():
        reading = readings[name]
        video = checked_length(choose(files.videos, facts, "video"), reading.frames)
        clips: Sequence[tuple[Clip | None, str | None]] = reading.clips or [(None, None)]
        for clip, digest in clips:
            kind, reason = (clip.kind, clip.reason) if clip else (reading.kind, reading.reason)
            if clip and not kind and (clip.action or 0) > len(classes):
                kind, reason = (
                    "no class name",
                    f"action {clip.action} has no class name, there are {len(classes)}",
                )
            membership = {
                bench: "" if kind or not split else split.of(name)
                for bench, split in splits.items()
            }
            outside = [
                bench
                for bench, split in splits.items()
                if split and not kind and not membership[bench]
            ]
            if outside:
                reason = "; ".join(
                    filter(None, [reason, f"its video is in no list of {' and '.join(outside)}"])
                )
            status = schemas.EXCLUDED if kind else schemas.OK
            row = _row(params.dataset, name, reading, clip, None if kind else digest, video)
            rows.append({**row, **membership, "status": status, "reason": reason})
            usable_videos[video.kind or "usable"] += 1
            if kind:
                kinds[kind] += 1
            elif reason:
                noticed.update(
                    what for what in ("overlaps", "cut there", "in no list") if what in reason
                )
            for benchmark, split in membership.items():
                if split:
                    counts[benchmark][split] += 1
    rows.sort(key=lambda row: str(row["sample"]))
    return Index(
        tables.table_of(rows, schemas.index(BENCHMARKS[params.dataset])),
        list(classes),
        {
            "dataset": params.dataset,
            "samples": len(rows),
            "usable": len(rows) - kinds.total(),
            "excluded": dict(sorted(kinds.items())),
            "videos": dict(sorted(usable_videos.items())),
            "splits": {benchmark: dict(count) for benchmark, count in counts.items()},
            "usable_with_a_remark": dict(sorted(noticed.items())),
            "notes": _notes(splits, videos),
        },
    )


def _splits(params: DataParams, benchmark: str, found: Sequence[str]) -> Splits | None:
    """The lists of a benchmark: the raw folder's, else ours, else none if nobody asks."""
    wanted = SPLIT_FILES[benchmark]
    usable: dict[Splits, str] = {}
    problems = []
    for place in found:
        try:
            usable.setdefault(parse_splits(params.dataset, places.read(params.raw, place)), place)
        except (PkuError, PlaceError) as error:
            problems.append(
                f"{Path(params.raw, place)}: {error}; take the data set's own {wanted}.txt."
            )
    if len(usable) > 1:
        raise UserError(
            f"{params.raw}: {' and '.join(usable.values())} differ; "
            f"leave the one that holds for {params.dataset}."
        )
    if usable:
        return next(iter(usable))  # others are perhaps the other part's
    if problems:
        raise UserError(problems[0])
    if params.dataset == "pku2":
        return parse_splits(
            params.dataset, resources.files(__package__).joinpath(f"pku2_{wanted}.txt").read_bytes()
        )
    if benchmark in params.benchmarks:
        raise UserError(
            f"{params.raw} holds no {wanted.replace('_', '-')}.txt; "
            "put the split files of PKU-MMD part I there."
        )
    return None


def _notes(
    splits: Mapping[str, Splits | None], videos: Mapping[VideoName, VideoFiles]
) -> list[str]:
    """Sentences about the split files."""
    notes = []
    for benchmark, split in splits.items():
        if split is None:
            continue
        notes += [f"{benchmark}: {repair}" for repair in split.repairs]
        absent = sorted(map(str, (split.train | split.test) - videos.keys()))
        if absent:
            notes.append(
                f"{benchmark}: {len(absent)} videos of its lists are not here, such as {absent[0]}"
            )
    return notes


def _row(
    dataset: str,
    name: VideoName,
    reading: Reading,
    clip: Clip | None,
    digest: str | None,
    video: Chosen,
) -> dict[str, Any]:
    return {
        "sample": name.clip(clip.action, clip.line) if clip else str(name),
        "dataset": dataset,
        "setup": name.number,
        "camera": name.view,
        "subject": name.performer,
        "repetition": clip.line if clip else None,
        "action": clip.action if clip else None,
        "label": clip.action - 1 if digest and clip and clip.action else None,
        "skeleton_file": reading.skeleton,
        "video_file": video.file,
        "skeleton_hash": digest,
        "video_hash": video.facts.hash,
        "skeleton_frames": reading.frames,
        "video_frames": video.facts.frames,
        "video_width": video.facts.width,
        "video_height": video.facts.height,
        "clip_begin": clip.begin if clip else None,
        "clip_stop": clip.stop if clip else None,
        "video_reason": video.reason,
    }
