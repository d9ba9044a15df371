"""Frames by number, from files that FFmpeg writes: codec x group x B-frames x container.

Every frame bears its number, which is read back. PyAV brings FFmpeg's encoders along.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_video import BITS, CELL, number_of, numbered

from c2vl.datasets.file_facts import video_facts
from c2vl.datasets.video.backends import BackendError, with_torchcodec
from c2vl.datasets.video.decode import decode
from c2vl.datasets.video.middle_frames import middle_frames

av: Any = pytest.importorskip("av")

FRAMES = 90
CODECS = {  # what a container may hold
    "avi": ("libx264", "mpeg4", "libvpx-vp9", "ffv1"),
    "mp4": ("libx264", "mpeg4", "libx265", "libvpx-vp9"),
    "mkv": ("libx264", "mpeg4", "libx265", "libvpx-vp9", "ffv1"),
    "webm": ("libvpx-vp9", "libvpx"),
}
GROUPS = ((1, 0), (12, 0), (12, 2), (5, 1), (250, 3))  # frames from key to key, B-frames in a row
ALL = [(container, codec) for container, codecs in CODECS.items() for codec in codecs]


def encoded(path: Path, codec: str, group: int, between: int) -> Path:
    """A video of `FRAMES` numbered frames, written by FFmpeg."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = BITS * CELL, 64, "yuv420p"
        stream.codec_context.gop_size = group
        stream.codec_context.max_b_frames = between
        for number in range(FRAMES):
            image = av.VideoFrame.from_ndarray(numbered(number), "bgr24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("container", "codec"), ALL)
def test_each_frame_asked_for_is_the_one_returned(
    tmp_path: Path, container: str, codec: str
) -> None:
    wanted = middle_frames(FRAMES, 16)
    for group, between in GROUPS:
        name = f"{codec}-{group}-{between}.{container}"
        path = encoded(tmp_path / name, codec, group, between)
        assert video_facts(tmp_path, name).frames == FRAMES, name
        for asked in (wanted, [FRAMES - 1], [*range(FRAMES)]):
            decoded = decode(path, asked)
            got = {index: number_of(frame) for index, frame in decoded.frames.items()}
            assert got == {index: index for index in asked}, name
            assert decoded.missing == []


@pytest.mark.parametrize(("container", "codec"), ALL)
def test_torchcodec_returns_the_frames_asked_for(
    tmp_path: Path, container: str, codec: str
) -> None:
    wanted = middle_frames(FRAMES, 16)
    for group, between in GROUPS:
        name = f"{codec}-{group}-{between}.{container}"
        path = encoded(tmp_path / name, codec, group, between)
        try:
            decoded = with_torchcodec(path, wanted)
        except BackendError as error:
            pytest.skip(str(error))
        got = {index: number_of(frame) for index, frame in decoded.frames.items()}
        assert got == {index: index for index in wanted}, name
