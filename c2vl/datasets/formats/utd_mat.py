"""UTD-MHAD's `a1_s1_t1_skeleton.mat`: `d_skel` (20, 3, T), joints from the head down.

Source: Chen et al., UTD-MHAD (ICIP 2015). Its joints are those of the Kinect v1 in another order:
head, shoulder_center, spine, hip_center, then as Microsoft's.
"""

from __future__ import annotations

import numpy as np

from c2vl.datasets.formats.mat_file import read_array
from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.skeleton_file import SkeletonError

KEY = "d_skel"
JOINTS, COORDINATES = 20, 3
TO_KINECT = [3, 2, 1, 0, *range(4, JOINTS)]


def parse_mat(data: bytes) -> Recording:
    """Parse the bytes of such a file; the joints come in the order of `kinect20`.

    Raises:
        SkeletonError: it is damaged or has no `d_skel` (20, 3, T).
    """
    values = read_array(data, KEY)
    if values.shape == (JOINTS, COORDINATES):
        values = values[:, :, None]  # MATLAB drops the last axis of a single frame
    if values.ndim != 3 or values.shape[:2] != (JOINTS, COORDINATES):
        raise SkeletonError(f"its `{KEY}` has shape {values.shape}, not (20, 3, T)")
    return recording(np.moveaxis(values, 2, 0)[:, TO_KINECT])
