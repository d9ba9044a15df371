"""Crops by the colour joints, by both, and by the detector, against the studio's ground truth.

    python bench/crop_backends.py [--clips 200]

Run it in a project that ran as far as `dvc repro crop` in the demo. It crops clips spread evenly
over the index with each backend of `crop.detector`, asks the captioner about the crops, and prints
a table. Its results lie in a temporary folder; the project's outputs and store are only read.

The rows of the table: `coverage` is that of the crop table, the mean share of the tracked joints
in the window around the people found; where the joints are the boxes, it is 1 by construction.
`people in the crop` is the mean share of the true people's area inside the crop window. `window
IoU` compares the window with the box around the true people. `recall` and `mean IoU` are of the
boxes. The last rows are shares of right answers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from c2vl.commands.costs.trial import chosen
from c2vl.core import tables
from c2vl.core.boxes import iou
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.evaluation.scores import ScoreParams, Truth, answers, detection, read_truth
from c2vl.evaluation.scores.frame_scores import score_frames
from c2vl.prompts.caption import CaptionParams, CaptionStage
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.window import union
from c2vl.store.run import run

BACKENDS = ("skeleton", "auto", "transformers")
DATA, TRUTH = Path("data"), Path("truth/studio")


def people_in(window: np.ndarray, people: np.ndarray) -> float:
    """Share of the area of boxes (N, 4) that lies in a window (4,)."""
    low, high = np.maximum(people[:, :2], window[:2]), np.minimum(people[:, 2:], window[2:])
    areas = (people[:, 2:] - people[:, :2]).prod(axis=1)
    return float((high - low).clip(0).prod(axis=1).sum() / areas.sum())


def scores_of(crops: list[dict[str, Any]], texts: Mapping[Any, str], truth: Truth) -> list[str]:
    """The cells of a column below the first two: how crops and answers compare with the truth."""
    scored = list(score_frames(crops, texts, truth, load_section("score", ScoreParams).iou))
    boxes = detection.summarise(one.detection for one in scored if one.detection is not None)
    said = answers.summarise((one.said, one.true) for one in scored if one.said is not None)
    cropped = [row for row in crops if row["status"] == "ok"]
    seen = [(row, truth.boxes.get((row["sample"], row["frame"]))) for row in cropped]
    windows = [
        (np.array([row[side] for side in ("x0", "y0", "x1", "y1")]), people)
        for row, people in seen
        if people is not None
    ]
    inside = np.mean([people_in(window, people) for window, people in windows])
    fit = np.mean([iou(window, union(people))[0, 0] for window, people in windows])
    shares = [inside, fit, boxes["recall"], boxes["mean_iou"]]
    shares += [said[part] for part in answers.PARTS]
    empty = sum(not len(row["chosen"]) for row in cropped)
    coverage = np.array([row["coverage"] for row in cropped], float)
    return [
        f"{len(crops) - len(cropped)}",
        f"{empty}",
        f"{np.nanmean(coverage):.3f}",
        *(f"{float(share):.3f}" for share in shares),
    ]


ROWS = (
    "frames",
    "frames that the detector looks at",
    "seconds of the stage `crop`",
    "failed rows",
    "crops by `crop.fallback`",
    "coverage",
    "people in the crop",
    "window IoU",
    "recall of the boxes",
    "mean IoU of the boxes",
    "posture",
    "object",
    "phrase",
)


def column(backend: str, index: Path, folder: Path, truth: Truth) -> list[str]:
    """The cells of one backend."""
    params = load_section("crop", CropParams)
    detector = params.detector.model_copy(update={"backend": backend})
    params = params.model_copy(update={"detector": detector, "max_failed": 1.0})
    captions = load_section("caption", CaptionParams)
    captions = captions.model_copy(update={"max_failed": 1.0, "per": "frame"})
    stage = CropStage(params, index, DATA / "skeleton", load_section("data", DataParams).raw)
    began = time.perf_counter()
    run(stage, folder / "crop", {})
    seconds = time.perf_counter() - began
    run(CaptionStage(captions, folder / "crop"), folder / "caption", {})
    crops = tables.rows_of(tables.read(folder / "crop"))
    told = tables.rows_of(tables.read(folder / "caption", ["sample", "k", "answer"]))
    texts = {(row["sample"], row["k"]): row["answer"] for row in told if row["answer"] is not None}
    usable = sum(row["frame"] is not None for row in crops)
    looked = {"skeleton": 0, "transformers": usable}.get(backend)
    looked = stage.metrics()["doubtful_frames"] if looked is None else looked
    return [str(len(crops)), str(looked), f"{seconds:.1f}", *scores_of(crops, texts, truth)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=200, help="clips to crop (default: 200)")
    clips = parser.parse_args().clips
    truth = read_truth(TRUTH)
    if truth is None:
        raise SystemExit(f"{TRUTH} has no ground truth; run `dvc repro crop` in the demo first.")
    columns = {}
    os.environ.pop("C2VL_STORE", None)
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as name:
            os.environ["C2VL_HOME"] = str(Path(name) / "home")
            index = tables.read(DATA / "index/index.parquet")
            few = chosen(index, clips)
            index = few.take(pc.sort_indices(few["sample"]))
            tables.write(Path(name) / "index.parquet", index)
            columns[backend] = column(backend, Path(name) / "index.parquet", Path(name), truth)
    print(f"| | {' | '.join(f'`{backend}`' for backend in columns)} |")
    print(f"|---|{'---:|' * len(columns)}")
    for name, *cells in zip(ROWS, *columns.values(), strict=True):
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
