"""Read NTU RGB+D `.skeleton` text fast: layout by line offsets, numbers by pyarrow's CSV reader.

Layout: frame count; per frame: body count; per body: one line of 10 fields (id first), `25`, and 25
lines of 12 numbers: x y z (metres), depth x y, colour x y (pixels of 1920x1080), orientation w x y
z, tracking state.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import csv

JOINTS = 25
FIELDS = ["x", "y", "z", "depth_x", "depth_y", "u", "v", "qw", "qx", "qy", "qz", "tracked"]
WANTED = ["x", "y", "z", "u", "v", "tracked"]
FARTHEST = 1e9  # metres; squares and sums of such still fit a float32
MAX_FRAMES = 100_000  # an hour; the longest clips of NTU have 300
MAX_BODIES = 32  # a Kinect v2 tracks 6; far more in one frame is damage, not people

_READ = csv.ReadOptions(column_names=FIELDS, use_threads=False)
_PARSE = csv.ParseOptions(delimiter=" ", quote_char=False)
_CONVERT = csv.ConvertOptions(
    include_columns=WANTED,
    # Through double, as Python's float() and so as every published preprocessing reads them.
    column_types=dict.fromkeys(WANTED, pa.float64()),
    null_values=[],
    check_utf8=False,
)


class SkeletonError(Exception):
    """A `.skeleton` file or its content cannot be used; the text fits a table's `reason`."""


@dataclass(frozen=True)
class SkeletonFile:
    """All bodies of a file, one record a body and frame, in the order of the file.

    Attributes:
        frames: F, frames declared (and present).
        frame: (N,) int32, the frame of each record, from 0.
        body: N body ids; an id names one body over the whole clip.
        joints: (N, 25, 3) float32, metres in camera space.
        colour: (N, 25, 2) float32, pixels of the 1920x1080 colour frame; NaN where the sensor gave
            none.
        tracked: (N, 25) uint8, 0 not tracked, 1 inferred, 2 tracked.
    """

    frames: int
    frame: np.ndarray
    body: tuple[str, ...]
    joints: np.ndarray
    colour: np.ndarray
    tracked: np.ndarray


def parse_skeleton(data: bytes) -> SkeletonFile:
    """Parse the bytes of a `.skeleton` file.

    Windows line ends, a byte order mark, superfluous spaces and blank lines are tolerated. Lines
    after the last declared frame are ignored, as the field's parsers do.

    Raises:
        SkeletonError: the file is empty, truncated, no text, or malformed (the reason says where).
    """
    data = data.removeprefix(BOM_UTF8)
    if not data.strip():
        raise SkeletonError("the skeleton file is empty")
    try:
        return _parse(data)
    except SkeletonError:
        tidy = _tidied(data)
        if tidy == data:
            raise
        return _parse(tidy)


def declared_frames(data: bytes) -> int:
    """The frame count in the first line.

    Raises:
        SkeletonError: the file is empty or does not begin with a positive count.
    """
    data = data.removeprefix(BOM_UTF8)
    if not data.strip():
        raise SkeletonError("the skeleton file is empty")
    return _count(data.lstrip()[:64].splitlines()[0], "line 1: frame count", low=1, high=MAX_FRAMES)


def _parse(data: bytes) -> SkeletonFile:
    starts = [0, *(np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1).tolist()]
    if starts[-1] < len(data):
        starts.append(len(data))
    lines = len(starts) - 1

    def line(number: int) -> bytes:
        if number >= lines:
            raise SkeletonError(f"the skeleton file is truncated: it ends at line {lines}")
        return data[starts[number] : starts[number + 1]]

    frames = _count(line(0), "line 1: frame count", low=1, high=MAX_FRAMES)
    if frames > lines:
        raise SkeletonError(
            f"the skeleton file is truncated: {frames} frames declared in {lines} lines"
        )
    frame: list[int] = []
    body: list[str] = []
    blocks: list[bytes] = []
    at = 1
    for number in range(frames):
        count = _count(line(at), f"line {at + 1}: body count", high=MAX_BODIES)
        at += 1
        for _ in range(count):
            frame.append(number)
            body.append(_identity(line(at), at))
            if line(at + 1).strip() != b"25":
                raise SkeletonError(
                    f"line {at + 2}: expected 25 joints, found {_shown(line(at + 1))}"
                )
            line(at + 1 + JOINTS)
            blocks.append(data[starts[at + 2] : starts[at + 2 + JOINTS]])
            at += 2 + JOINTS
    return SkeletonFile(frames, np.array(frame, np.int32), tuple(body), *_numbers(blocks))


def _numbers(blocks: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints, colour and tracking state of blocks of 25 lines."""
    records = len(blocks)
    if not records:
        return (
            np.zeros((0, JOINTS, 3), np.float32),
            np.zeros((0, JOINTS, 2), np.float32),
            np.zeros((0, JOINTS), np.uint8),
        )
    try:
        table = csv.read_csv(pa.py_buffer(b"".join(blocks)), _READ, _PARSE, _CONVERT)
    except pa.ArrowInvalid as error:
        raise SkeletonError(
            f"a joint line does not hold 12 numbers ({_shown(str(error).encode())})"
        ) from None
    if table.num_rows != records * JOINTS:
        raise SkeletonError("a body holds fewer than 25 joint lines")
    columns = [column.to_numpy() for column in table.columns]
    with np.errstate(over="ignore", invalid="ignore"):
        joints = np.stack(columns[:3], axis=-1).astype(np.float32).reshape(records, JOINTS, 3)
        colour = np.stack(columns[3:5], axis=-1).astype(np.float32).reshape(records, JOINTS, 2)
    if not sensible(joints):
        raise SkeletonError("joint coordinates are NaN or infinite or absurd")
    colour[~np.isfinite(colour)] = (
        np.nan
    )  # the sensor's way to say that a joint is outside the colour image
    state = columns[5].reshape(records, JOINTS)
    return joints, colour, np.where((state == 1) | (state == 2), state, 0).astype(np.uint8)


def sensible(joints: np.ndarray) -> bool:
    """Whether all coordinates are finite, and so small that no sum of them overflows."""
    return bool((np.abs(joints) < FARTHEST).all())


def _tidied(data: bytes) -> bytes:
    """The same text with single spaces, Unix line ends and no blank lines.

    Visual C++'s `1.#INF` becomes `nan`.
    """
    words = (line.split() for line in data.splitlines())
    return b"".join(
        b" ".join(b"nan" if b".#" in word else word for word in line) + b"\n"
        for line in words
        if line
    )


def _count(line: bytes, what: str, high: int, low: int = 0) -> int:
    text = line.strip()
    if not text.isdigit() or len(text) > 9 or not low <= int(text) <= high:
        raise SkeletonError(f"{what} expected, found {_shown(text)}")
    return int(text)


def _identity(line: bytes, at: int) -> str:
    fields = line.split()
    if len(fields) != 10 or not fields[0].isascii():
        raise SkeletonError(
            f"line {at + 1}: a body's line of 10 fields expected, found {_shown(line)}"
        )
    return fields[0].decode("ascii")


def _shown(text: bytes) -> str:
    """A short, printable form of damaged text for a reason."""
    return repr(text.strip()[:40].decode("ascii", "replace"))
