"""Libraries that decode a video: each returns the same frames, or is not the default.

They run strangers' bytes through native code. So `decode` calls them in a process of their own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np

Backend = Literal["opencv", "torchcodec", "decord"]
DEFAULT: Backend = "opencv"
MOST_PER_SECOND = 1000.0  # frames; a header that declares more knows nothing


class VideoError(Exception):
    """A video cannot be read at all; the text is a reason fit for a table row."""


class BackendError(Exception):
    """The backend that the user asks for does not work on this machine; the text says why."""


@dataclass(frozen=True)
class Decoded:
    """Frames of one video.

    Attributes:
        frames: (H, W, 3) uint8 RGB by frame index, of those asked for that the file really holds.
        missing: the others, sorted.
        available: frames that decode, or None where it was not necessary to find out.
    """

    frames: dict[int, np.ndarray]
    missing: list[int]
    available: int | None


@dataclass(frozen=True)
class Header:
    """What a video declares about itself.

    Attributes:
        frames: declared number of frames; fewer may decode.
        width, height: in pixels.
        frames_per_second: 0 if it does not say.
    """

    frames: int
    width: int
    height: int
    frames_per_second: float


def read_header(path: Path) -> Header:
    """Return what the video declares; decodes no frame that is asked for.

    Raises:
        VideoError: it cannot be opened.
    """
    capture = _opened(path, "the video cannot be opened")
    try:
        properties = (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        frames, width, height = (int(capture.get(what)) for what in properties)
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        return Header(frames, width, height, rate if 0 < rate < MOST_PER_SECOND else 0.0)
    finally:
        capture.release()


def with_opencv(path: Path, wanted: list[int]) -> Decoded:
    """Grab all frames up to the last wanted one, and convert the wanted ones.

    Nothing seeks, so the n-th frame is the n-th picture that the decoder shows. The video stays
    open: if the next call asks for later frames of it, it goes on from there.
    """
    with _going_on(path, wanted[0] if wanted else 0) as opened:
        frames: dict[int, np.ndarray] = {}
        available = None
        asked = set(wanted)
        for index in range(opened.position, wanted[-1] + 1 if wanted else 0):
            if not opened.capture.grab():
                available, opened.ended = index, True
                break
            opened.position = index + 1
            if index in asked:
                decoded, image = opened.capture.retrieve()
                if decoded:
                    frames[index] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if available == 0:
            raise VideoError(_not_decodable(opened.capture))
        return Decoded(frames, [index for index in wanted if index not in frames], available)


def with_decord(path: Path, wanted: list[int]) -> Decoded:
    """Decode by decord 0.6, for users who ask for it.

    It returns other frames than asked for H.264 or MPEG-4 with B-frames and short groups of
    pictures, and frame 0 for all of an all-intra H.264 AVI.

    Raises:
        BackendError: decord is not installed.
    """
    try:
        import decord
    except (ImportError, OSError) as error:
        raise BackendError(_absent("decord", error)) from None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), num_threads=1)
        available = len(reader)
        found = [index for index in wanted if index < available]
        frames = reader.get_batch(found).asnumpy() if found else []
    except (RuntimeError, decord.DECORDError):
        return with_opencv(path, wanted)  # decord gives a whole batch up for one bad frame
    return Decoded(dict(zip(found, frames, strict=True)), wanted[len(found) :], available)


def with_torchcodec(path: Path, wanted: list[int]) -> Decoded:
    """Decode by torchcodec, which scans the file first and then seeks to exact frames.

    Raises:
        BackendError: torchcodec, or the FFmpeg libraries that it needs, are not installed.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(_absent("torchcodec", error)) from None
    try:
        decoder: Any = VideoDecoder(
            str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        available = len(decoder)
        found = [index for index in wanted if index < available]
        frames = decoder.get_frames_at(found).data.numpy() if found else []
    except (RuntimeError, ValueError, IndexError):
        return with_opencv(path, wanted)
    return Decoded(dict(zip(found, frames, strict=True)), wanted[len(found) :], available)


BACKENDS: dict[str, Callable[[Path, list[int]], Decoded]] = {
    "opencv": with_opencv,
    "torchcodec": with_torchcodec,
    "decord": with_decord,
}
assert set(BACKENDS) == set(get_args(Backend))


@dataclass
class _Open:
    """A video that this thread reads: the frames before `position` were grabbed."""

    content: tuple[str, int, int, int]
    capture: cv2.VideoCapture
    position: int = 0
    ended: bool = False


_last = threading.local()


@contextlib.contextmanager
def _going_on(path: Path, first: int) -> Iterator[_Open]:
    """The video of the last call if that did not come past frame `first`; else it is opened."""
    status = path.stat()
    content = (os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)
    opened: _Open | None = getattr(_last, "opened", None)
    _last.opened = None
    if opened is None or opened.content != content or opened.position > first:
        if opened is not None:
            opened.capture.release()
        opened = _Open(content, _opened(path, "the video file is not readable as a video"))
    try:
        yield opened
    except BaseException:
        opened.ended = True
        raise
    finally:
        if opened.ended:
            opened.capture.release()
        else:
            _last.opened = opened


def _opened(path: Path, problem: str) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        capture.release()
        raise VideoError(problem)
    return capture


def _not_decodable(capture: cv2.VideoCapture) -> str:
    """Why not even the first frame decodes: most often the codec, which the file names."""
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    name = "".join(chr(byte) for byte in code.to_bytes(4, "little") if 32 < byte < 127)
    return (
        f"no frame of the video can be decoded (codec {name or 'unknown'}); encode it again, "
        "for example as H.264 in an mp4 file"
    )


def _absent(package: str, error: Exception) -> str:
    why = " ".join(str(error).split())[:120]
    return (
        f"`crop.video_backend` is {package}, which does not work here ({why}); "
        f"install it with `pip install 'c2vl[{package}]'`, or set `crop.video_backend: {DEFAULT}`."
    )
