"""Names of colours as people say them."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import ArrayLike

COLOURS = (
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
)
# Upper ends of the hues in degrees.
HUES = (
    (14.0, "red"),
    (42.0, "orange"),
    (68.0, "yellow"),
    (165.0, "green"),
    (255.0, "blue"),
    (295.0, "purple"),
    (345.0, "pink"),
    (360.0, "red"),
)
DARK, PALE, DULL = 0.27, 0.80, 0.22  # of value, value and saturation


def colour_name(rgb: ArrayLike) -> str:
    """The name in `COLOURS` of a colour (3,) in 0…255."""
    red, green, blue = np.asarray(rgb, np.float64) / 255
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if value < DARK:
        return "black"
    if saturation < DULL:
        return "white" if value > PALE else "grey"
    name = next(name for end, name in HUES if hue * 360 <= end)
    if name in ("orange", "yellow", "red") and value < 0.55:
        return "brown"  # a dark orange or yellow; a dark red with little of it is red
    return name
