"""Person crops to train the vision tower, made like the pipeline's: cut, JPEG, resized.

Each person (or pair) is cut several times: from the true box and from randomly changed boxes, or,
once there is a detector, from its boxes. A captioner trained only on tight boxes does badly on
loose ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from c2vl.core.files import published
from c2vl.core.progress import progress
from c2vl.prompts.jpeg import from_jpeg, to_jpeg
from c2vl.prompts.window import grown, union
from c2vl.studio.draws import Chance
from c2vl.studio.engines.configs import TOWER_SIZE
from c2vl.studio.engines.look import Look, looks
from c2vl.studio.engines.stills_on_disk import Frames, Note
from c2vl.studio.engines.targets import parts_of
from c2vl.studio.sentences import say

MARGIN = 0.08  # as in profiles/demo.yaml: added on each side, as a share of the box
JITTER = 0.06  # standard deviation of each edge, as a share of the box
JPEG_QUALITY = 92  # as in profiles/demo.yaml

NOTES = ("joints", "parts", "looks", "answers", "truths")  # of `Crops`, besides the pictures
Boxes = Callable[[int, Note, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Crops:
    """N crops and their targets.

    Attributes:
        images: (N, S, S, 3) uint8.
        joints: (N, 25, 2) float32 in [0, 1] of the crop; NaN for pairs.
        parts: (N, 7) int64, indices in the order of `targets.PARTS`.
        looks: (N, D) float32, see `look.looks`.
        answers: N answers like LLaVA's, worded by the look.
        truths: N true sentences.
    """

    images: np.ndarray
    joints: np.ndarray
    parts: np.ndarray
    looks: np.ndarray
    answers: np.ndarray
    truths: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def subjects(note: Note) -> list[tuple[np.ndarray, int]]:
    """The boxes that need an answer, each with the index of its (first) person."""
    if note.pair:
        return [(union(note.boxes), 0)]
    return [(box, index) for index, box in enumerate(note.boxes)]


def jittered(index: int, note: Note, rng: np.random.Generator) -> np.ndarray:
    """The true boxes of a still, with each edge moved at random."""
    sizes = np.tile(note.boxes[:, 2:] - note.boxes[:, :2], 2)
    return note.boxes + rng.normal(0, JITTER, note.boxes.shape) * sizes


def exact(index: int, note: Note, rng: np.random.Generator) -> np.ndarray:
    """The true boxes of a still."""
    return note.boxes


def saved(folder: Path, build: Callable[[], Crops]) -> Crops:
    """Load the crops of `folder`, with memory-mapped pictures; `build` and save them if absent."""
    notes = folder / "crops.npz"
    if not notes.is_file():
        made = build()
        with published(folder / "images.npy") as place, place.open("wb") as file:
            np.save(file, made.images)
        # Written last: if this file exists, both files are complete.
        with (
            published(notes) as place,
            place.open("wb") as file,
        ):
            np.savez(file, **{name: getattr(made, name) for name in NOTES})
    with np.load(notes, allow_pickle=False) as arrays:
        images = np.load(folder / "images.npy", mmap_mode="r")
        return Crops(images, *(arrays[name] for name in NOTES))


def cut(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The crop (h, w, 3) of `box` as the crop stage stores it: with a margin, and as JPEG."""
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = grown(box, MARGIN, (width, height))
    return from_jpeg(to_jpeg(frame[y0:y1, x0:x1], JPEG_QUALITY))


def make(frames: Frames, sources: list[Boxes], seed: int) -> Crops:
    """Cut every subject of `frames` once for each source of boxes."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    images, joints, parts, facts = [], [], [], []
    for index in progress(range(len(frames)), "crops", "frames", len(frames)):
        note = frames.notes[index]
        if not len(note.boxes):
            continue
        frame = frames[index]
        height, width = frame.shape[:2]
        for source in sources:
            moved = source(index, note, rng)
            for box, person in subjects(replace(note, boxes=moved)):
                crop = Image.fromarray(cut(frame, box)).resize(
                    (TOWER_SIZE, TOWER_SIZE), Image.Resampling.BICUBIC
                )
                images.append(np.asarray(crop))
                corners = np.array(grown(box, MARGIN, (width, height)))
                places = (note.joints[person] - corners[:2]) / (corners[2:] - corners[:2])
                joints.append(np.full((25, 2), np.nan) if note.pair else places)
                parts.append(parts_of(note.facts[person], note.actions[person]))
                facts.append(note.facts[person])
    pictures = np.stack(images)
    seen, chance = looks(pictures), Chance(rng)
    return Crops(
        pictures,
        np.array(joints, np.float32),
        np.array(parts),
        seen,
        np.array(
            [say(one, Look(look), guesses=True) for one, look in zip(facts, seen, strict=True)]
        ),
        np.array([say(one, chance) for one in facts]),
    )
