"""Three Kinect v2 cameras around the action, with the optics of the real sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.seeds import generator

COLOUR_SIZE = (1920, 1080)
COLOUR_FOCAL = 1081.4  # pixels of the 1920x1080 colour image
COLOUR_BASELINE = 0.052  # metres from the depth to the colour camera
DEPTH_FOCAL = 365.6  # pixels of the 512x424 depth image
DEPTH_CENTRE = (256.0, 212.0)
AZIMUTHS = {1: np.deg2rad(45.0), 2: 0.0, 3: np.deg2rad(-45.0)}

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A Kinect in the room.

    Args:
        position: (3,) metres.
        axes: (3, 3); rows are x (the camera's left, right in the image), y (up) and z (forward).
    """

    position: Points
    axes: Points

    def view(self, points: Points) -> Points:
        """Room coordinates (..., 3) to camera coordinates, both in metres, as Kinect reports."""
        return (points - self.position) @ self.axes.T

    def colour(self, seen: Points) -> Points:
        """Camera coordinates (..., 3) to pixels (..., 2) of the 1920x1080 colour image."""
        depth = np.maximum(seen[..., 2], 0.05)
        x = COLOUR_SIZE[0] / 2 + COLOUR_FOCAL * (seen[..., 0] + COLOUR_BASELINE) / depth
        y = COLOUR_SIZE[1] / 2 - COLOUR_FOCAL * seen[..., 1] / depth
        return np.stack([x, y], -1)

    def depth(self, seen: Points) -> Points:
        """Camera coordinates (..., 3) to pixels (..., 2) of the 512x424 depth image."""
        depth = np.maximum(seen[..., 2], 0.05)
        x = DEPTH_CENTRE[0] + DEPTH_FOCAL * seen[..., 0] / depth
        return np.stack([x, DEPTH_CENTRE[1] - DEPTH_FOCAL * seen[..., 1] / depth], -1)


def camera(world: int, setup: int, number: int, azimuth: float | None = None) -> Camera:
    """The camera `number` of a setup; each setup has its own height and distance.

    Args:
        world: seed of the world.
        setup: number of the setup.
        number: 1 stands to the right of the subject, 2 in front, 3 to the left.
        azimuth: another angle, in radians from straight ahead.
    """
    rng = generator("camera", world, setup)
    height, distance = rng.uniform(1.05, 1.55), rng.uniform(2.5, 3.05)
    azimuth = (AZIMUTHS[number] if azimuth is None else azimuth) + generator(
        "camera", world, setup, number
    ).normal(0.0, 0.03)
    position = np.array([distance * np.sin(azimuth), height, distance * np.cos(azimuth)])
    forward = np.array([0.0, 0.92, 0.0]) - position
    forward /= np.linalg.norm(forward)
    left = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    left /= np.linalg.norm(left)
    return Camera(position, np.stack([left, np.cross(forward, left), forward]))
