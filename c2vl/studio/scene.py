"""Composes frames: the room, a chair, shadows, people from far to near, and sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import Joint
from c2vl.studio.cameras import Camera
from c2vl.studio.coco import coco_joints
from c2vl.studio.draw_people import draw_person, draw_shadow
from c2vl.studio.drawing import Image
from c2vl.studio.furniture import draw_box
from c2vl.studio.performance import Performance
from c2vl.studio.room import chair_boxes

GRAIN = 3.0  # standard deviation of the sensor noise, in grey levels


@dataclass(frozen=True)
class Frame:
    """A rendered frame and the truth about its P people, in pixels.

    Attributes:
        image: (H, W, 3) RGB.
        boxes: (P, 4) xyxy.
        joints: (P, 17, 3) COCO's joints: x, y, and 1 if visible, else 0.
    """

    image: Image
    boxes: NDArray[np.float64]
    joints: NDArray[np.float64]


def empty_set(
    performance: Performance, camera: Camera, room: Image, rng: np.random.Generator
) -> Image:
    """The room, with the performance's chair if it has one."""
    image = room.copy()
    if performance.chair is not None:
        x, z, yaw = performance.chair
        actor = performance.actors[0]
        back = 0.92 * actor.subject.body.thigh
        colour = rng.uniform(50, 190) * rng.uniform(0.7, 1.1, 3)
        boxes = chair_boxes(x - back * np.sin(yaw), z - back * np.cos(yaw), yaw, colour)
        for box in sorted(
            boxes, key=lambda b: -float(np.linalg.norm(b.corners().mean(0) - camera.position))
        ):
            draw_box(image, camera, box)
    return image


def render(
    performance: Performance, frame: int, camera: Camera, empty: Image, grain: NDArray[np.int16]
) -> Frame:
    """Draw frame number `frame` of `performance` onto a copy of `empty`."""
    image = empty.copy()
    boxes = np.zeros((len(performance.actors), 4))
    coco = np.array(
        [
            coco_joints(camera, actor.joints[frame], actor.subject.body.height, len(image))
            for actor in performance.actors
        ]
    )
    drawn: list[int] = []
    for actor in performance.actors:
        draw_shadow(image, camera, actor.joints[frame])
    depth = [camera.view(actor.joints[frame, Joint.SPINE_MID])[2] for actor in performance.actors]
    for k in np.argsort(depth)[::-1]:
        actor = performance.actors[k]
        behind = [_at_joints(image, coco[other]) for other in drawn]
        boxes[k] = draw_person(
            image,
            camera,
            actor.subject,
            actor.joints[frame],
            actor.held[frame],
            actor.hand,
            actor.tint,
        )
        # Where a nearer person is drawn, a joint cannot be seen.
        for other, before in zip(drawn, behind, strict=True):
            coco[other, :, 2] *= (_at_joints(image, coco[other]) == before).all(1)
        drawn.append(int(k))
    return Frame(add_grain(image, grain, frame), boxes, coco)


def _at_joints(image: Image, joints: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The colours (J, 3) of the image at `joints` (J, 3), or at its border."""
    height, width = image.shape[:2]
    x, y = np.clip(joints[:, :2].astype(int), 0, (width - 1, height - 1)).T
    return image[y, x]


def grain_tile(height: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """A tile of sensor noise of twice the image's size; each frame uses another part of it."""
    tile = np.round(rng.normal(0, GRAIN, (2 * height, 2 * (height * 16 // 9), 1))).astype(np.int16)
    return np.repeat(tile, 3, axis=2)


def add_grain(image: Image, grain: NDArray[np.int16], frame: int) -> Image:
    """Add one part of the noise tile to `image`."""
    height, width = image.shape[:2]
    y, x = (frame * 37) % height, (frame * 91) % width
    noisy = np.empty_like(image)
    cv2.add(image, grain[y : y + height, x : x + width], dst=noisy, dtype=cv2.CV_8U)
    return noisy
