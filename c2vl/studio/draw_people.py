"""Draws people and the objects they hold, and returns the exact box of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from c2vl.studio.anatomy import (
    ANKLE,
    ELBOW,
    FOOT,
    HAND,
    HAND_TIP,
    HIP,
    KNEE,
    SHOULDER,
    WRIST,
    Joint,
)
from c2vl.studio.cameras import Camera
from c2vl.studio.cast import Subject
from c2vl.studio.drawing import Image, Vector, limb, limbs, polygon, shadow
from c2vl.studio.head import head_of
from c2vl.studio.vocabulary import NOTHING

# Joint, joint, radius, radius (metres at a body height of 1.7 m), colour.
Part = tuple[int, int, float, float, Vector]
PROP_COLOURS = {
    "cup": np.array([240.0, 240.0, 236.0]),
    "phone": np.array([34.0, 34.0, 42.0]),
    "ball": np.array([236.0, 112.0, 28.0]),
    "book": np.array([46.0, 92.0, 190.0]),
    "bag": np.array([128.0, 40.0, 98.0]),
}


def _groups(subject: Subject) -> list[list[Part]]:
    """Parts that are drawn together: the trunk, each upper arm, forearm and leg."""
    looks = subject.looks
    forearm = looks.shirt if looks.long_sleeves else looks.skin
    shin = looks.skin if looks.shorts else looks.trousers
    shoulders: list[Part] = [
        (Joint.SPINE_SHOULDER, SHOULDER[side], 0.088, 0.064, looks.shirt) for side in (0, 1)
    ]
    groups: list[list[Part]] = [
        [(Joint.HIP_LEFT, Joint.HIP_RIGHT, 0.100, 0.100, looks.trousers)],
        [
            (Joint.SPINE_SHOULDER, Joint.NECK, 0.062, 0.052, looks.skin),
            (Joint.SPINE_BASE, Joint.SPINE_MID, 0.122, 0.122, looks.shirt),
            (Joint.SPINE_MID, Joint.SPINE_SHOULDER, 0.124, 0.118, looks.shirt),
            *shoulders,
        ],
    ]
    for side in (0, 1):
        groups += [
            [(SHOULDER[side], ELBOW[side], 0.062, 0.047, looks.shirt)],
            [
                (ELBOW[side], WRIST[side], 0.045, 0.034, forearm),
                (WRIST[side], HAND_TIP[side], 0.037, 0.030, looks.skin),
            ],
            [
                (ANKLE[side], FOOT[side], 0.048, 0.038, looks.shoes),
                (KNEE[side], ANKLE[side], 0.060, 0.042, shin),
                (HIP[side], KNEE[side], 0.092, 0.064, looks.trousers),
            ],
        ]
    return groups


class Extent:
    """The bounding box of everything drawn of one person, in pixels."""

    def __init__(self) -> None:
        self.x0 = self.y0 = float("inf")
        self.x1 = self.y1 = -float("inf")

    def add(self, centre: Vector, radius: float) -> None:
        """Include a disc."""
        x, y = float(centre[0]), float(centre[1])
        self.x0, self.y0 = min(self.x0, x - radius), min(self.y0, y - radius)
        self.x1, self.y1 = max(self.x1, x + radius), max(self.y1, y + radius)

    def box(self, width: int, height: int) -> NDArray[np.float64]:
        """(4,) x0, y0, x1, y1 in pixels, clipped to the image."""
        return np.clip([self.x0, self.y0, self.x1, self.y1], 0.0, [width, height, width, height])


def draw_person(
    image: Image,
    camera: Camera,
    subject: Subject,
    joints: Vector,
    held: str,
    hand: int,
    tint: Vector,
) -> NDArray[np.float64]:
    """Draw a person (joints (25, 3) in the room) and the object in `hand`.

    Returns:
        (4,) x0, y0, x1, y1: the person's box in pixels.
    """
    seen = camera.view(joints)
    scale = image.shape[0] / 1080.0
    pixels = camera.colour(seen) * scale
    size = (
        1081.4
        * scale
        / np.maximum(seen[:, 2], 0.3)
        * subject.body.height
        / 1.7
        * (0.35 + 0.65 * subject.body.girth)
    )
    extent = Extent()
    near = seen[:, 2].mean()
    queue: list[tuple[float, str, list[Part]]] = []
    for group in _groups(subject):
        depth = float(np.mean([seen[joint, 2] for part in group for joint in part[:2]]))
        # Arms are in front of or behind the trunk by their radius; the pelvis is behind the shirt.
        pelvis = group[0][0] == Joint.HIP_LEFT and group[0][1] == Joint.HIP_RIGHT
        offset = 0.03 if pelvis else (-0.05 if len(group) < 3 else 0.0)
        queue.append((depth + offset, "limbs", group))
    queue.append((seen[Joint.HEAD, 2], "head", []))
    if held != NOTHING:
        queue.append((seen[HAND[hand], 2] - 0.07, "prop", []))
    for depth, kind, group in sorted(queue, key=lambda entry: -entry[0]):
        if kind == "limbs":
            pieces = [
                (pixels[a], pixels[b], ra * size[a], rb * size[b], colour)
                for a, b, ra, rb, colour in group
            ]
            limbs(image, pieces, 0.84 if depth > near + 0.12 else 1.0)
            for a, b, ra, rb, _ in pieces:
                extent.add(a, ra)
                extent.add(b, rb)
        elif kind == "head":
            _head(
                image,
                subject,
                seen,
                pixels,
                size[Joint.HEAD] / (0.35 + 0.65 * subject.body.girth),
                extent,
            )
        else:
            _prop(image, held, pixels[HAND[hand]], pixels[ELBOW[hand]], size[HAND[hand]], tint)
    return extent.box(image.shape[1], image.shape[0])


def _head(
    image: Image, subject: Subject, seen: Vector, pixels: Vector, size: float, extent: Extent
) -> None:
    looks, head = subject.looks, head_of(seen, pixels, size)
    radius, up, towards = head.radius, head.up, head.towards
    crown, chin = pixels[Joint.HEAD] + up * radius * 0.34, pixels[Joint.HEAD] - up * radius * 0.30
    if looks.long_hair:
        nape = pixels[Joint.NECK] - towards * 1.1
        limb(image, crown - towards, nape, radius * 0.80, radius * 0.62, looks.hair, 0.95)
        extent.add(nape, radius * 0.62)
    limb(image, chin, crown, radius * 0.84, radius * 0.95, looks.hair)
    extent.add(crown, radius * 0.95)
    if head.gaze[2] < 0.45:  # the face looks towards the camera
        limb(
            image,
            head.face - up * radius * 0.28,
            head.face + up * radius * 0.22,
            radius * 0.64,
            radius * 0.70,
            looks.skin,
        )
        if head.gaze[2] < -0.2 and radius > 6:
            for eye in (-head.aside, head.aside):
                # In this order: another one would round differently.
                spot = head.face + up * radius * 0.16 + eye + towards * 0.25
                limb(image, spot, spot, radius * 0.06, radius * 0.06, np.array([48.0, 38, 36]))


def _turned(centre: Vector, corners: list[tuple[float, float]], angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return centre + np.array(corners) @ np.array([[c, s], [-s, c]])


def _outline(w: float, h: float) -> list[tuple[float, float]]:
    return [(-w, -h), (w, -h), (w, h), (-w, h)]


def _prop(image: Image, held: str, hand: Vector, elbow: Vector, size: float, tint: Vector) -> None:
    """Draw an object in a hand, at least a few pixels large, so that it stays visible."""
    colour = PROP_COLOURS[held] * tint
    k = max(size, 26.0)
    way = hand - elbow
    tilt = float(np.clip(way[0] / (abs(way[1]) + k * 0.1), -1, 1)) * 0.35
    if held == "ball":
        limb(image, hand, hand, 0.115 * k, 0.115 * k, colour, 1.05)
    elif held == "cup":
        w, h = 0.055 * k, 0.085 * k
        polygon(
            image,
            _turned(hand, [(-w, -h), (w, -h), (0.75 * w, h), (-0.75 * w, h)], tilt),
            colour,
            0.72,
        )
        inner = [
            (-0.8 * w, -0.88 * h),
            (0.72 * w, -0.88 * h),
            (0.5 * w, 0.88 * h),
            (-0.6 * w, 0.88 * h),
        ]
        polygon(image, _turned(hand, inner, tilt), colour)
        stripe = [
            (-0.8 * w, -0.25 * h),
            (0.68 * w, -0.25 * h),
            (0.62 * w, 0.2 * h),
            (-0.7 * w, 0.2 * h),
        ]
        polygon(image, _turned(hand, stripe, tilt), np.array([200.0, 60, 60]))
    elif held == "phone":
        polygon(image, _turned(hand, _outline(0.045 * k, 0.09 * k), tilt), colour)
        polygon(
            image, _turned(hand, _outline(0.031 * k, 0.07 * k), tilt), np.array([110.0, 200, 235])
        )
    elif held == "book":
        w, h, tilt = 0.15 * k, 0.10 * k, 0.5 * tilt
        cover = [(-w, -h), (0, -0.8 * h), (w, -h), (w, h), (0, 1.15 * h), (-w, h)]
        polygon(image, _turned(hand, cover, tilt), colour)
        for sign in (-1, 1):
            a, b = sign * 0.08 * w, sign * 0.86 * w
            page = [(a, -0.66 * h), (b, -0.84 * h), (b, 0.7 * h), (a, 0.85 * h)]
            polygon(image, _turned(hand, page, tilt), np.array([238.0, 232, 214]))
    else:  # a bag hangs from the hand
        below = hand + np.array([0.0, 0.20 * k])
        for strap in (-0.06, 0.06):
            limb(
                image,
                hand,
                below + np.array([strap * k, -0.06 * k]),
                0.012 * k,
                0.012 * k,
                colour,
                0.8,
            )
        polygon(image, _turned(below, _outline(0.135 * k, 0.12 * k), 0.0), colour, 0.7)
        polygon(image, _turned(below, _outline(0.112 * k, 0.098 * k), 0.0), colour)


def draw_shadow(image: Image, camera: Camera, joints: Vector) -> None:
    """Draw a soft shadow on the floor under a person's feet and pelvis."""
    spots = joints[[FOOT[0], FOOT[1], Joint.SPINE_BASE]] * np.array([1.0, 0.0, 1.0])
    centre = spots.mean(0)
    scale = image.shape[0] / 1080.0
    pixel = camera.colour(camera.view(centre)) * scale
    depth = max(float(camera.view(centre)[2]), 0.5)
    spread = 0.28 + 0.5 * float(np.linalg.norm(spots[0] - spots[1]))
    rx = 1081.4 * scale / depth * spread
    tilt = float(np.clip((camera.position[1]) / depth, 0.15, 0.6))
    shadow(image, pixel, (rx, rx * tilt), 0.42)
