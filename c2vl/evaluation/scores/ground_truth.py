"""The studio's ground truth. Nothing else reads it: no stage that learns may look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.evaluation.scores.answers import Vocabulary
from c2vl.evaluation.scores.keypoints import JOINTS

Frame = tuple[str, int]  # sample, index in the video


@dataclass(frozen=True)
class Truth:
    """What is true of every frame.

    Args:
        boxes: (N, 4) true person boxes of each frame, xyxy video pixels; a frame without people has
            none.
        joints: (N, 17, 3) COCO's joints of these people: x and y in video pixels, and 1 where a
            joint can be seen, else 0.
        sentences: the true answer to the paper's question for each frame.
        broken: what was broken on purpose, by sample.
        vocabulary: the names a true answer is made of.
    """

    boxes: dict[Frame, NDArray[np.float64]]
    joints: dict[Frame, NDArray[np.float32]]
    sentences: dict[Frame, str]
    broken: dict[str, str]
    vocabulary: Vocabulary


def read_truth(folder: Path) -> Truth | None:
    """Return the truth in `folder`, or None where there is none (real data).

    Raises:
        UserError: the folder holds a part of the truth only.
    """
    if not (folder / "people.parquet").exists():
        return None
    columns = ["sample", "frame", "x0", "y0", "x1", "y1", "joints"]
    people = tables.read(folder / "people.parquet", columns)
    answers = tables.read(folder / "answers.parquet", ["sample", "frame", "sentence"])
    broken = tables.read(folder / "broken.parquet", ["sample", "what"])
    corners = np.stack(
        [people.column(side).to_numpy().astype(np.float64) for side in ("x0", "y0", "x1", "y1")],
        axis=1,
    )
    joints = tables.numbers(people.column("joints")).reshape(-1, JOINTS, 3)
    rows: dict[Frame, list[int]] = {}
    for row, frame in enumerate(_frames(people)):
        rows.setdefault(frame, []).append(row)
    return Truth(
        boxes={frame: corners[at] for frame, at in rows.items()},
        joints={frame: joints[at] for frame, at in rows.items()},
        sentences=dict(zip(_frames(answers), answers.column("sentence").to_pylist(), strict=True)),
        broken=dict(
            zip(broken.column("sample").to_pylist(), broken.column("what").to_pylist(), strict=True)
        ),
        vocabulary=_vocabulary(folder / "vocabulary.json"),
    )


def _frames(table: pa.Table) -> list[Frame]:
    return list(
        zip(table.column("sample").to_pylist(), table.column("frame").to_pylist(), strict=True)
    )


def _vocabulary(path: Path) -> Vocabulary:
    try:
        names = read_json(path)
        postures, objects, phrases = (
            tuple(names[part]) for part in ("postures", "objects", "phrases")
        )
        return Vocabulary(postures, objects, phrases, dict(names.get("synonyms", {})))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is missing or incomplete ({error}); remake it with `dvc repro simulate`."
        ) from None
