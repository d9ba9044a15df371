"""Read one numeric array of a MATLAB file of level 5 (`save -v6` and `-v7`).

SciPy's reader ends the process on some damaged files, so this one checks every length. Source: The
MathWorks, MAT-File Format. A file is a header of 128 bytes and elements: type, length, data.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonError

HEADER = 128
MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
NUMERIC = range(6, 16)  # classes of arrays: double, single, and whole numbers
CLASS, COMPLEX = 0xFF, 0x800  # bits of an array's flags
MOST_BYTES = 1 << 29  # of an unpacked element


def read_array(data: bytes, name: str) -> np.ndarray:
    """Return the real numeric array called `name`.

    Raises:
        SkeletonError: the file is damaged or of another kind, or has no such array.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[HEADER - 2 : HEADER])
    if order is None or not data.startswith(b"MATLAB 5.0"):
        raise SkeletonError("it is no MATLAB file of version 5 to 7 (7.3 is another format)")
    names = []
    for kind, body in _elements(memoryview(data)[HEADER:], order):
        if kind == COMPRESSED:
            kind, body = next(_elements(memoryview(_unpacked(body)), order), (0, body))
        if kind != MATRIX:
            continue
        parts = _elements(body, order)
        flags, shape = (_numbers(next(parts, (0, b"")), order) for _ in range(2))
        called = bytes(next(parts, (0, b""))[1]).decode("ascii", "replace")
        names.append(called[:40])
        if called == name:
            return _array(name, flags, shape, next(parts, (0, b"")), order)
    found = ", ".join(names[:5]) or "nothing"
    raise SkeletonError(f"it has no `{name}`, only {found}")


def _array(
    name: str,
    flags: np.ndarray,
    shape: np.ndarray,
    real: tuple[int, memoryview | bytes],
    order: str,
) -> np.ndarray:
    if not len(flags) or int(flags[0]) & CLASS not in NUMERIC or int(flags[0]) & COMPLEX:
        raise SkeletonError(f"its `{name}` is no array of real numbers")
    values, sizes = _numbers(real, order), [int(size) for size in shape]
    if len(sizes) < 2 or min(sizes) < 0 or math.prod(sizes) != len(values):
        raise SkeletonError(f"its `{name}` is damaged: {len(values)} numbers for the shape {sizes}")
    return values.reshape(sizes, order="F")


def _elements(view: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, data) of the elements in `view`; short ones are packed into eight bytes."""
    at = 0
    while at + 8 <= len(view):
        kind, size = struct.unpack_from(f"{order}II", view, at)
        if kind >> 16:
            kind, size, begin = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise SkeletonError("it is a damaged MATLAB file: an element's length is wrong")
            at += 8
        else:
            begin = at + 8
            at = begin + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if begin + size > len(view):
            raise SkeletonError("it is a damaged MATLAB file: it is cut short")
        yield kind, view[begin : begin + size]


def _numbers(element: tuple[int, memoryview | bytes], order: str) -> np.ndarray:
    kind, body = element
    if kind not in NUMBERS or len(body) % np.dtype(NUMBERS[kind]).itemsize:
        raise SkeletonError("it is a damaged MATLAB file: numbers are expected and are not there")
    return np.frombuffer(body, order + NUMBERS[kind])


def _unpacked(body: memoryview) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise SkeletonError(f"it is a damaged MATLAB file ({error})") from None
    if unpacker.unconsumed_tail:
        raise SkeletonError("its unpacked content is absurdly large")
    return data
