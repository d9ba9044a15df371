"""Where a head looks and where its face is, for drawing and for the true face joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl.studio.anatomy import Joint
from c2vl.studio.drawing import Vector


@dataclass(frozen=True)
class Head:
    """A head in the picture.

    Args:
        radius: pixels.
        up: (2,) unit vector from the neck to the head.
        gaze: (3,) unit vector in camera coordinates; the third is negative towards the camera.
        towards: (2,) pixels that the face lies off the middle of the head.
        face: (2,) middle of the face.
        between_eyes: (2,) middle between the eyes.
        aside: (2,) pixels from there to the eye on the right of an upright head's picture.
    """

    radius: float
    up: Vector
    gaze: Vector
    towards: Vector
    face: Vector
    between_eyes: Vector
    aside: Vector


def head_of(seen: Vector, pixels: Vector, size: float) -> Head:
    """The head of a person.

    Args:
        seen: (25, 3) joints in camera coordinates.
        pixels: (25, 2) joints in pixels.
        size: pixels of a metre at the head.
    """
    radius = 0.100 * size
    up = pixels[Joint.HEAD] - pixels[Joint.NECK]
    up = up / (np.linalg.norm(up) + 1e-6)
    across = seen[Joint.SHOULDER_LEFT] - seen[Joint.SHOULDER_RIGHT]
    gaze = np.cross(across, seen[Joint.NECK] - seen[Joint.SPINE_MID])
    gaze = gaze / (np.linalg.norm(gaze) + 1e-9)
    towards = np.array([gaze[0], -gaze[1]]) * radius * 0.42
    face = pixels[Joint.HEAD] + towards - up * radius * 0.10
    aside = np.array([-up[1], up[0]]) * radius * 0.27
    between_eyes = face + up * radius * 0.16 + towards * 0.25
    return Head(radius, up, gaze, towards, face, between_eyes, aside)
