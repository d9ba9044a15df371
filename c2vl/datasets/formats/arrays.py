"""NumPy's `.npy` and `.npz`, without pickle: joints (T, M, V, C) or (T, V, C).

An `.npz` holds one array, or several of which one is called as in `NAMES`; `scores` (T, M, V) or
(T, V) may stand beside 2D joints.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import replace

import numpy as np

from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.skeleton_file import SkeletonError

NAMES = ("joints", "keypoints", "keypoint", "skeleton", "skeletons", "poses", "arr_0")
SCORES = ("scores", "keypoint_scores", "keypoint_score", "score", "confidence")
MOST_BYTES = 1 << 30  # of an unpacked member


def parse_npy(data: bytes) -> Recording:
    """Parse the bytes of an `.npy` file.

    Raises:
        SkeletonError: it is damaged, needs pickle, or holds no joints.
    """
    return recording(_array(data))


def parse_npz(data: bytes) -> Recording:
    """Parse the bytes of an `.npz` file.

    Raises:
        SkeletonError: as `parse_npy`, or no array is called as in `NAMES`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            chosen = next((name for name in NAMES if name in inside), None)
            if chosen is None and len(inside) == 1:
                chosen = next(iter(inside))
            if chosen is None:
                found = ", ".join(list(inside)[:5]) or "none"
                raise SkeletonError(
                    f"none of its arrays is called {', '.join(NAMES)}; it has {found}"
                )
            joints = _array(_member(archive, inside[chosen]))
            scored = next((name for name in SCORES if name in inside), None)
            scores = None if scored is None else _array(_member(archive, inside[scored]))
    except SkeletonError:
        raise
    except Exception as error:  # zipfile and zlib have a dozen kinds of errors for damage
        raise SkeletonError(f"it is a damaged .npz file ({error})") from None
    if scores is None:
        return recording(joints)
    return replace(recording(with_scores(joints, scores)), scored=True)


def with_scores(joints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Put `scores` (..., V) behind 2D joints (..., V, 2).

    Raises:
        SkeletonError: the shapes do not fit.
    """
    if joints.shape[-1] != 2 or scores.shape != joints.shape[:-1]:
        raise SkeletonError(f"its scores {scores.shape} do not fit its joints {joints.shape}")
    return np.concatenate([joints, scores[..., None]], axis=-1)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MOST_BYTES:
        raise SkeletonError(f"its array {info.filename} is absurdly large")
    with archive.open(info) as file:
        return file.read(MOST_BYTES)


def _array(data: bytes) -> np.ndarray:
    """The array of `.npy` bytes; its header is compared with what is there, before memory is."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file)
    except Exception:  # its parser has a dozen kinds of errors for damage
        raise SkeletonError("it is no array in NumPy's format") from None
    if dtype.hasobject or dtype.kind not in "fiu":
        raise SkeletonError(f"its array holds {dtype}, not numbers; objects are never unpickled")
    left = memoryview(data)[file.tell() :]
    count = math.prod(shape)
    if any(size < 0 for size in shape) or len(left) < count * dtype.itemsize:
        raise SkeletonError(f"it is cut short: its header says {shape}")
    flat = np.frombuffer(left, dtype, count)
    return flat.reshape(shape, order="F" if fortran else "C")
