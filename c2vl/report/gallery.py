"""The gallery: for each chosen sample its frame, crop, skeleton, and answer beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from c2vl.core import tables
from c2vl.core.tables.schemas import OK
from c2vl.datasets.image_joints import image_joints, video_size
from c2vl.report.gallery_choice import Choice, failures, typical
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.report_params import ReportParams
from c2vl.report.skeleton_drawing import moments, over_frame
from c2vl.report.video_frames import data_uri, frame_at, picture

PARTS = ("posture", "object", "phrase")
FRAME_PIXELS, CROP_PIXELS = 560, 220


@dataclass(frozen=True)
class Card:
    """One card of the gallery; pictures are data URIs or SVG, empty if there is none."""

    choice: Choice
    name: str
    split: str
    frame: int | None = None
    size: tuple[int, int] = (16, 9)
    picture: str = ""
    boxes: tuple[tuple[float, float, float, float, float], ...] = ()  # x, y, width, height, score
    window: tuple[float, float, float, float] | None = None  # x, y, width, height
    joints: str = ""
    crop: str = ""
    answer: tuple[tuple[str, str], ...] = ()  # (text, `right`, `wrong` or empty)
    parts: tuple[tuple[str, str, str, bool], ...] = ()  # part, answer, truth, right
    sentence: str = ""
    skeleton: str = ""
    prediction: tuple[str, float, bool] | None = None
    problem: str = ""


def gallery(
    outputs: PipelineOutputs, raw: Path, params: ReportParams
) -> tuple[list[Card], list[Card]]:
    """Build the cards: (samples drawn at random, failures). Both are empty without crops."""
    crops = outputs.table(
        "data/crop", "The gallery's crop table", ["sample", "k", "status", "reason"]
    )
    if crops is None:
        return [], []
    index = {row["sample"]: row for row in tables.rows_of(outputs.index)}
    benchmark = next(iter(outputs.benchmarks), "")
    usable = {sample: row for sample, row in index.items() if row["status"] == OK}
    whole = {
        sample: int(row["label"])
        for sample, row in usable.items()
        if row.get(benchmark, "test") == "test"
    }
    prompts = int(pc.max(crops.column("k")).as_py() or 0) + 1
    frames = (
        outputs.table("results/scores/frames.parquet", "The table of frame scores")
        if outputs.scores.get("truth")
        else None
    )
    scored = tables.rows_of(frames) if frames is not None else []
    bad = [
        (row["sample"], row["k"], row["reason"])
        for row in tables.rows_of(crops.filter(pc.not_equal(crops.column("status"), OK)))
    ]
    chosen = typical(whole, prompts, params.gallery, params.seed)
    worst = failures(
        scored,
        [row for row in bad if row[0] in index],
        {choice.sample for choice in chosen},
        params.failures,
        params.seed,
    )
    truth = {(row["sample"], row["k"]): row for row in scored}
    predictions = _predictions(outputs, {choice.sample for choice in [*chosen, *worst]})
    make = _CardMaker(outputs, raw, params, index, truth, predictions)
    return [make(choice) for choice in chosen], [make(choice) for choice in worst]


@dataclass(frozen=True)
class _CardMaker:
    outputs: PipelineOutputs
    raw: Path
    params: ReportParams
    index: Mapping[str, Mapping[str, Any]]
    truth: Mapping[tuple[str, int], Mapping[str, Any]]
    predictions: Mapping[str, tuple[int, float]]

    def __call__(self, choice: Choice) -> Card:
        row = self.index[choice.sample]
        name = self.outputs.classes[row["label"]]
        predicted = self.predictions.get(choice.sample)
        prediction = (
            (self.outputs.classes[predicted[0]], predicted[1], predicted[0] == row["label"])
            if predicted
            else None
        )
        split = next(
            (str(row[benchmark]) for benchmark in self.outputs.benchmarks if row.get(benchmark)), ""
        )
        crop = self._row("data/crop", choice)
        return Card(
            choice,
            name,
            split,
            prediction=prediction,
            **self._pictures(choice, row, crop),
            **self._answer(choice),
        )

    def _row(self, path: str, choice: Choice, by_k: bool = True) -> Mapping[str, Any] | None:
        """The row of a sample, or of the chosen prompt of it; an answer may be of the clip."""
        shard = self.outputs.root / path / f"{tables.shard_of(choice.sample)}.parquet"
        if not shard.exists():
            return None
        found = tables.rows_of(pq.read_table(shard, filters=[("sample", "=", choice.sample)]))
        return next((row for row in found if not by_k or row["k"] in (choice.k, None)), None)

    def _pictures(
        self, choice: Choice, row: Mapping[str, Any], crop: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        skeleton = self._row("data/skeleton", choice, by_k=False)
        shown: dict[str, Any] = {"problem": crop["reason"] if crop and crop["status"] != OK else ""}
        if skeleton and skeleton["status"] == OK:
            layout = self.outputs.layout
            joints = np.asarray(skeleton["joints"]).reshape(-1, *layout.shape)
            bodies, count = int(skeleton["bodies"]), self.params.moments
            shown["skeleton"] = moments(joints, layout, bodies, count, video_size(row))
        if crop is None or crop["frame"] is None or crop["frame"] < 0:
            return shown
        shown["frame"] = crop["frame"]
        image = frame_at(self.raw, row["video_file"], crop["frame"]) if row["video_file"] else None
        if image is not None:
            height, width = image.shape[:2]
            shown |= {"size": (width, height), "picture": data_uri(image, FRAME_PIXELS)}
            usable = skeleton is not None and skeleton["status"] == OK
            placed = image_joints(skeleton, self.outputs.layout) if skeleton and usable else None
            if placed is not None:
                # A clip of a longer video numbers its own frames, from its first one.
                colour, _ = placed.at(crop["frame"] - (row.get("clip_begin") or 0))
                image_size = placed.size
                shown["joints"] = over_frame(colour, self.outputs.layout, image_size, width, height)
            if crop["boxes"] is not None:
                found = zip(
                    np.asarray(crop["boxes"]).reshape(-1, 4),
                    np.asarray(crop["scores"]),
                    strict=True,
                )
                shown["boxes"] = tuple((*_placed(*box), float(score)) for box, score in found)
            if crop["crop"]:
                shown["window"] = _placed(*(crop[side] for side in ("x0", "y0", "x1", "y1")))
        small = picture(crop["crop"]) if crop["crop"] else None
        if small is not None:
            shown["crop"] = data_uri(small, CROP_PIXELS, quality=88)
        return shown

    def _answer(self, choice: Choice) -> dict[str, Any]:
        caption, truth = (
            self._row("data/caption", choice),
            self.truth.get((choice.sample, choice.k)),
        )
        answer = caption["answer"] if caption else None
        if answer is None:
            return {"sentence": truth["sentence"] if truth else ""}
        if truth is None:
            return {"answer": ((answer, ""),)}
        parts = tuple(
            (
                part,
                truth[f"{part}_said"] or "not named",
                truth[f"{part}_true"],
                truth[f"{part}_said"] == truth[f"{part}_true"],
            )
            for part in PARTS
            if truth[f"{part}_true"] is not None
        )
        spans = [
            (tuple(truth[f"{part}_at"]), right)
            for part, _, _, right in parts
            if truth[f"{part}_at"] is not None
        ]
        return {"answer": marked(answer, spans), "parts": parts, "sentence": truth["sentence"]}


def marked(answer: str, spans: list[tuple[tuple[int, int], bool]]) -> tuple[tuple[str, str], ...]:
    """Cut an answer into pieces marked `right`, `wrong` or empty.

    Args:
        answer: the text.
        spans: ((start, end), right) of the marked parts; one that overlaps an earlier is ignored.
    """
    pieces: list[tuple[str, str]] = []
    at = 0
    for (start, end), right in sorted(spans):
        if start < at:
            continue
        pieces += [(answer[at:start], ""), (answer[start:end], "right" if right else "wrong")]
        at = end
    return tuple(piece for piece in [*pieces, (answer[at:], "")] if piece[0])


def _placed(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
    return (float(x0), float(y0), float(x1 - x0), float(y1 - y0))


def _predictions(outputs: PipelineOutputs, samples: set[str]) -> dict[str, tuple[int, float]]:
    """Linear classifier on C²VL's joint stream: (label, probability) of each test sample."""
    columns = ["sample", "protocol", "method", "stream", "prediction", "probability"]
    table = outputs.table(
        "results/evaluate/predictions.parquet", "The table of predictions", columns
    )
    if table is None:
        return {}
    wanted = {"protocol": "linear", "method": "c2vl", "stream": "joint"}
    for column, value in wanted.items():
        table = table.filter(pc.equal(table.column(column), value))
    rows = [
        row
        for row in table.select(["sample", "prediction", "probability"]).to_pylist()
        if row["sample"] in samples
    ]
    return {row["sample"]: (row["prediction"], row["probability"]) for row in reversed(rows)}
