"""PKU-MMD's split files: two headings, each followed by names of videos with commas between."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources

from c2vl.datasets.pku import PkuError, VideoName, decoded, parse_video

SPLIT_FILES = {"xsub": "cross_subject", "xview": "cross_view"}
_HEADINGS = {
    "training": "train",
    "train": "train",
    "validation": "test",
    "testing": "test",
    "test": "test",
    "val": "test",
}
_HEADING = re.compile(r"([A-Za-z]+)(\s+(videos?|set|samples?))?\s*:?")


@dataclass(frozen=True)
class Splits:
    """The videos of a benchmark.

    Attributes:
        train, test: names.
        repairs: what was read otherwise than it is written, in a few words each.
    """

    train: frozenset[VideoName]
    test: frozenset[VideoName]
    repairs: tuple[str, ...] = field(default=())

    def of(self, video: VideoName) -> str:
        """`train`, `test`, or empty where the file does not name the video."""
        return "train" if video in self.train else "test" if video in self.test else ""


def parse_splits(dataset: str, data: bytes) -> Splits:
    """Read a split file, despite misspelt headings (`Validataion videos:`) and stray commas.

    Raises:
        PkuError: it is no text, has no training or no test videos, or names one in both.
    """
    names: dict[str, set[VideoName]] = {"train": set(), "test": set()}
    repairs: list[str] = []
    unknown: list[str] = []
    part = ""
    for line in decoded(data, "split").splitlines():
        heading = _HEADING.fullmatch(line.strip())
        if heading:
            part = _part(heading[1], repairs)
            continue
        for token in filter(None, re.split(r"[,;\s]+", line)):
            try:
                video = parse_video(
                    dataset, re.sub(r"\.(txt|avi|skeleton)$", "", token.strip("'\""))
                )
            except ValueError:
                unknown.append(token)
                continue
            if not part:
                raise PkuError(
                    "the split file names videos before its first heading, "
                    "such as `Training videos:`"
                )
            names[part].add(video)
    if unknown:
        shown = ", ".join(
            repr(token[:24].encode("ascii", "replace").decode()) for token in unknown[:3]
        )
        repairs.append(
            f"ignored {len(unknown)} that name no video: {shown}{'…' if len(unknown) > 3 else ''}"
        )
    return _checked(names, repairs)


def published_splits() -> dict[str, Splits]:
    """The published splits of PKU-MMD II by benchmark."""
    folder = resources.files(__package__)
    return {
        benchmark: parse_splits("pku2", folder.joinpath(f"pku2_{name}.txt").read_bytes())
        for benchmark, name in SPLIT_FILES.items()
    }


def _checked(names: dict[str, set[VideoName]], repairs: Iterable[str]) -> Splits:
    for part, what in (("train", "training"), ("test", "validation or test")):
        if not names[part]:
            raise PkuError(f"the split file names no {what} videos")
    both = sorted(map(str, names["train"] & names["test"]))
    if both:
        raise PkuError(
            f"the split file has {both[0]} among both training and test videos ({len(both)} such)"
        )
    return Splits(frozenset(names["train"]), frozenset(names["test"]), tuple(repairs))


def _part(word: str, repairs: list[str]) -> str:
    """Which part a heading begins; a misspelt one goes by its first letters."""
    known = _HEADINGS.get(word.lower())
    if known:
        return known
    for start, part in (("tr", "train"), ("val", "test"), ("te", "test")):
        if word.lower().startswith(start):
            repairs.append(
                f"read the heading {word[:24]!r} as "
                f"{'training' if part == 'train' else 'validation'}"
            )
            return part
    raise PkuError(
        f"the split file has the heading {word[:24]!r}, neither training nor validation nor test"
    )
