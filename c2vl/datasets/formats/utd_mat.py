"""UTD-MHAD's `a1_s1_t1_skeleton.mat`: `d_skel` (20, 3, T), joints from the head down.

Source: Chen et al., UTD-MHAD (ICIP 2015). Its joints are those of the Kinect v1 in another order:
head, shoulder_center, spine, hip_center, then as Microsoft's.
"""

from __future__ import annotations

import io
import math

import numpy as np
from scipy.io import loadmat, whosmat

from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.skeleton_file import SkeletonError

KEY = "d_skel"
JOINTS, COORDINATES = 20, 3
TO_KINECT = [3, 2, 1, 0, *range(4, JOINTS)]
MOST_NUMBERS = 1 << 26


def parse_mat(data: bytes) -> Recording:
    """Parse the bytes of such a file; the joints come in the order of `kinect20`.

    Raises:
        SkeletonError: it is damaged or has no `d_skel` (20, 3, T).
    """
    try:
        found = {name: (shape, kind) for name, shape, kind in whosmat(io.BytesIO(data))}
        if KEY not in found:
            raise SkeletonError(
                f"it has no `{KEY}`, only {', '.join(list(found)[:5]) or 'nothing'}: these are no "
                "skeletons of UTD-MHAD"
            )
        shape, kind = found[KEY]
        if math.prod(shape) > MOST_NUMBERS or kind in ("cell", "struct", "object", "function"):
            raise SkeletonError(f"its `{KEY}` is a {kind} of shape {shape}, not (20, 3, T)")
        values = loadmat(io.BytesIO(data), variable_names=[KEY])[KEY]
    except SkeletonError:
        raise
    except Exception as error:  # scipy has no error of its own for damaged files
        told = f"{type(error).__name__}: {error}"[:80]
        raise SkeletonError(f"it is no readable MATLAB file ({told})") from None
    if values.ndim == 2 and values.shape == (JOINTS, COORDINATES):
        values = values[:, :, None]  # MATLAB drops the last axis of a single frame
    if values.ndim != 3 or values.shape[:2] != (JOINTS, COORDINATES):
        raise SkeletonError(f"its `{KEY}` has shape {values.shape}, not (20, 3, T)")
    if values.dtype.kind not in "fiu":
        raise SkeletonError(f"its `{KEY}` holds {values.dtype}, no numbers")
    return recording(np.moveaxis(values, 2, 0)[:, TO_KINECT])
