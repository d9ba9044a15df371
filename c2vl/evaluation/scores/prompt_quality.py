"""Quality of the knowledge prompts without ground truth, so that bad ones are seen early."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COVERED = 0.9


def crop_quality(crops: pa.Table) -> dict[str, Any]:
    """Statuses of the crops, and how well the detector and the skeleton agree.

    Args:
        crops: columns `status`, `coverage`, `boxes`, `chosen`.

    Returns:
        `frames`, `statuses` (counts), `coverage` (mean share of the tracked joints that lie where
        the detector found people, None without colour joints), `covered` (share of the crops with
        at least 90 % of them), `boxes` (mean a frame), `fallbacks` (share of the crops in which
        nobody of the action was found), `elsewhere` (share of the crops in which people were found,
        but none where the skeleton is).
    """
    coverage = crops.column("coverage").to_numpy().astype(np.float64)
    known = coverage[np.isfinite(coverage)]
    boxes = pc.divide(pc.list_value_length(crops.column("boxes")), 4)
    usable = crops.filter(pc.equal(crops.column("status"), "ok"))
    fallback = pc.equal(pc.list_value_length(usable.column("chosen")), 0)
    found = pc.greater(pc.list_value_length(usable.column("boxes")), 0)
    return {
        "frames": crops.num_rows,
        "statuses": _counts(crops),
        "coverage": float(known.mean()) if known.size else None,
        "covered": float((known >= COVERED).mean()) if known.size else None,
        "boxes": pc.mean(boxes).as_py(),
        "fallbacks": pc.mean(fallback).as_py(),
        "elsewhere": pc.mean(pc.and_(fallback, found)).as_py(),
    }


def answer_quality(captions: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """Statuses of the answers, their length and variety, and how often they give a class name away.

    Args:
        captions: columns `status`, `answer`, `finished`, and perhaps `repeats`.
        classes: class names.

    Returns:
        `answers`, `statuses`, `empty`, `unfinished` and `repeats` (shares), `words` (mean),
        `distinct` (share of the answers that differ), `names_a_class` (share that contain some
        class name word for word); shares are None without answers.
    """
    given = captions.filter(pc.is_valid(captions.column("answer")))
    texts = Counter(" ".join(text.lower().split()) for text in given.column("answer").to_pylist())
    total = sum(texts.values())
    name = re.compile(
        rf"(?<!\w)(?:{'|'.join(re.escape(name.lower()) for name in classes) or '(?!)'})(?!\w)"
    )

    def share(count: int) -> float | None:
        return count / total if total else None

    return {
        "answers": total,
        "statuses": _counts(captions),
        "empty": share(texts.get("", 0)),
        "unfinished": share(given.num_rows - (pc.sum(given.column("finished")).as_py() or 0)),
        "repeats": share(pc.sum(given.column("repeats")).as_py() or 0)
        if "repeats" in given.column_names
        else None,
        "words": sum(len(text.split()) * n for text, n in texts.items()) / total if total else None,
        "distinct": share(len(texts)),
        "names_a_class": share(sum(n for text, n in texts.items() if name.search(text))),
    }


def _counts(table: pa.Table) -> dict[str, int]:
    return {
        pair["values"]: pair["counts"]
        for pair in pc.value_counts(table.column("status")).to_pylist()
    }
