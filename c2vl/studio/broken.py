"""Damages a few samples like real downloads, so that every stage is tested on damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl.core.files import write_bytes

DAMAGES = (
    "missing skeleton",
    "truncated video",
    "no body in any frame",
    "truncated skeleton",
    "empty video",
    "first frames without a body",
)


def choose_broken(names: list[str], count: int, rng: np.random.Generator) -> dict[str, str]:
    """Choose `count` samples and a damage for each; the kinds of damage take turns."""
    chosen = rng.choice(len(names), size=min(count, len(names)), replace=False)
    return {names[int(index)]: DAMAGES[k % len(DAMAGES)] for k, index in enumerate(chosen)}


def break_sample(skeleton: Path, video: Path, what: str) -> None:
    """Apply one of `DAMAGES` to a sample's files."""
    if what == "missing skeleton":
        skeleton.unlink()
    elif what == "truncated video":
        content = video.read_bytes()
        write_bytes(video, content[: len(content) * 45 // 100])
    elif what == "empty video":
        write_bytes(video, b"")
    elif what == "truncated skeleton":
        content = skeleton.read_bytes()
        write_bytes(skeleton, content[: len(content) * 60 // 100])
    else:
        frames = _frames(skeleton.read_text())
        count = len(frames) if what == "no body in any frame" else len(frames) // 4
        lines = [str(len(frames))]
        for k, frame in enumerate(frames):
            lines += ["0"] if k < count else frame
        write_bytes(skeleton, ("\n".join(lines) + "\n").encode())


def _frames(text: str) -> list[list[str]]:
    """Split a `.skeleton` file into its frames: the lines of each, body count first."""
    lines = text.splitlines()
    frames, at = [], 1
    for _ in range(int(lines[0])):
        size = 1 + int(lines[at]) * 27
        frames.append(lines[at : at + size])
        at += size
    return frames
