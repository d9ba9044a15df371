"""The index of a listed data set: its files are read, and each sample becomes a row.

A sample with a video and no skeleton file is usable where the data set's skeleton is `VIDEO`. Its
`skeleton_file` is null: stage `pose` finds its skeleton.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from c2vl.core import tables
from c2vl.core.layout_file import VIDEO
from c2vl.core.tables import schemas
from c2vl.core.unicode_text import printable
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.file_facts import FileFacts
from c2vl.datasets.listed.listing import ListedSample, Listing
from c2vl.datasets.listed.manifest import list_manifest
from c2vl.datasets.listed.named_files import DATASETS as NAMED
from c2vl.datasets.listed.named_files import list_named_files
from c2vl.datasets.listed.skeleton_facts import read_skeletons, read_videos
from c2vl.datasets.rows import Chosen, Index, checked_length, choose

DATASETS = (*NAMED, "manifest")
MOST_NAMED = 3  # classes that a note names


def list_samples(params: DataParams) -> Listing:
    """List the samples of `params.dataset`, one of `DATASETS`, without opening their files.

    Raises:
        UserError: the raw folder or the manifest cannot be used.
    """
    return list_manifest(params) if params.dataset == "manifest" else list_named_files(params)


def build(params: DataParams) -> Index:
    """Read every file of the data set once.

    Raises:
        UserError: as `list_samples`, or `data.skeleton` names no skeleton.
    """
    layout = params.layout()
    listing = list_samples(params)
    usable = [sample for sample in listing.samples if not sample.kind]
    skeletons = _unique(place for sample in usable for place in sample.skeletons)
    videos = _unique(place for sample in usable for place in sample.videos)
    facts = dict(zip(skeletons, read_skeletons(params.raw, skeletons, layout), strict=True))
    facts |= zip(videos, read_videos(params.raw, videos), strict=True)
    return replace(assemble(params.dataset, listing, facts, layout.name), layout=layout)


def assemble(
    dataset: str, listing: Listing, facts: Mapping[str, FileFacts], skeleton_name: str
) -> Index:
    """Make the rows of `listing` from what is known of its files."""
    rows, kinds, usable_videos = list[dict[str, Any]](), Counter[str](), Counter[str]()
    counts = {name: Counter({"train": 0, "test": 0}) for name in listing.benchmarks}
    for sample in listing.samples:
        if sample.kind:
            skeleton, video = (
                Chosen(kind=sample.kind, reason=sample.problem),
                choose((), {}, "video"),
            )
        else:
            skeleton = choose(sample.skeletons, facts, "skeleton")
            video = choose(sample.videos, facts, "video")
            video = checked_length(video, skeleton.facts.frames)
            if not sample.skeletons and sample.videos:
                skeleton = _from_video(video, skeleton_name)
        rows.append(_row(dataset, listing, sample, skeleton, video))
        usable_videos[video.kind or "usable"] += 1
        if skeleton.kind:
            kinds[skeleton.kind] += 1
        for name, count in counts.items():
            if split := rows[-1][name]:
                count[split] += 1
    return Index(
        tables.table_of(rows, schemas.index(listing.benchmarks)),
        list(listing.classes),
        {
            "dataset": dataset,
            "samples": len(rows),
            "usable": len(rows) - kinds.total(),
            "excluded": dict(sorted(kinds.items())),
            "videos": dict(sorted(usable_videos.items())),
            "splits": {name: dict(count) for name, count in counts.items()},
            "ignored": {"not_of_this_data_set": 0, "not_a_sample_name": len(listing.strangers)},
            "notes": [
                *listing.notes,
                *_videos_alone(rows),
                *_empty_classes(rows, listing),
                *_on_both_sides(rows, listing.benchmarks),
            ],
        },
    )


def _row(
    dataset: str, listing: Listing, sample: ListedSample, skeleton: Chosen, video: Chosen
) -> dict[str, Any]:
    splits = {
        name: "" if skeleton.kind else sample.splits.get(name, "") for name in listing.benchmarks
    }
    width, height = sample.size or (None, None)
    return {
        "sample": sample.sample,
        "dataset": dataset,
        "setup": sample.setup,
        "camera": sample.camera,
        "subject": sample.subject,
        "repetition": sample.repetition,
        "action": None if sample.label is None else sample.label + 1,
        "label": sample.label,
        "skeleton_file": skeleton.file,
        "video_file": video.file,
        "skeleton_hash": skeleton.facts.hash,
        "video_hash": video.facts.hash,
        "skeleton_frames": skeleton.facts.frames,
        "video_frames": video.facts.frames,
        "video_width": video.facts.width or width,
        "video_height": video.facts.height or height,
        "video_reason": video.reason,
        **splits,
        "status": schemas.EXCLUDED if skeleton.kind else schemas.OK,
        "reason": skeleton.reason or sample.remark,
    }


def video_alone(sample: ListedSample, skeleton_name: str) -> bool:
    """Whether a sample's joints have to be found in its video, by the list alone."""
    listed = bool(sample.videos) and not sample.skeletons and not sample.kind
    return listed and skeleton_name == VIDEO


def _from_video(video: Chosen, skeleton_name: str) -> Chosen:
    """The skeleton of a sample that has only a video: none yet, or why there can be none."""
    if video.kind:
        return Chosen(kind=video.kind, reason=f"there is no skeleton file, and {video.reason}")
    if skeleton_name != VIDEO:
        return Chosen(
            kind="no skeleton file",
            reason=f"there is no skeleton file, and joints found in a video are {VIDEO}, not "
            f"{skeleton_name}; set `data.skeleton: {VIDEO}` if all samples are videos",
        )
    return Chosen()


def _videos_alone(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    alone = [row for row in rows if row["status"] == schemas.OK and row["skeleton_file"] is None]
    if alone:
        yield f"samples with a video and no skeleton file: {len(alone):,}"


def _empty_classes(rows: Sequence[Mapping[str, Any]], listing: Listing) -> Iterator[str]:
    """Classes that no training clip shows, or that no clip has at all."""
    shown = {row["label"] for row in rows if row["status"] == schemas.OK}
    lacking = [name for label, name in enumerate(listing.classes) if label not in shown]
    if lacking:
        hint = "; labels count from 0" if 0 not in shown else ""
        yield f"classes without a usable sample: {_named(lacking)}{hint}"
    for benchmark in listing.benchmarks:
        trained = {row["label"] for row in rows if row[benchmark] == "train"}
        tested = {row["label"] for row in rows if row[benchmark] == "test"}
        untrained = [listing.classes[label] for label in sorted(tested - trained)]
        if untrained and trained:
            yield f"{benchmark} tests classes that it does not train: {_named(untrained)}"


def _on_both_sides(rows: Sequence[Mapping[str, Any]], benchmarks: Sequence[str]) -> Iterator[str]:
    """The same skeleton among training and test clips, under two names."""
    for benchmark in benchmarks:
        sides: dict[str, dict[str, str]] = {"train": {}, "test": {}}
        for row in rows:
            if row[benchmark] in sides and (content := row["skeleton_hash"] or row["video_hash"]):
                sides[row[benchmark]][content] = row["sample"]
        both = sides["train"].keys() & sides["test"].keys()
        if both:
            pair = [sides[side][min(both)] for side in sides]
            yield (
                f"{benchmark}: {len(both):,} training clips are the same file as a test clip, such "
                f"as {pair[0]} and {pair[1]}"
            )


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name[:60]) for name in names[:MOST_NAMED])
    return f"{len(names):,} ({shown}{', …' if len(names) > MOST_NAMED else ''})"


def _unique(places: Iterator[str]) -> list[str]:
    return sorted(set(places))
