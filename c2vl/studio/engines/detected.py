"""The trained detector's boxes on the training stills, to make crops like the pipeline's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl.core.files import published
from c2vl.prompts.engines import Detector, DetectorParams
from c2vl.studio.engines.held_out_scores import detect, matches
from c2vl.studio.engines.stills_on_disk import Frames, Note
from c2vl.studio.engines.training_crops import Boxes


def detected_boxes(frames: Frames, detector: Path, cache: Path) -> list[np.ndarray]:
    """Detected boxes (P, 4) of each still; a person that was not found keeps the true box."""
    if not cache.is_file():
        found = detect(Detector.load(DetectorParams(model=str(detector)), "cpu"), frames)
        boxes = [note.boxes.copy() for note in frames.notes]
        for mine, detections, note in zip(boxes, found, frames.notes, strict=True):
            for row, person in matches(detections.boxes, note.boxes):
                mine[person] = detections.boxes[row]
        with published(cache) as place, place.open("wb") as file:
            np.save(file, np.concatenate(boxes))
    cuts = np.cumsum([len(note.boxes) for note in frames.notes])[:-1]
    return np.split(np.load(cache), cuts)


def source(boxes: list[np.ndarray], jitter: float = 0.0) -> Boxes:
    """A source of boxes for `training_crops.make`: the detected boxes, with random edges.

    Args:
        boxes: (P, 4) of each still.
        jitter: standard deviation of each edge, as a share of the box.
    """

    def boxes_of(index: int, note: Note, rng: np.random.Generator) -> np.ndarray:
        mine = boxes[index]
        return mine + rng.normal(0, 1, mine.shape) * jitter * np.tile(mine[:, 2:] - mine[:, :2], 2)

    return boxes_of
