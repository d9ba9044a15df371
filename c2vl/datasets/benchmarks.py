"""The benchmarks: which samples belong to a data set, and which of them train or test.

Sources: Shahroudy et al., NTU RGB+D (CVPR 2016); Liu et al., NTU RGB+D 120 (TPAMI 2020);
Northwestern-UCLA by CTR-GCN's loader (cameras 1 and 2 train, 3 tests); Chen et al., UTD-MHAD (ICIP
2015; odd subjects train, even ones test).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from importlib import resources
from typing import Literal

from c2vl.datasets.names import SampleName, parse_name

Split = Literal["train", "test"]

NTU60_SUBJECTS = frozenset([1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38])
NTU120_SUBJECTS = NTU60_SUBJECTS | frozenset(
    [
        45,
        46,
        47,
        49,
        50,
        *range(52, 60),
        70,
        74,
        78,
        *range(80, 87),
        89,
        *range(91, 96),
        97,
        98,
        100,
        103,
    ]
)
NTU60_SETUPS, NTU60_ACTIONS = 17, 60  # NTU120 goes on from there: setups 18-32, actions 61-120
TRAIN_CAMERAS = frozenset([2, 3])
UCLA_TRAIN_CAMERAS = frozenset([1, 2])
UTD_TRAIN_SUBJECTS = frozenset([1, 3, 5, 7])

SAMPLES = {  # those of NTU RGB+D whose skeletons are missing included
    "ntu60": 56_880,
    "ntu120": 114_480,
    "nwucla": 1_484,
    "utdmhad": 861,
}

BENCHMARKS: dict[str, tuple[str, ...]] = {
    "studio": ("xsub", "xview"),
    "ntu60": ("xsub", "xview"),
    "ntu120": ("xsub", "xset"),
    "pku1": ("xsub", "xview"),  # by the data set's own lists, see `c2vl.datasets.pku_splits`
    "pku2": ("xsub", "xview"),
    "nwucla": ("xview",),
    "utdmhad": ("xsub",),
}
OWN_BENCHMARKS = ("manifest", "pyskl")  # their files name them


def splits(
    dataset: str, train_subjects: Collection[int] | None = None
) -> dict[str, Callable[[SampleName], Split]]:
    """Return for each benchmark of `dataset` the function from a name to its split.

    Args:
        dataset: studio, ntu60, ntu120, nwucla or utdmhad.
        train_subjects: training subjects of xsub in the studio; the other data sets have theirs.
    """
    published = {"ntu60": NTU60_SUBJECTS, "ntu120": NTU120_SUBJECTS, "utdmhad": UTD_TRAIN_SUBJECTS}
    subjects = published.get(dataset) or frozenset(train_subjects or ())
    cameras = UCLA_TRAIN_CAMERAS if dataset == "nwucla" else TRAIN_CAMERAS
    rules: dict[str, Callable[[SampleName], bool]] = {
        "xsub": lambda name: name.subject in subjects,
        "xview": lambda name: name.camera in cameras,
        "xset": lambda name: name.setup % 2 == 0,
    }

    def split(trains: Callable[[SampleName], bool]) -> Callable[[SampleName], Split]:
        return lambda name: "train" if trains(name) else "test"

    return {benchmark: split(rules[benchmark]) for benchmark in BENCHMARKS[dataset]}


def belongs(dataset: str, name: SampleName) -> bool:
    """Whether `name` is a sample of `dataset`; a folder with all of NTU120 also serves NTU60."""
    return dataset != "ntu60" or (name.setup <= NTU60_SETUPS and name.action <= NTU60_ACTIONS)


@cache
def missing_skeletons(dataset: str) -> frozenset[SampleName]:
    """Samples that the authors list as without skeleton: 302 of NTU60, 535 of NTU120."""
    if dataset not in ("ntu60", "ntu120"):
        return frozenset()
    text = (
        resources.files(__package__)
        .joinpath("ntu120_missing_skeletons.txt")
        .read_text(encoding="ascii")
    )
    names = (parse_name(line) for line in text.split())
    return frozenset(name for name in names if belongs(dataset, name))
