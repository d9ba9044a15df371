"""Put the tables of the stages together into scores: with the truth, and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from c2vl.core import tables
from c2vl.core.tables.class_list import read_class_list
from c2vl.evaluation.ranking import unit
from c2vl.evaluation.scores import (
    answers,
    bag_of_words,
    clip_quality,
    detection,
    encoder_scores,
    prompt_quality,
    world_samples,
)
from c2vl.evaluation.scores import frame_scores as frames
from c2vl.evaluation.scores.answer_variety import thinned
from c2vl.evaluation.scores.ground_truth import Truth
from c2vl.evaluation.scores.score_params import ScoreParams


@dataclass(frozen=True)
class PromptTables:
    """The columns of earlier outputs that scoring needs (`skeleton` for the broken samples)."""

    index: pa.Table
    classes: list[str]
    skeleton: pa.Table
    crop: pa.Table
    caption: pa.Table
    vision: pa.Table

    @classmethod
    def read(cls, data: Path) -> PromptTables:
        """Read them from the folder `data`.

        Raises:
            UserError: one of them is missing or unreadable.
        """
        outcome = ["sample", "status", "reason"]
        boxes = ["k", "frame", "boxes", "chosen", "scores", "coverage", "video_width"]
        return cls(
            index=tables.read(data / "index" / "index.parquet"),
            classes=read_class_list(data),
            skeleton=tables.read(data / "skeleton", outcome),
            crop=tables.read(data / "crop", [*outcome, *boxes]),
            caption=tables.read(data / "caption", [*outcome, "k", "answer", "finished", "repeats"]),
            vision=tables.read(data / "embed" / "vision", ["sample", "k", "feature"]),
        )

    @property
    def per_clip(self) -> bool:
        """Whether the answers are about whole clips; their k is null."""
        return bool(self.caption.column("k").null_count)

    def texts(self) -> dict[tuple[str, int | None], str]:
        """The usable answers by (sample, k)."""
        keys = zip(
            self.caption.column("sample").to_pylist(),
            self.caption.column("k").to_pylist(),
            strict=True,
        )
        answers_of = zip(keys, self.caption.column("answer").to_pylist(), strict=True)
        return {key: answer for key, answer in answers_of if answer is not None}

    def labels(self) -> dict[str, int]:
        """The 0-based label of each sample."""
        return dict(
            zip(
                self.index.column("sample").to_pylist(),
                self.index.column("label").to_pylist(),
                strict=True,
            )
        )

    def features(self) -> tuple[list[tuple[str, int]], NDArray[np.float32]]:
        """The usable vision features: (sample, k) and (N, d)."""
        usable = self.vision.filter(pc.is_valid(self.vision.column("feature")))
        keys = list(
            zip(usable.column("sample").to_pylist(), usable.column("k").to_pylist(), strict=True)
        )
        return keys, tables.vectors(usable.column("feature")).astype(np.float32)


def words_alone(
    given: PromptTables, sentences: Mapping[tuple[str, int | None], str], params: ScoreParams
) -> dict[str, Any]:
    """The bag-of-words accuracy of `sentences` on every benchmark.

    Too many clips are thinned by a seeded draw.
    """
    of_clip: dict[str, list[str]] = {}
    for (sample, _), text in sorted(sentences.items()):
        of_clip.setdefault(sample, []).append(text)
    names, found = given.index.column("sample").to_pylist(), {}
    for benchmark in tables.schemas.benchmarks_of(given.index):
        split = dict(zip(names, given.index.column(benchmark).to_pylist(), strict=True))
        kept = thinned(of_clip, split, params.bag_of_words_clips, params.seed)
        found[benchmark] = bag_of_words.bag_of_words(kept, given.labels(), split)
    return found


def without_truth(given: PromptTables, params: ScoreParams) -> dict[str, Any]:
    """Scores of the prompts that need no ground truth."""
    return {
        "crop": prompt_quality.crop_quality(given.crop),
        "answers": prompt_quality.answer_quality(given.caption, given.classes),
        "clips": clip_quality.clip_quality(given.index, given.caption, given.classes),
        "other_people": clip_quality.other_people(given.crop),
        "lowest_coverage": clip_quality.lowest_coverage(given.crop),
        "bag_of_words": words_alone(given, given.texts(), params),
    }


def zero_shot_from_names(
    given: PromptTables, names: NDArray[np.floating]
) -> dict[str, float | int]:
    """Zero-shot recognition of the clips from features (C, d) of the class names.

    A clip's vision feature is the mean over its K crops.
    """
    keys, features = given.features()
    labels = given.labels()
    rows: dict[str, list[int]] = {}
    for row, (sample, _) in enumerate(keys):
        rows.setdefault(sample, []).append(row)
    clips = (
        np.stack([unit(features[at]).mean(axis=0) for at in rows.values()]) if rows else features
    )
    return encoder_scores.zero_shot(clips, names, [labels[sample] for sample in rows])


def true_sentences(
    given: PromptTables,
    scored: Sequence[frames.FrameScore],
    encode: Callable[[list[str]], NDArray[np.floating]],
    params: ScoreParams,
) -> dict[str, Any]:
    """Retrieval between crops and true sentences.

    `retrieval` is of any frames, `retrieval_distinct` of one frame a meaning. Sentences that name
    the same posture, object and phrase mean the same.

    `encode` is the encoder's text tower.
    """
    frames_at = {(frame.sample, frame.k): frame for frame in scored}
    keys, features = given.features()
    rows = [row for row, key in enumerate(keys) if key in frames_at]
    true = [frames_at[keys[row]].of_frame for row in rows]
    if not true:
        return {}
    distinct = sorted(set(true))
    texts, place = encode(distinct), {text: at for at, text in enumerate(distinct)}
    meanings = [frames_at[keys[row]].meaning for row in rows]
    pairs = (
        features[rows],
        texts[[place[text] for text in true]],
        meanings,
        params.candidates,
        params.draws,
        params.seed,
    )
    return {
        "retrieval": encoder_scores.retrieval(*pairs),
        "retrieval_distinct": encoder_scores.retrieval(*pairs, distinct=True),
    }


def against_truth(
    given: PromptTables, truth: Truth, params: ScoreParams
) -> tuple[dict[str, Any], list[frames.FrameScore], dict[str, Any]]:
    """Detector and captioner against the truth: (scores, frames, confusions).

    An answer about a clip counts once, not once a frame.
    """
    crops, texts, per_clip = tables.rows_of(given.crop), given.texts(), given.per_clip
    scored = list(frames.score_frames(crops, texts, truth, params.iou, per_clip))
    answered = [frame for frame in scored if frame.said is not None]
    if per_clip:
        answered = list({frame.sample: frame for frame in answered}.values())
    asked = [(frame.said, frame.true) for frame in answered if frame.said is not None]
    true: dict[tuple[str, int | None], str] = {
        (frame.sample, frame.k): frame.sentence for frame in answered
    }
    vocabulary = truth.vocabulary
    confusions = {
        "posture": answers.confusion(asked, "posture", vocabulary.postures),
        "object": answers.confusion(asked, "object", vocabulary.things()),
        "phrase": answers.confusion(asked, "phrase", vocabulary.phrases),
    }
    stages = {
        "index": given.index,
        "skeleton": given.skeleton,
        "crop": given.crop,
        "caption": given.caption,
    }
    outcomes = {name: _outcomes(table) for name, table in stages.items()}
    scores = {
        "detector": detection.summarise(
            frame.detection for frame in scored if frame.detection is not None
        )
        | {"frames_not_seen": sum(frame.detection is None for frame in scored)},
        "captioner": answers.summarise(asked)
        | {"frames_not_asked": sum(frame.said is None for frame in scored)}
        | ({"per": "clip"} if per_clip else {}),
        "bag_of_words_of_truth": words_alone(given, true, params),
        "broken": world_samples.world_samples(truth.broken, outcomes),
    }
    return scores, scored, confusions


def _outcomes(table: pa.Table) -> list[world_samples.Outcome]:
    return list(
        zip(
            *(table.column(name).to_pylist() for name in ("sample", "status", "reason")),
            strict=True,
        )
    )
