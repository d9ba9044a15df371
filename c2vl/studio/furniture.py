"""Boxes that stand in a room, drawn face by face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c2vl.studio.cameras import Camera
from c2vl.studio.drawing import Image, Vector, face


@dataclass(frozen=True)
class Box:
    """A piece of furniture.

    Args:
        centre: (x, z) on the floor, metres.
        size: (x, y, z) metres.
        bottom: height of its underside, metres.
        yaw: direction in radians.
        colour: (3,) RGB, 0..255.
    """

    centre: tuple[float, float]
    size: tuple[float, float, float]
    bottom: float
    yaw: float
    colour: Vector

    def corners(self) -> Vector:
        """The corners (8, 3): the lower four, then the upper four, anticlockwise from above."""
        w, h, d = self.size
        flat = np.array([[-w, -d], [w, -d], [w, d], [-w, d]]) / 2
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        flat = flat @ np.array([[c, -s], [s, c]]) + self.centre
        low = np.insert(flat, 1, self.bottom, axis=1)
        return np.concatenate([low, low + np.array([0.0, h, 0.0])])


FACES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7))
FACE_LIGHT = (0.72, 0.86, 1.0, 0.8, 1.12)


def draw_box(image: Image, camera: Camera, box: Box) -> None:
    """Draw the faces of `box` that face the camera."""
    corners = box.corners()
    middle = corners.mean(0)
    for light, index in zip(FACE_LIGHT, FACES, strict=True):
        side = corners[list(index)]
        outward = side.mean(0) - middle
        if outward @ (camera.position - side.mean(0)) > 0:
            face(image, camera, side, box.colour, light)
