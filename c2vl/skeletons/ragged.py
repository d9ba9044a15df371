"""All skeletons of a split on the device as one tensor: clip after clip, without padding to 300 frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class RaggedSkeletons:
    """N clips of different lengths, resident on one device.

    Attributes:
        joints: (sum of frames, M, V, C) float32; in metres for NTU skeletons.
        starts: (N,) int64, row of `joints` where a clip begins.
        lengths: (N,) int64, valid frames n of a clip: those whose values do not sum to zero. As in CTR-GCN's
            feeder it is the *count* of such frames, and the first n frames of the clip are the valid ones.
    """

    def __init__(self, joints: Tensor, frames: Tensor) -> None:
        """`frames` (N,) gives the clips' lengths in `joints`; every clip needs at least one valid frame.

        Raises:
            ValueError: the lengths do not add up, or a clip has no frame with a non-zero sum.
        """
        frames = frames.to("cpu", torch.int64)
        if int(frames.sum()) != len(joints):
            raise ValueError(f"the clips have {int(frames.sum())} frames in all, the joints {len(joints)}")
        ends = frames.cumsum(0)
        valid = joints.flatten(1).sum(1).ne(0).cpu().cumsum(0)
        counts = torch.cat([valid.new_zeros(1), valid])
        lengths = counts[ends] - counts[ends - frames]
        if bool((lengths == 0).any()):
            raise ValueError(f"clip {int(lengths.eq(0).nonzero()[0])} has no frame with a non-zero value")
        self.joints = joints
        self.starts = (ends - frames).to(joints.device)
        self.lengths = lengths.to(joints.device)

    @classmethod
    def from_clips(cls, clips: Sequence[np.ndarray], device: torch.device | str = "cpu") -> RaggedSkeletons:
        """Build from arrays (T, M, V, C), one a clip."""
        frames = torch.tensor([len(clip) for clip in clips])
        joints = np.concatenate(clips).astype(np.float32, copy=False)
        return cls(torch.from_numpy(joints).to(device), frames)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def device(self) -> torch.device:
        """Where the clips live."""
        return self.joints.device
