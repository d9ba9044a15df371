"""C²VL on the skeletons found in videos, beside the sensor's (`pose.compare`): where it lies."""

from __future__ import annotations

from pathlib import Path

METHOD = "video"  # its name in folders and results; it is trained as `c2vl`
SKELETONS = Path("data/video_skeleton")


def compared(skeletons: Path = SKELETONS) -> bool:
    """Whether there are such skeletons."""
    return any(skeletons.glob("*.parquet"))
