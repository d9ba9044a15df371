"""One row a sampled frame: what was found and said there, and what is true.

An answer about a whole clip stands at each of its frames, beside the true sentence of the clip.
Scores and the report's gallery read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.evaluation.scores.answers import PARTS, Parsed, parse
from c2vl.evaluation.scores.detection import Match, match
from c2vl.evaluation.scores.ground_truth import Truth

FRAMES = pa.schema(
    [
        ("sample", pa.string()),
        ("k", pa.int8()),
        ("frame", pa.int32()),
        ("people", pa.int16()),
        ("detections", pa.int16()),
        ("matched", pa.int16()),
        ("answer", pa.string()),
        ("sentence", pa.string()),
        *((f"{part}_{column}", pa.string()) for part in PARTS for column in ("said", "true")),
        *((f"{part}_at", pa.list_(pa.field("element", pa.int32()))) for part in PARTS),
    ]
)


@dataclass(frozen=True)
class FrameScore:
    """One sampled frame beside its truth.

    `detection` is None where the detector saw no frame, `said` where the captioner was not asked.
    `sentence` is what the answer should be: of the frame, or of the clip; `of_frame` the frame's,
    `meaning` the posture, object and phrase that this names.
    """

    sample: str
    k: int
    frame: int
    detection: Match | None
    answer: str | None
    said: Parsed | None
    sentence: str
    true: Parsed
    of_frame: str
    meaning: str

    def row(self) -> dict[str, Any]:
        """The frame as a row of `FRAMES`; `<part>_at` is (start, end) in the answer."""
        counts = (
            {name: getattr(self.detection, name) for name in ("people", "detections", "matched")}
            if self.detection
            else {}
        )
        row = {
            "sample": self.sample,
            "k": self.k,
            "frame": self.frame,
            "answer": self.answer,
            "sentence": self.sentence,
            **counts,
        }
        for part in PARTS:
            said, true = getattr(self.said, part, None), getattr(self.true, part)
            row[f"{part}_said"], row[f"{part}_true"] = said and said.name, true and true.name
            row[f"{part}_at"] = [said.start, said.end] if said else None
        return row


def score_frames(
    crops: Sequence[Mapping[str, Any]],
    answers: Mapping[tuple[str, int | None], str | None],
    truth: Truth,
    threshold: float,
    per_clip: bool = False,
) -> Iterator[FrameScore]:
    """Put every sampled frame that the truth knows beside it.

    Args:
        crops: rows of the crop table (`sample, k, frame, boxes, scores, video_width`).
        answers: the captioner's answer by (sample, k); frames it was never asked about are absent
            or None. Of a whole clip, k is None.
        truth: the studio's.
        threshold: least IoU of a match.
        per_clip: the captioner was asked about whole clips.
    """
    nobody = np.zeros((0, 4))
    clips = clip_sentences(crops, truth) if per_clip else {}
    for crop in crops:
        at = (crop["sample"], crop["frame"])
        if at not in truth.sentences:
            continue
        seen = crop["boxes"] is not None and bool(crop["video_width"])
        detection = None
        if seen:
            boxes = np.asarray(crop["boxes"], dtype=np.float64).reshape(-1, 4)
            detection = match(
                boxes, np.asarray(crop["scores"]), truth.boxes.get(at, nobody), threshold
            )
        answer = answers.get((crop["sample"], None if per_clip else crop["k"]))
        sentence = clips.get(crop["sample"], truth.sentences[at])
        yield FrameScore(
            sample=crop["sample"],
            k=crop["k"],
            frame=crop["frame"],
            detection=detection,
            answer=answer,
            said=None if answer is None else parse(answer, truth.vocabulary),
            sentence=sentence,
            true=parse(sentence, truth.vocabulary),
            of_frame=truth.sentences[at],
            meaning="/".join(map(str, parse(truth.sentences[at], truth.vocabulary).names())),
        )


def clip_sentences(crops: Sequence[Mapping[str, Any]], truth: Truth) -> dict[str, str]:
    """The true sentence of each clip: that of the frames whose action phrase tells most.

    People of the studio wait before and after an action, so the commonest sentence of a clip is
    often that they wait. A phrase tells most if it is rarest among all sampled frames. Of several
    sentences with this phrase, the commonest of the clip is taken.

    Args:
        crops: rows of the crop table (`sample, frame`).
        truth: the studio's.
    """
    of_clip: dict[str, list[str]] = {}
    for crop in crops:
        if (at := (crop["sample"], crop["frame"])) in truth.sentences:
            of_clip.setdefault(crop["sample"], []).append(truth.sentences[at])
    phrases = {
        sentence: found.name if (found := parse(sentence, truth.vocabulary).phrase) else None
        for sentence in {sentence for sentences in of_clip.values() for sentence in sentences}
    }
    often = Counter(phrases[sentence] for sentences in of_clip.values() for sentence in sentences)
    return {
        sample: min(
            sentences,
            # A frame without people has no phrase and tells nothing.
            key=lambda one: (
                phrases[one] is None,
                often[phrases[one]],
                -sentences.count(one),
            ),
        )
        for sample, sentences in of_clip.items()
    }
