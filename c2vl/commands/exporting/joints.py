"""What the numbers of a clip mean: the joints' names, the axes, the units."""

from __future__ import annotations

JOINTS: dict[str, tuple[str, ...]] = {
    "ntu25": (
        "base of the spine",
        "middle of the spine",
        "neck",
        "head",
        "left shoulder",
        "left elbow",
        "left wrist",
        "left hand",
        "right shoulder",
        "right elbow",
        "right wrist",
        "right hand",
        "left hip",
        "left knee",
        "left ankle",
        "left foot",
        "right hip",
        "right knee",
        "right ankle",
        "right foot",
        "spine at the shoulders",
        "tip of the left hand",
        "left thumb",
        "tip of the right hand",
        "right thumb",
    )
}
"""Names of the joints by skeleton, in order. NTU RGB+D and PKU-MMD list them so (1 to 25)."""

AXES = {
    "x": "to the left of a sensor that looks ahead",
    "y": "up",
    "z": "away from the sensor",
}
"""The camera space of Kinect v2, which recorded NTU RGB+D and PKU-MMD."""
UNITS = "metres"
