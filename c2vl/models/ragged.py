"""All skeletons of a split as one tensor, clip after clip, on the device where it fits.

There is no padding to 300 frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout
from c2vl.models.resident import Resident


class RaggedSkeletons:
    """N clips of different lengths for one device.

    Attributes:
        layout: the skeleton: what the numbers of a joint mean.
        joints: (sum of frames, M, V, C) float32. Indexed by a tensor it gives frames on the device,
            wherever it lives itself.
        starts: (N,) int64 on the CPU, row of `joints` where a clip begins.
        lengths: (N,) int64 on the CPU, valid frames n of a clip: those whose values do not sum to
            zero. As in CTR-GCN's feeder it is the *count* of such frames, and the first n frames of
            the clip are the valid ones.
    """

    def __init__(
        self,
        joints: Tensor,
        frames: Tensor,
        device: torch.device | str | None = None,
        layout: SkeletonLayout | None = None,
    ) -> None:
        """`frames` (N,) are the clips' lengths in `joints`; every clip needs a valid frame.

        `device` is where views are made, by default where `joints` lie. `layout` is ntu25 if not
        given.

        Raises:
            ValueError: the lengths do not add up, or a clip has no frame with a non-zero sum.
        """
        frames = frames.to("cpu", torch.int64)
        if int(frames.sum()) != len(joints):
            raise ValueError(
                f"the clips have {int(frames.sum())} frames in all, the joints {len(joints)}"
            )
        ends = frames.cumsum(0)
        valid = joints.flatten(1).sum(1).ne(0).cpu().cumsum(0)
        counts = torch.cat([valid.new_zeros(1), valid])
        lengths = counts[ends] - counts[ends - frames]
        if bool((lengths == 0).any()):
            raise ValueError(
                f"clip {int(lengths.eq(0).nonzero()[0])} has no frame with a non-zero value"
            )
        self.layout = layout or shipped_layout(NTU)
        self.joints = Resident(joints, device or joints.device, "skeletons")
        self.starts = ends - frames
        self.lengths = lengths

    @classmethod
    def from_clips(
        cls,
        clips: Sequence[np.ndarray],
        device: torch.device | str = "cpu",
        layout: SkeletonLayout | None = None,
    ) -> RaggedSkeletons:
        """Build from arrays (T, M, V, C), one a clip."""
        frames = torch.tensor([len(clip) for clip in clips])
        joints = np.concatenate(clips).astype(np.float32, copy=False)
        return cls(torch.from_numpy(joints), frames, device, layout)

    def __len__(self) -> int:
        return len(self.starts)

    def content(self) -> list[Tensor]:
        """Tensors that hold all that a training reads of the clips, for its key."""
        found = [self.joints.tensor, self.starts, self.lengths]
        if self.layout.name != NTU:  # keys from before there was a choice stay
            found.append(
                torch.frombuffer(bytearray(self.layout.to_json().encode()), dtype=torch.uint8)
            )
        return found

    @property
    def device(self) -> torch.device:
        """Where views of the clips are made."""
        return self.joints.device
