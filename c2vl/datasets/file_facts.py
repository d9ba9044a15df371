"""What the index holds of one raw file: the hash of its bytes and what it declares about itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from c2vl.core.digest import digest_of
from c2vl.core.machine import workers
from c2vl.core.progress import progress
from c2vl.datasets import raw_files as places
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import SKELETON
from c2vl.datasets.skeleton_file import SkeletonError, declared_frames

Item = TypeVar("Item")
Seen = TypeVar("Seen")
LEAST_FRAME = 8  # bytes; a frame that repeats the last one takes more in every container
FEW = 64  # files; below, starting processes costs more than it saves


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One raw file.

    Attributes:
        hash: blake2b-128 of the bytes, hex; None where the file cannot be read.
        frames: declared frame count, None where there is none.
        width, height: of a video, pixels.
        problem: why the file is of no use, in a sentence; empty when it is.
    """

    hash: str | None = None
    frames: int | None = None
    width: int | None = None
    height: int | None = None
    problem: str = ""


def read_facts(raw: Path, paths: Sequence[str]) -> Iterator[FileFacts]:
    """Yield the facts of each of `paths` (places in `raw`), in order, using all workers."""
    return on_workers(partial(_facts, os.fspath(raw)), paths, "files")


def on_workers(look: Callable[[Item], Seen], items: Sequence[Item], what: str) -> Iterator[Seen]:
    """Yield `look` of each item, in order, using all workers.

    Args:
        what: what the items are, for the progress bar.
    """
    processes = min(workers(), max(1, len(items) // FEW))
    if processes == 1:
        yield from progress(map(look, items), "index", what, len(items))
        return
    # Started afresh, not forked: the parent has threads by now (pyarrow's), and OpenCV dislikes
    # forks.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        chunk = max(1, min(64, len(items) // (processes * 8)))
        yield from progress(pool.map(look, items, chunksize=chunk), "index", what, len(items))


def _facts(raw: str, path: str) -> FileFacts:
    what, look = ("skeleton", skeleton_facts) if path.endswith(SKELETON) else ("video", video_facts)
    try:
        return look(Path(raw), path)
    except PlaceError as error:
        return FileFacts(problem=f"the {what} file {path} is of no use: {error}")
    except OSError as error:
        return FileFacts(problem=f"{path} cannot be read ({error.strerror or error})")


def skeleton_facts(raw: Path, place: str) -> FileFacts:
    """Hash and declared frames of a `.skeleton` file; the stage `skeleton` reads the frames."""
    data = places.read(raw, place)
    digest = digest_of(data)
    try:
        return FileFacts(digest, declared_frames(data))
    except SkeletonError as error:
        return FileFacts(digest, problem=str(error))


def video_facts(raw: Path, place: str) -> FileFacts:
    """Hash, declared frames and size of a video. Nothing is decoded; fewer frames may come out."""
    with places.as_file(raw, place) as path:
        return _video_facts(path)


def _video_facts(path: Path) -> FileFacts:
    from c2vl.datasets.video.decode import VideoError, header

    digest = places.digest(path)
    try:
        declared = header(path)
    except VideoError as error:
        return FileFacts(digest, problem=str(error))
    if min(declared.frames, declared.width, declared.height) < 1:
        return FileFacts(digest, problem="the video declares no frames")
    most = path.stat().st_size // LEAST_FRAME
    if declared.frames > most:
        return FileFacts(
            digest,
            problem=f"the video declares {declared.frames:,} frames, but its bytes hold at most "
            f"{most:,}; its header is damaged: copy it again",
        )
    return FileFacts(digest, declared.frames, declared.width, declared.height)
