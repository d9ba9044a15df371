"""PKU-MMD's skeletons: two bodies by slot, which the data set's authors have cleaned already.

There are no body ids, so the rules of `c2vl.datasets.skeletons.denoise` and `.actors` have nothing to work on; the public
scripts for PKU-MMD (CMD, MAMP) take the two slots as they are, and so do we. What we share with NTU: frames
without anybody are left out, and the clip is centred in the same way.
"""

from __future__ import annotations

import numpy as np

from c2vl.datasets.skeleton_file import SkeletonError
from c2vl.datasets.skeletons.line import Actors, Log, centred

VERSION = 1  # of this file and of `c2vl.datasets.pku_skeleton`, as far as they change a row; raise it with the change
TRACKED = 2  # the files do not say how a joint was found; where there is a body we take its joints for tracked


def actors_of_slots(joints: np.ndarray) -> Actors:
    """Return the actors of a clip.

    Args:
        joints: (F, 2, 25, 3) float32, metres; zero where a slot is empty.

    Raises:
        SkeletonError: nobody is in any frame.
    """
    present = np.asarray(joints.any(axis=(2, 3)))  # (F, 2)
    if not present.any():
        raise SkeletonError("no frame of the clip holds a body")
    note = ""
    if not present[:, 0].any():
        joints, present = joints[:, ::-1], present[:, ::-1]
        note = "the first slot is empty: actor 1 is the second"
    kept = joints[present.any(axis=1)]
    bodies = int(present.any(axis=0).sum())
    return Actors(
        centred(kept),
        bodies,
        np.full((*joints.shape[:3], 2), np.nan, np.float32),
        np.where(present[:, :, None], TRACKED, 0).repeat(joints.shape[2], axis=2).astype(np.uint8),
        Log(bodies, 0, len(joints) - len(kept), 0, 0, note),
    )
