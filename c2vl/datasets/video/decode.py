"""Decode given frames of a video, frame-exact: the one place where c2vl opens videos.

The native decoders run in a process of their own (`decoder_process`), because a damaged file may
abort them. A video is opened once for all its frames.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from c2vl.core.errors import UserError
from c2vl.datasets.video import decoder_process
from c2vl.datasets.video.backends import (
    BACKENDS,
    DEFAULT,
    Backend,
    BackendError,
    Decoded,
    Header,
    VideoError,
    read_header,
)
from c2vl.datasets.video.decoder_process import DecoderDiedError, NoProcessError

__all__ = ["Decoded", "Header", "VideoError", "decode", "header"]

Result = TypeVar("Result")
TRIES = 2  # a decoder may be killed because another process takes too much memory


def decode(path: Path, indices: Iterable[int], backend: Backend = DEFAULT) -> Decoded:
    """Decode the frames at `indices` (from 0) of the video at `path`.

    A truncated file declares more frames than it holds: frames past its end are reported missing.

    Raises:
        VideoError: the file is not there, no decoder makes sense of it, or it ends the decoder's
            process twice.
        UserError: `backend` does not work on this machine.
    """
    wanted = sorted(set(indices))
    if not path.is_file():
        raise VideoError("the video file is not there")
    try:
        return _safely(BACKENDS[backend], path.absolute(), wanted)
    except BackendError as error:
        raise UserError(str(error)) from None


def header(path: Path) -> Header:
    """Return what the video at `path` declares about itself.

    Raises:
        VideoError: it cannot be opened, or it ends the decoder's process twice.
    """
    return _safely(read_header, path.absolute())


def _safely(function: Callable[..., Result], *given: object) -> Result:
    """Call `function` in another process; in this one where no other can be started.

    Paths are absolute: the other process may have begun in another folder.
    """
    death: DecoderDiedError | None = None
    for _ in range(TRIES):
        try:
            return decoder_process.call(function, *given)
        except DecoderDiedError as error:
            death = error
        except NoProcessError:
            # libav writes its complaints about every damaged block to stderr; what matters of
            # them is in the result.
            os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
            os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
            return function(*given)
    raise VideoError(
        f"the decoder's process ends at this video, twice ({death}); the file is damaged, "
        "or memory is short: copy it or encode it again"
    )
