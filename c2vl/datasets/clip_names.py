"""Label and splits of clips whose names alone are known, such as those of a published file."""

from __future__ import annotations

from collections.abc import Iterable

from c2vl.datasets.benchmarks import BENCHMARKS, NTU60_ACTIONS, splits
from c2vl.datasets.names import SampleName, parse_name
from c2vl.datasets.pku import parse_clip
from c2vl.datasets.pku_splits import published_splits

Labels = dict[str, int]
Splits = dict[str, dict[str, str]]  # benchmark -> clip -> `train`, `test` or empty


def labels_and_splits(names: Iterable[str]) -> tuple[Labels, Splits]:
    """The 0-based labels of clips and their sides of the published benchmarks.

    Names of NTU RGB+D and PKU-MMD II are known; both are empty for other data sets.
    """
    names = list(names)
    try:
        return _of_ntu({name: parse_name(name) for name in names})
    except ValueError:
        pass
    try:
        clips = {name: parse_clip(name) for name in names}
    except ValueError:
        return {}, {}
    if any(video.performer is None for video, _ in clips.values()):
        return {}, {}  # part I has no published splits here
    sides = {
        benchmark: {name: split.of(video) for name, (video, _) in clips.items()}
        for benchmark, split in published_splits().items()
    }
    return {name: action - 1 for name, (_, action) in clips.items()}, sides


def _of_ntu(names: dict[str, SampleName]) -> tuple[Labels, Splits]:
    larger = any(name.action > NTU60_ACTIONS for name in names.values())
    dataset = "ntu120" if larger else "ntu60"
    sides = splits(dataset)
    return (
        {text: name.label for text, name in names.items()},
        {
            benchmark: {text: sides[benchmark](name) for text, name in names.items()}
            for benchmark in BENCHMARKS[dataset]
        },
    )
