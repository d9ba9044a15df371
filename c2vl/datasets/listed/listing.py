"""A list of samples with their files, labels and splits, before any file is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ListedSample:
    """One sample.

    Attributes:
        sample: its id.
        label: class from 0; None where the list does not say it.
        skeletons, videos: places in the raw folder (see `c2vl.datasets.raw_files`), copies too.
        splits: benchmark -> train, test or empty.
        setup, camera, subject, repetition: numbers, None where there are none.
        size: width and height in pixels of the images that 2D joints belong to, where the list says
            so.
        kind, problem: why it cannot be used, by the list alone: a word or two, and a sentence.
        remark: what else should be known of it, in a sentence.
    """

    sample: str
    label: int | None
    skeletons: Sequence[str] = ()
    videos: Sequence[str] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    setup: int | None = None
    camera: int | None = None
    subject: int | None = None
    repetition: int | None = None
    size: tuple[int, int] | None = None
    kind: str = ""
    problem: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Listing:
    """All samples of a data set.

    Attributes:
        samples: sorted by id, each id once.
        classes: names by label.
        benchmarks: that have splits.
        strangers: files or rows that were left out because they belong to no sample.
        notes: sentences for the user.
    """

    samples: Sequence[ListedSample]
    classes: Sequence[str]
    benchmarks: Sequence[str]
    strangers: Sequence[str] = ()
    notes: Sequence[str] = ()
