"""The choice of frames: the middles of K equal segments of the video."""

from __future__ import annotations


def middle_frames(count: int, segments: int) -> list[int]:
    """Indices of the middle frames of `segments` equal segments of a video of `count` frames.

    A video of fewer frames than segments gives some of them more than once.

    Raises:
        ValueError: the video declares no frame, or no segment is asked for.

    Examples:
        >>> middle_frames(100, 4)
        [12, 37, 62, 87]
        >>> middle_frames(2, 4)
        [0, 0, 1, 1]
    """
    if count < 1 or segments < 1:
        raise ValueError(f"cannot choose {segments} of {count} frames")
    return [(2 * segment + 1) * count // (2 * segments) for segment in range(segments)]
