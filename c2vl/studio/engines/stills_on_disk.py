"""A cache of studio stills on disk: JPEG frames in one file, annotations in another.

Frames are cached because rendering is slow, and as JPEG because frames of videos are lossy too.
"""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.files import published, write_bytes
from c2vl.core.progress import progress
from c2vl.studio.sentences import Facts
from c2vl.studio.stills import still

HELD_OUT = 50_000_000  # first seed of the stills that no engine is trained on
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Note:
    """The truth about one still.

    Attributes:
        boxes: (P, 4) xyxy pixels of its people.
        joints: (P, 25, 2) pixels.
        coco: (P, 17, 3) COCO's joints: x and y in pixels, and 1 if visible, else 0.
        facts: what is true of each person; both people of a pair have the same facts.
        actions: class name of each person's action.
        pair: True if two people share one action, and so one crop and one answer.
    """

    boxes: np.ndarray
    joints: np.ndarray
    coco: np.ndarray
    facts: tuple[Facts, ...]
    actions: tuple[str, ...]
    pair: bool


class Frames(Sequence[np.ndarray]):
    """The cached frames (H, W, 3) uint8 RGB, decoded on access; `notes` has their annotations."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "notes.npz", allow_pickle=False) as arrays:
            self._ends = arrays["ends"]
            self.notes = _unflatten({name: arrays[name] for name in arrays.files})
        self._bytes = np.memmap(folder / "frames.bin", np.uint8, "r")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        from PIL import Image

        begin = int(self._ends[index - 1]) if index else 0
        encoded = self._bytes[begin : int(self._ends[index])].tobytes()
        return np.asarray(Image.open(io.BytesIO(encoded)))


def cached(folder: Path, first_seed: int, count: int, workers: int) -> Frames:
    """The stills of seeds `first_seed … first_seed + count - 1`; renders them if `folder` is empty.

    Raises:
        ValueError: the folder holds another number of stills.
    """
    if not (folder / "notes.npz").is_file():
        _render(folder, range(first_seed, first_seed + count), workers)
    frames = Frames(folder)
    if len(frames) != count:
        raise ValueError(f"{folder} holds {len(frames)} stills, not {count}; remove it")
    return frames


def _render(folder: Path, seeds: range, workers: int) -> None:
    notes: list[Note] = []
    ends: list[int] = []
    context = multiprocessing.get_context("forkserver")
    with (
        context.Pool(workers) as pool,
        published(folder / "frames.bin") as place,
        place.open("wb") as file,
    ):
        for encoded, note in progress(
            pool.imap(_render_one, seeds, chunksize=32), "stills", "frames", len(seeds)
        ):
            file.write(encoded)
            ends.append(file.tell())
            notes.append(note)
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {**_flatten(notes), "ends": np.array(ends)}
    np.savez(buffer, **arrays)
    # Written last: if this file exists, the cache is complete.
    write_bytes(folder / "notes.npz", buffer.getvalue())


def _render_one(seed: int) -> tuple[bytes, Note]:
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    shot = still(seed)
    buffer = io.BytesIO()
    Image.fromarray(shot.image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    people = shot.people
    note = Note(
        np.array([person.box for person in people], np.float32).reshape(-1, 4),
        np.array([person.joints for person in people], np.float32).reshape(-1, 25, 2),
        np.array([person.coco for person in people], np.float32).reshape(-1, 17, 3),
        tuple(person.facts for person in people),
        tuple(person.action for person in people),
        bool(shot.pair),
    )
    return buffer.getvalue(), note


def _flatten(notes: list[Note]) -> dict[str, np.ndarray]:
    return {
        "people": np.array([len(note.boxes) for note in notes]),
        "pair": np.array([note.pair for note in notes]),
        "boxes": np.concatenate([note.boxes for note in notes]),
        "joints": np.concatenate([note.joints for note in notes]),
        "coco": np.concatenate([note.coco for note in notes]),
        "facts": np.array([json.dumps(vars(facts)) for note in notes for facts in note.facts]),
        "actions": np.array([action for note in notes for action in note.actions]),
    }


def _unflatten(arrays: dict[str, np.ndarray]) -> list[Note]:
    cuts = np.cumsum(arrays["people"])[:-1]
    per_person = ("boxes", "joints", "coco", "facts", "actions")
    per_still = [np.split(arrays[name], cuts) for name in per_person]
    return [
        Note(boxes, joints, coco, tuple(map(_facts, facts)), tuple(map(str, actions)), bool(pair))
        for boxes, joints, coco, facts, actions, pair in zip(
            *per_still, arrays["pair"], strict=True
        )
    ]


def _facts(text: str) -> Facts:
    return Facts(**json.loads(text))
