"""Quality of each clip's prompts without ground truth: missing or empty answers, bad crops."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SHOWN = 10  # samples to look at, and commonest answers
AGREED = 0.5  # mean coverage; below it, detector and skeleton do not speak of the same people


def plain(text: str) -> str:
    """A text as it is compared: lower case, one space between words."""
    return " ".join(text.lower().split())


def clip_quality(index: pa.Table, captions: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """The answers clip by clip.

    Args:
        index: columns `sample`, `label`, `status`.
        captions: columns `sample`, `answer` (null unless usable).
        classes: names, position = label.

    Returns:
        `clips` (usable ones of the index), `without` (share of them without any answer),
        `one_answer` (share of those with several answers whose answers are all the same),
        `names_its_class` and `names_another_class` (shares of the answers), `classes_of_an_answer`
        (mean number of classes over which a distinct answer is spread, weighted by how often it is
        given: 1 would give the label away), `commonest` (list of `{answer, share}`); shares are
        None without answers.
    """
    usable = index.filter(pc.equal(index.column("status"), "ok"))
    label_of = dict(
        zip(usable.column("sample").to_pylist(), usable.column("label").to_pylist(), strict=True)
    )
    answers_of: dict[str, list[str]] = defaultdict(list)
    for sample, answer in zip(
        captions.column("sample").to_pylist(), captions.column("answer").to_pylist(), strict=True
    ):
        if answer is not None and sample in label_of:
            answers_of[sample].append(plain(answer))
    total = sum(map(len, answers_of.values()))
    counts = Counter(text for texts in answers_of.values() for text in texts)
    spread: dict[str, set[int]] = defaultdict(set)
    for sample, texts in answers_of.items():
        for text in texts:
            spread[text].add(label_of[sample])
    several = [texts for texts in answers_of.values() if len(texts) > 1]
    own, other = _named(answers_of, label_of, classes)

    def share(count: int, of: int) -> float | None:
        return count / of if of else None

    return {
        "clips": len(label_of),
        "without": share(len(label_of) - len(answers_of), len(label_of)),
        "one_answer": share(sum(len(set(texts)) == 1 for texts in several), len(several)),
        "names_its_class": share(own, total),
        "names_another_class": share(other, total),
        "classes_of_an_answer": sum(len(spread[text]) * n for text, n in counts.items()) / total
        if total
        else None,
        "commonest": [
            {"answer": text, "share": n / total} for text, n in counts.most_common(SHOWN)
        ],
    }


def clips_sharing_an_answer(index: pa.Table, captions: pa.Table) -> int:
    """Number of usable clips with an answer that another usable clip has too.

    Only these can show whether answers name their class; arguments as `clip_quality`.
    """
    usable = index.filter(pc.equal(index.column("status"), "ok"))
    samples = set(usable.column("sample").to_pylist())
    clips_of: dict[str, set[str]] = defaultdict(set)
    for sample, answer in zip(
        captions.column("sample").to_pylist(), captions.column("answer").to_pylist(), strict=True
    ):
        if answer is not None and sample in samples:
            clips_of[plain(answer)].add(sample)
    return len(set().union(*(clips for clips in clips_of.values() if len(clips) > 1)))


def lowest_coverage(crops: pa.Table) -> list[dict[str, Any]]:
    """The crops with the lowest coverage: rows `sample, k, coverage`, worst first."""
    coverage = crops.column("coverage").to_numpy().astype(np.float64)
    known = np.flatnonzero(np.isfinite(coverage))
    worst = known[np.argsort(coverage[known], kind="stable")[:SHOWN]]
    rows = crops.select(["sample", "k"]).take(pa.array(worst)).to_pylist()
    return [{**row, "coverage": float(coverage[at])} for row, at in zip(rows, worst, strict=True)]


def other_people(crops: pa.Table) -> dict[str, Any]:
    """The clips whose video may show other people than their skeleton, such as swapped videos.

    In the frames where people were found, less than half of the tracked joints lie where they are.

    Args:
        crops: columns `sample`, `coverage`, `boxes`.

    Returns:
        `clips` (how many) and `samples` (rows `sample, coverage`, worst first, at most ten).
    """
    peopled = crops.filter(pc.greater(pc.list_value_length(crops.column("boxes")), 0))
    covered: dict[str, list[float]] = defaultdict(list)
    for sample, value in zip(
        peopled.column("sample").to_pylist(), peopled.column("coverage").to_numpy(), strict=True
    ):
        if np.isfinite(value):
            covered[sample].append(float(value))
    means = {sample: float(np.mean(values)) for sample, values in covered.items()}
    means = {sample: value for sample, value in means.items() if value < AGREED}
    worst = sorted(means, key=lambda sample: (means[sample], sample))[:SHOWN]
    return {
        "clips": len(means),
        "samples": [{"sample": sample, "coverage": means[sample]} for sample in worst],
    }


def _named(
    answers_of: Mapping[str, Iterable[str]], label_of: Mapping[str, int], classes: Sequence[str]
) -> tuple[int, int]:
    """Answers that contain their own class's name, and those that contain only another's."""
    names = [plain(name) for name in classes]
    label_by_name = {name: label for label, name in enumerate(names)}
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)")
    own = other = 0
    for sample, texts in answers_of.items():
        for text in texts:
            found = {label_by_name[name] for name in pattern.findall(text)}
            own += label_of[sample] in found
            other += bool(found) and label_of[sample] not in found
    return own, other
