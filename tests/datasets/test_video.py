"""Frame choice, and decoding of the frames asked for, from whole, cut and unreadable files."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2vl.datasets.video import backends
from c2vl.datasets.video.backends import BackendError, Decoded, VideoError
from c2vl.datasets.video.decode import decode
from c2vl.datasets.video.middle_frames import middle_frames

needs_decord = pytest.mark.skipif(
    importlib.util.find_spec("decord") is None, reason="decord is an extra: c2vl[decord]"
)
Decoder = Callable[[Path, list[int]], Decoded]
DECODERS = [
    pytest.param(backends.with_decord, marks=needs_decord, id="decord"),
    pytest.param(backends.with_opencv, id="opencv"),
]
BITS, CELL = 7, 16  # a frame's number is painted as black and white cells, which survive any codec


def numbered(number: int) -> np.ndarray:
    """(64, 112, 3) BGR: the number's bits above; below, blue left and red right, over noise."""
    image = np.zeros((64, BITS * CELL, 3), np.uint8)
    for bit in range(BITS):
        image[:32, bit * CELL : (bit + 1) * CELL] = 255 * (number >> bit & 1)
    image[32:, : 3 * CELL], image[32:, 4 * CELL :] = (255, 0, 0), (0, 0, 255)
    image[52:] = np.random.default_rng(number).integers(
        0, 255, (12, BITS * CELL, 3)
    )  # or a whole video is one key frame
    return image


def number_of(image: np.ndarray) -> int:
    return sum(
        1 << bit
        for bit in range(BITS)
        if image[8:24, bit * CELL + 4 : (bit + 1) * CELL - 4].mean() > 128
    )


def video(path: Path, codec: str, frames: int = 90) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 15, (BITS * CELL, 64))
    for number in range(frames):
        writer.write(numbered(number))
    writer.release()
    return path


@given(count=st.integers(1, 3000), segments=st.integers(1, 64))
def test_each_frame_is_the_middle_of_its_segment(count: int, segments: int) -> None:
    chosen = middle_frames(count, segments)
    for number, frame in enumerate(chosen):
        low, high = number * count / segments, (number + 1) * count / segments
        assert (
            abs(frame + 0.5 - (low + high) / 2) <= 0.5
        )  # the frame whose extent holds the segment's middle
        assert 0 <= frame < count
    assert chosen == sorted(chosen)


def test_frames_cannot_be_chosen_from_an_empty_video() -> None:
    with pytest.raises(ValueError, match="0 frames"):
        middle_frames(0, 4)


@pytest.mark.parametrize("read", DECODERS)
@pytest.mark.parametrize("codec", ["XVID", "MJPG", "mp4v"])
def test_decoded_frames_are_exactly_those_asked_for_and_rgb(
    tmp_path: Path, codec: str, read: Decoder
) -> None:
    wanted = [0, 1, 11, 12, 13, 47, 88, 89]
    decoded = read(video(tmp_path / "v.avi", codec), wanted)
    assert {index: number_of(frame) for index, frame in decoded.frames.items()} == {
        index: index for index in wanted
    }
    assert decoded.missing == []
    red = decoded.frames[0][42, 6 * CELL]
    assert decoded.frames[0].dtype == np.uint8
    assert red[0] > 150 > 100 > red[2]


def test_a_video_is_read_on_where_the_last_call_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward without opening it again; back, another file and a replaced file are opened."""
    opened: list[str] = []
    whole = backends._opened
    monkeypatch.setattr(
        backends, "_opened", lambda path, why: opened.append(path.name) or whole(path, why)
    )
    one, other = (video(tmp_path / name, "XVID") for name in ("one.avi", "other.avi"))

    def numbers(path: Path, wanted: list[int]) -> list[int]:
        return [number_of(frame) for frame in backends.with_opencv(path, wanted).frames.values()]

    for wanted in ([3, 5], [6, 40], [41], [88]):
        assert numbers(one, wanted) == wanted
    assert opened == ["one.avi"]
    assert numbers(one, [88]) == [88] and len(opened) == 2, "the frame is past"
    assert backends.with_opencv(one, [89, 90]).available == 90, "it ended and was closed"
    assert numbers(one, [89]) == [89] and len(opened) == 3
    assert numbers(other, [7]) == [7] and opened[3:] == ["other.avi"]
    video(other, "MJPG", frames=20)
    assert numbers(other, [8]) == [8] and len(opened) == 5, "another file of that name"


@needs_decord
@pytest.mark.parametrize("codec", ["XVID", "MJPG"])
def test_both_decoders_give_the_same_pixels(tmp_path: Path, codec: str) -> None:
    path = video(tmp_path / "v.avi", codec)
    one, other = (
        read(path, [3, 40]).frames for read in (backends.with_decord, backends.with_opencv)
    )
    assert all(np.array_equal(one[index], other[index]) for index in (3, 40))


@pytest.mark.parametrize("read", DECODERS)
@pytest.mark.parametrize("codec", ["XVID", "MJPG"])
def test_a_cut_file_gives_the_frames_it_has_and_names_the_others(
    tmp_path: Path, codec: str, read: Decoder
) -> None:
    path = video(tmp_path / "v.avi", codec)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert (
        int(cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT)) == 90
    )  # what the header still declares
    decoded = read(path, [5, 20, 80, 89])
    assert {index: number_of(frame) for index, frame in decoded.frames.items()} == {5: 5, 20: 20}
    assert decoded.missing == [80, 89]
    assert decoded.available is not None
    assert 20 < decoded.available < 80


def test_a_request_past_the_end_of_a_whole_file_is_missing_too(tmp_path: Path) -> None:
    decoded = decode(video(tmp_path / "v.avi", "XVID", frames=10), [9, 10, 9])
    assert (sorted(decoded.frames), decoded.missing) == ([9], [10])


@pytest.mark.parametrize("junk", [b"", b"no video at all " * 50])
def test_an_unreadable_file_is_told_by_a_reason(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "v.avi").write_bytes(junk)
    with pytest.raises(VideoError, match="not readable as a video"):
        decode(tmp_path / "v.avi", [0])
    with pytest.raises(VideoError, match="not there"):
        decode(tmp_path / "other.avi", [0])


def test_without_decord_opencv_does_it(tmp_path: Path) -> None:
    """What decodes by default is OpenCV, whatever else is installed."""
    assert backends.BACKENDS[backends.DEFAULT] is backends.with_opencv
    assert number_of(decode(video(tmp_path / "v.avi", "XVID"), [33]).frames[33]) == 33


def test_a_backend_that_is_not_installed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    path = video(tmp_path / "v.avi", "XVID")
    with pytest.raises(BackendError, match=r"pip install 'c2vl\[decord\]'"):
        backends.with_decord(path, [0])


def test_a_codec_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    """HEVC is not defined for AVI; its packets are not even sent to a decoder."""
    path = video(tmp_path / "v.avi", "MJPG")
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"HEVC"))
    with pytest.raises(VideoError, match=r"no frame of the video can be decoded \(codec hevc"):
        decode(path, [0, 40])
