"""What the numbers of a clip mean: the skeleton, the axes and the units."""

from __future__ import annotations

from typing import Any

from c2vl.core.layout import SkeletonLayout

KINECT = {
    "x": "to the left of a sensor that looks ahead",
    "y": "up",
    "z": "away from the sensor",
}
"""The camera space of Kinect v2, which recorded NTU RGB+D and PKU-MMD."""
AXES = {"ntu25": KINECT, "kinect20": KINECT}
IMAGE = {
    "x": "to the right, from -1 to 1 over the width of the image",
    "y": "down, from -1 to 1 over its height",
}


def about_joints(layout: SkeletonLayout) -> dict[str, Any]:
    """The skeleton as `config.json` has it; `axes` is empty where they are the data set's."""
    axes = AXES.get(layout.name, {}) if layout.three_d else IMAGE
    units = "metres" if layout.three_d else "half the width and half the height of the image"
    return {
        "name": layout.name,
        "joints": layout.count,
        "parents": list(layout.parents),
        "joint_names": list(layout.joints),
        "axes": axes,
        "units": units,
        "coordinates": layout.coordinates,
        "persons": layout.persons,
        "centre": [layout.joints[joint] for joint in layout.centre],
    }
