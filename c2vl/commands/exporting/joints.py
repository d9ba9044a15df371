"""What the numbers of a clip mean: the axes and the units."""

from __future__ import annotations

AXES = {
    "x": "to the left of a sensor that looks ahead",
    "y": "up",
    "z": "away from the sensor",
}
"""The camera space of Kinect v2, which recorded NTU RGB+D and PKU-MMD."""
UNITS = "metres"
