"""Scores the tiny engines on held-out stills, with the adapters and crops of the pipeline."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.boxes import iou
from c2vl.evaluation.ranking import wrong_before
from c2vl.evaluation.scores.clip_quality import plain
from c2vl.evaluation.scores.keypoints import pck
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detections,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
)
from c2vl.prompts.engines.pose import JOINTS, PoseEngine, PoseEngineParams
from c2vl.prompts.window import union
from c2vl.studio import vocabulary
from c2vl.studio.draws import Chance
from c2vl.studio.engines.stills_on_disk import Frames, Note
from c2vl.studio.engines.targets import read
from c2vl.studio.engines.training_crops import cut, subjects
from c2vl.studio.sentences import Facts, say

BATCH = 32
CANDIDATES = 100  # sentences among which the true one is searched


def matches(found: np.ndarray, truth: np.ndarray, least: float = 0.5) -> list[tuple[int, int]]:
    """Pairs (found, true) of boxes, best overlap first, each box once, with IoU ≥ `least`."""
    overlap = iou(found, truth)
    pairs = []
    while overlap.size and overlap.max() >= least:
        row, column = map(int, np.unravel_index(overlap.argmax(), overlap.shape))
        pairs.append((row, column))
        overlap[row], overlap[:, column] = -1, -1
    return pairs


def detect(detector: Detector, frames: Frames) -> list[Detections]:
    """The detections of every frame, in order."""
    return [
        found
        for begin in range(0, len(frames), BATCH)
        for found in detector(
            [frames[index] for index in range(begin, min(begin + BATCH, len(frames)))]
        )
    ]


def detector_scores(found: list[Detections], notes: list[Note]) -> dict[str, float]:
    """Recall and precision at IoU 0.5, and the mean IoU of matched boxes."""
    overlaps, people, boxes = [], 0, 0
    for detections, note in zip(found, notes, strict=True):
        table = iou(detections.boxes, note.boxes)
        overlaps += [float(table[pair]) for pair in matches(detections.boxes, note.boxes)]
        people, boxes = people + len(note.boxes), boxes + len(detections.boxes)
    return {
        "recall": round(len(overlaps) / max(1, people), 4),
        "precision": round(len(overlaps) / max(1, boxes), 4),
        "mean_iou": round(float(np.mean(overlaps)) if overlaps else 0.0, 4),
        "people": people,
    }


def detected_crops(
    frames: Frames, found: list[Detections]
) -> tuple[list[np.ndarray], list[Facts], list[str]]:
    """Crops of the detected subjects, with their facts and class names.

    A person that was not detected has no crop. The crop of a pair is the union of its found boxes.
    """
    crops: list[np.ndarray] = []
    facts: list[Facts] = []
    actions: list[str] = []
    for index, detections in enumerate(found):
        note = frames.notes[index]
        pairs = dict((person, row) for row, person in matches(detections.boxes, note.boxes))
        if not pairs:
            continue
        frame = frames[index]
        for _, person in subjects(note):
            rows = list(pairs.values()) if note.pair else [pairs[person]] if person in pairs else []
            if rows:
                crops.append(cut(frame, union(detections.boxes[rows])))
                facts.append(note.facts[person])
                actions.append(note.actions[person])
    return crops, facts, actions


def captioner_scores(
    captioner: Captioner, crops: list[np.ndarray], facts: list[Facts]
) -> dict[str, Any]:
    """Share of crops with the right posture, object and phrase; confusions; majority baselines."""
    results = [
        answer
        for begin in range(0, len(crops), BATCH)
        for answer in captioner(crops[begin : begin + BATCH])
    ]
    said = [read(answer.text) for answer in results]
    scores: dict[str, Any] = {
        "crops": len(crops),
        "finished": round(float(np.mean([answer.finished for answer in results])), 4),
        "distinct": round(len({plain(answer.text) for answer in results}) / len(results), 4),
        "words": round(float(np.mean([len(answer.text.split()) for answer in results])), 2),
    }
    for part, name in enumerate(("posture", "object", "phrase")):
        pairs = [(getattr(one, name), names[part]) for one, names in zip(facts, said, strict=True)]
        wrong = Counter(
            f"{true} → {other or '(not said)'}" for true, other in pairs if true != other
        )
        scores[name] = round(1 - sum(wrong.values()) / len(pairs), 4)
        scores[f"{name}_majority"] = round(
            Counter(true for true, _ in pairs).most_common(1)[0][1] / len(pairs), 4
        )
        scores[f"{name}_confusions"] = dict(wrong.most_common(6))
    return scores


def encoder_scores(
    encoder: Encoder, crops: list[np.ndarray], facts: list[Facts], actions: list[str]
) -> dict[str, float]:
    """Retrieval of the true sentence among 100, and zero-shot accuracy with bare class names.

    Crops with the same posture, object and phrase are right for each other: their sentences may
    say no more.
    """
    chance = Chance(np.random.default_rng(0))
    answers = [say(one, chance) for one in facts]
    batches = range(0, len(crops), BATCH)
    images = np.concatenate(
        [encoder.images(crops[begin : begin + BATCH]) for begin in batches]
    ).astype(np.float32)
    sentences = np.concatenate(
        [encoder.texts(answers[begin : begin + BATCH])[0] for begin in batches]
    ).astype(np.float32)
    names = encoder.texts(list(vocabulary.ACTIONS))[0].astype(np.float32)
    meanings = ["/".join((one.posture, one.object, one.phrase)) for one in facts]
    identity = np.unique(meanings, return_inverse=True)[1]
    rng, top1, top5 = np.random.default_rng(0), [], []
    for _ in range(10):
        drawn = rng.choice(len(crops), min(CANDIDATES, len(crops)), replace=False)
        similarity = images[drawn] @ sentences[drawn].T
        right = identity[drawn][:, None] == identity[drawn][None]
        rank = wrong_before(similarity, right)
        top1.append(float((rank < 1).mean()))
        top5.append(float((rank < 5).mean()))
    labels = np.array([vocabulary.ACTIONS.index(action) for action in actions])
    guess = (images @ names.T).argmax(1)
    return {
        "retrieval_top1": round(float(np.mean(top1)), 4),
        "retrieval_top5": round(float(np.mean(top5)), 4),
        "zero_shot_frame": round(float((guess == labels).mean()), 4),
        "zero_shot_chance": round(1 / len(vocabulary.ACTIONS), 4),
    }


def pose_scores(
    engine: PoseEngine, found: list[Detections], frames: Frames
) -> dict[str, float | int]:
    """PCK of all people; of those whom the detector did not find, no joint is right."""
    truth = np.concatenate([note.coco for note in frames.notes])
    joints = np.full((len(truth), JOINTS, 3), np.nan, np.float32)
    crops, where, first = [], [], 0
    for index, (detections, note) in enumerate(zip(found, frames.notes, strict=True)):
        for row, person in matches(detections.boxes, note.boxes):
            crops.append(engine.cut(frames[index], detections.boxes[row]))
            where.append(first + person)
        first += len(note.boxes)
    for begin in range(0, len(crops), BATCH):
        joints[where[begin : begin + BATCH]] = engine.find(crops[begin : begin + BATCH])
    return pck(joints, truth, np.concatenate([note.boxes for note in frames.notes]))


def evaluate(folder: Path, frames: Frames) -> dict[str, Any]:
    """Scores of the engines in `folder`; captioner and encoder get crops of detected boxes."""
    detector = Detector.load(DetectorParams(model=str(folder / "detector")), "cpu")
    captioner_params = CaptionerParams(
        model=str(folder / "captioner"), max_new_tokens=48, temperature=0.4, pad_to_square=False
    )
    captioner = Captioner.load(captioner_params, "cpu")
    encoder = Encoder.load(EncoderParams(model=str(folder / "encoder")), "cpu")
    found = detect(detector, frames)
    crops, facts, actions = detected_crops(frames, found)
    scores: dict[str, Any] = {
        "stills": len(frames),
        "detector": detector_scores(found, frames.notes),
        "pose": pose_scores(
            PoseEngine.load(PoseEngineParams(model=str(folder / "pose")), "cpu"), found, frames
        ),
    }
    if crops:
        scores["captioner"] = captioner_scores(captioner, crops, facts)
        scores["encoder"] = encoder_scores(encoder, crops, facts, actions)
    return scores
