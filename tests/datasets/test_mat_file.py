"""MATLAB's files: SciPy's writer agrees, and no damage ends the process."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from c2vl.datasets.formats.mat_file import read_array
from c2vl.datasets.skeleton_file import SkeletonError


def saved(**options: Any) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, {"other": np.arange(3), "text": "words", **options.pop("arrays")}, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "i8"])
def test_arrays_are_those_that_scipy_wrote(dtype: str, compressed: bool) -> None:
    values = np.random.default_rng(0).normal(0, 50, (20, 3, 7)).astype(dtype)
    data = saved(arrays={"d_skel": values}, do_compression=compressed)
    np.testing.assert_array_equal(read_array(data, "d_skel"), values)
    np.testing.assert_array_equal(read_array(data, "other"), [[0, 1, 2]])
    for name in ("text", "absent"):
        with pytest.raises(SkeletonError, match=f"`{name}`"):
            read_array(data, name)


def test_a_file_of_the_other_byte_order(  # by hand: SciPy writes its own machine's
) -> None:
    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body)) + body.ljust(-(-len(body) // 8) * 8, b"\0")

    parts = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
    parts += struct.pack(">HH4s", 1, 1, b"x") + element(9, struct.pack(">dd", 1.5, -2.5))
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + element(14, parts)
    np.testing.assert_array_equal(read_array(data, "x"), [[1.5, -2.5]])


@pytest.mark.parametrize("data", [b"", b"MATLAB 5.0", b"\x89HDF\r\n" + bytes(200)])
def test_other_files_are_one_sentence(data: bytes) -> None:
    with pytest.raises(SkeletonError, match="no MATLAB file of version 5 to 7"):
        read_array(data, "x")


@pytest.mark.parametrize("compressed", [False, True])
def test_no_damage_is_a_crash(compressed: bool) -> None:
    """SciPy 1.17 ends the process on some of these files."""
    whole = saved(arrays={"d_skel": np.ones((20, 3, 2))}, do_compression=compressed)
    draw = random.Random(0)
    for _ in range(3000):
        data = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
        for _ in range(draw.choice([1, 2, 4]) if data else 0):
            data[draw.randrange(len(data))] = draw.choice([0, 1, 5, 14, 15, 18, 255])
        with contextlib.suppress(SkeletonError):
            read_array(bytes(data), "d_skel")
