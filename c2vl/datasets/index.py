"""The index: one row a sample, with its files, hashes, splits, and why it is excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.tables import schemas
from c2vl.datasets import pku, pku_index, preprocessed_index
from c2vl.datasets.benchmarks import BENCHMARKS, belongs, missing_skeletons, splits
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.file_facts import FileFacts, read_facts
from c2vl.datasets.listed import listed_index
from c2vl.datasets.names import SampleName
from c2vl.datasets.preprocessed import is_preprocessed
from c2vl.datasets.remarks import not_here, passed_over
from c2vl.datasets.rows import Chosen, Index, checked_length, choose
from c2vl.datasets.scan import RawFiles, scan

ROWS_AT_ONCE = 4096  # as dictionaries, which take ten times what columns do


def build_index(params: DataParams) -> Index:
    """List the samples in the raw folder, or in the preprocessed file that stands for it.

    Raises:
        UserError: the folder is missing or holds no sample of the data set, or no sample can be
            used.
    """
    if is_preprocessed(params.raw):
        index = preprocessed_index.build(params)
    elif params.dataset in listed_index.DATASETS:
        index = listed_index.build(params)
    else:
        index = pku_index.build(params) if params.dataset in pku.DATASETS else _build(params)
    index = replace(index, layout=_layout(params, index.layout))
    if not index.counts["usable"]:
        reasons = ", ".join(f"{count} {kind}" for kind, count in index.counts["excluded"].items())
        raise UserError(
            f"no sample in {params.raw} (`data.raw`) can be used as {params.dataset} "
            f"({reasons or 'none belongs to it'})."
        )
    return index


def _layout(params: DataParams, own: SkeletonLayout) -> SkeletonLayout:
    """The skeleton that the parameters name, if the files' joints can be its joints."""
    if params.skeleton is None:
        return own
    named = params.layout()
    if (named.shape, named.coordinates) != (own.shape, own.coordinates):
        raise UserError(
            f"params.yaml: `data.skeleton`: {named.name} has {named.count} joints in "
            f"{named.coordinates.upper()}, but the files of {params.dataset} hold {own.count} in "
            f"{own.coordinates.upper()} ({own.name}); set `data.skeleton: null`."
        )
    return named


def _build(params: DataParams) -> Index:
    """The index of a folder with one file a sample (NTU RGB+D, studio)."""
    found = scan(params.raw)
    classes = published_class_names(params.dataset, params.raw, params.class_names)
    samples = {
        name: files for name, files in found.samples.items() if belongs(params.dataset, name)
    }
    paths = [path for files in samples.values() for path in (*files.skeletons, *files.videos)]
    facts = dict(zip(paths, read_facts(params.raw, paths), strict=True))
    index = assemble(params, samples, facts, classes)
    others = len(found.samples) - len(samples)
    index.counts["ignored"] = {
        "not_of_this_data_set": others,
        "not_a_sample_name": len(found.strangers),
    }
    index.counts["notes"] = [
        *not_here(params.dataset, set(map(str, samples))),
        *([f"ignored as another data set's: {others:,}"] if others else []),
        *passed_over(found.strangers, found.packed),
    ]
    return index


def assemble(
    params: DataParams,
    samples: Mapping[SampleName, RawFiles],
    facts: Mapping[str, FileFacts],
    classes: Sequence[str],
) -> Index:
    """Make the rows of `samples`, in their order, from what is known of their files."""
    missing = missing_skeletons(params.dataset)
    split_of = splits(params.dataset, params.train_subjects)
    schema, parts = schemas.index(BENCHMARKS[params.dataset]), list[pa.Table]()
    rows, kinds, videos = list[dict[str, Any]](), Counter[str](), Counter[str]()
    counts = {benchmark: Counter({"train": 0, "test": 0}) for benchmark in split_of}
    for name, files in samples.items():
        skeleton, video = (
            choose(files.skeletons, facts, "skeleton"),
            choose(files.videos, facts, "video"),
        )
        video = checked_length(video, skeleton.facts.frames)
        kind, reason = _exclusion(name, skeleton, name in missing, len(classes))
        membership = {
            benchmark: "" if kind else split(name) for benchmark, split in split_of.items()
        }
        rows.append({**_row(params.dataset, name, skeleton, video), **membership, "reason": reason})
        rows[-1]["status"] = schemas.EXCLUDED if kind else schemas.OK
        videos[video.kind or "usable"] += 1
        if kind:
            kinds[kind] += 1
        for benchmark, split in membership.items():
            if split:
                counts[benchmark][split] += 1
        if len(rows) == ROWS_AT_ONCE:
            parts.append(tables.table_of(rows, schema))
            rows = []
    table = pa.concat_tables([*parts, tables.table_of(rows, schema)])
    return Index(
        table,
        list(classes),
        {
            "dataset": params.dataset,
            "samples": len(table),
            "usable": len(table) - kinds.total(),
            "excluded": dict(sorted(kinds.items())),
            "videos": dict(sorted(videos.items())),
            "splits": {benchmark: dict(count) for benchmark, count in counts.items()},
        },
    )


def _exclusion(name: SampleName, skeleton: Chosen, missing: bool, classes: int) -> tuple[str, str]:
    """(kind, reason) why a sample is excluded. A bad video is no cause: skeletons do without."""
    if missing:
        return "listed as missing", "the data set's authors list its skeleton as missing"
    if skeleton.kind:
        return skeleton.kind, skeleton.reason
    if name.label >= classes:
        return "no class name", f"action {name.action} has no class name, there are {classes}"
    return "", ""


def _row(dataset: str, name: SampleName, skeleton: Chosen, video: Chosen) -> dict[str, Any]:
    return {
        "sample": str(name),
        "dataset": dataset,
        "setup": name.setup,
        "camera": name.camera,
        "subject": name.subject,
        "repetition": name.repetition,
        "action": name.action,
        "label": name.label,
        "skeleton_file": skeleton.file,
        "video_file": video.file,
        "skeleton_hash": skeleton.facts.hash,
        "video_hash": video.facts.hash,
        "skeleton_frames": skeleton.facts.frames,
        "video_frames": video.facts.frames,
        "video_width": video.facts.width,
        "video_height": video.facts.height,
        "video_reason": video.reason,
    }
