"""Rooms with walls, floor and furniture in 3D, so that all cameras of a setup see the same room."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from c2vl.studio.cameras import Camera
from c2vl.studio.drawing import Image, Vector, face, polygon, random_colour
from c2vl.studio.furniture import Box, draw_box
from c2vl.studio.seeds import generator

CEILING = 2.7
Piece = tuple[float, Callable[[Image, Camera], None]]  # distance from the camera, how to draw it


def _floor(image: Image, camera: Camera, rng: np.random.Generator, half: float) -> None:
    base, seam = random_colour(rng, (15, 110), (130, 215)), rng.uniform(0.82, 0.93)
    face(
        image,
        camera,
        [[-half, 0, -half], [half, 0, -half], [half, 0, half], [-half, 0, half]],
        base,
    )
    pitch = rng.uniform(0.35, 0.9)
    across = bool(rng.random() < 0.5)
    width = pitch if rng.random() < 0.5 else 0.025
    for line in np.arange(-half, half, 2 * pitch):
        strip = [
            [line, 0, -half],
            [line + width, 0, -half],
            [line + width, 0, half],
            [line, 0, half],
        ]
        face(image, camera, [[z, y, x] for x, y, z in strip] if across else strip, base, seam)
    if rng.random() < 0.5:
        rug, reach = random_colour(rng, (40, 150), (70, 200)), rng.uniform(0.7, 1.3)
        for scale, light in ((1.0, 1.0), (0.86, 1.15), (0.8, 0.95)):
            r = reach * scale
            face(
                image,
                camera,
                [[-r, 0, -0.8 * r], [r, 0, -0.8 * r], [r, 0, 0.8 * r], [-r, 0, 0.8 * r]],
                rug,
                light,
            )


def _wall(axis: int, sign: float, half: float) -> Callable[[float, float, float, float], Vector]:
    """A function from a rectangle (left, right, bottom, top) on a wall to its corners (4, 3)."""

    def rectangle(a: float, b: float, low: float, high: float) -> Vector:
        depth = sign * half
        if axis == 0:
            return np.array([[depth, low, a], [depth, low, b], [depth, high, b], [depth, high, a]])
        return np.array([[a, low, depth], [b, low, depth], [b, high, depth], [a, high, depth]])

    return rectangle


def _walls(image: Image, camera: Camera, rng: np.random.Generator, half: float) -> None:
    paint = random_colour(rng, (5, 70), (175, 250))
    skirting = random_colour(rng, (5, 60), (60, 220))
    for axis, sign in ((1, -1.0), (0, 1.0), (0, -1.0)):
        local = generator("wall", int(rng.integers(2**31)), axis)
        wall = _wall(axis, sign, half)
        tint = 1.0 if axis == 1 else (0.92 if sign > 0 else 0.84)
        for k in range(6):  # light falls off towards the ceiling
            low, high = CEILING * k / 6, CEILING * (k + 1) / 6 + 0.01
            face(image, camera, wall(-half, half, low, high), paint, tint * (1.04 - 0.045 * k))
        face(image, camera, wall(-half, half, 0.0, 0.11), skirting, tint)
        for _ in range(int(local.integers(1, 4))):
            _decoration(image, camera, wall, local, half, tint)
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ceiling = [[x * half, CEILING, z * half] for x, z in signs]
    face(image, camera, ceiling, np.array([240.0, 239, 235]), 0.98)


def _decoration(
    image: Image,
    camera: Camera,
    wall: Callable[[float, float, float, float], Vector],
    rng: np.random.Generator,
    half: float,
    tint: float,
) -> None:
    left = rng.uniform(-half + 0.2, half - 1.4)
    kind = rng.integers(4)
    if kind == 0:  # a window
        width, low, high = rng.uniform(0.9, 1.5), rng.uniform(0.85, 1.05), rng.uniform(1.95, 2.3)
        face(image, camera, wall(left, left + width, low, high), np.array([236.0, 236, 232]), tint)
        sky = np.array([168.0, 202, 232]) * rng.uniform(0.8, 1.08)
        for k in range(2):
            a = left + 0.06 + k * width / 2
            face(image, camera, wall(a, a + width / 2 - 0.1, low + 0.06, high - 0.06), sky)
            face(
                image,
                camera,
                wall(a, a + width / 2 - 0.1, low + 0.06, low + 0.3),
                np.array([120.0, 150, 110]),
            )
    elif kind == 1:  # a door
        wood = random_colour(rng, (60, 140), (90, 190))
        face(image, camera, wall(left, left + 0.95, 0, 2.08), wood, 0.8 * tint)
        face(image, camera, wall(left + 0.06, left + 0.89, 0, 2.02), wood, tint)
        face(image, camera, wall(left + 0.78, left + 0.85, 0.98, 1.05), np.array([200.0, 190, 150]))
    elif kind == 2:  # a picture
        width, low = rng.uniform(0.4, 1.0), rng.uniform(1.1, 1.5)
        high = low + rng.uniform(0.4, 0.8)
        face(
            image,
            camera,
            wall(left, left + width, low, high),
            random_colour(rng, (0, 80), (30, 240)),
            tint,
        )
        a, b, c, d = left + 0.05, left + width - 0.05, low + 0.05, high - 0.05
        face(image, camera, wall(a, b, c, d), random_colour(rng, (40, 200), (90, 240)), tint)
        for _ in range(3):
            p, q = rng.uniform(a, b, 2), rng.uniform(c, d, 2)
            face(
                image,
                camera,
                wall(min(p), max(p), min(q), max(q)),
                random_colour(rng, (40, 220), (70, 250)),
                tint,
            )
    else:  # a bookshelf
        width, wood = rng.uniform(0.7, 1.3), random_colour(rng, (60, 140), (80, 180))
        for low in np.arange(0.75, 2.0, 0.38):
            face(image, camera, wall(left, left + width, low - 0.04, low), wood, tint)
            x = left
            while x < left + width - 0.05:
                spine = rng.uniform(0.03, 0.09)
                if rng.random() < 0.85:
                    face(
                        image,
                        camera,
                        wall(x, x + spine, low, low + rng.uniform(0.18, 0.3)),
                        random_colour(rng, (40, 220), (60, 220)),
                        tint,
                    )
                x += spine + 0.004


def _plant(image: Image, camera: Camera, at: tuple[float, float], seed: int) -> None:
    rng = generator("plant", seed)
    draw_box(
        image, camera, Box(at, (0.3, 0.32, 0.3), 0.0, 0.3, random_colour(rng, (30, 140), (90, 210)))
    )
    green = np.array([70.0, 130.0, 62.0])
    for _ in range(16):
        bend, height = rng.normal(0, 0.28, 2), rng.uniform(0.5, 1.25)
        root, tip = (
            np.array([at[0], 0.3, at[1]]),
            np.array([at[0] + bend[0], height, at[1] + bend[1]]),
        )
        side = np.array([0.05, 0.02, -0.05])
        face(
            image,
            camera,
            np.array([root, (root + tip) / 2 + side, tip, (root + tip) / 2 - side]),
            green,
            rng.uniform(0.6, 1.3),
        )


def furniture(rng: np.random.Generator, half: float) -> list[Box]:
    """The boxes of cabinets and tables along the walls opposite the cameras."""
    pieces: list[Box] = []
    for _ in range(int(rng.integers(2, 6))):
        back = rng.random() < 0.5
        along, depth = rng.uniform(-half + 0.5, half - 0.5), rng.uniform(0.3, 0.6)
        gap = half - depth / 2 - 0.02
        at = (
            (along, -gap)
            if back
            else ((1 if rng.random() < 0.5 else -1) * gap, rng.uniform(-half + 0.5, 0.4))
        )
        size = (rng.uniform(0.4, 1.2), rng.uniform(0.4, 1.5), depth)
        colour = random_colour(rng, (20, 150), (60, 220))
        if rng.random() < 0.35:  # a table: a top on legs
            pieces.append(Box(at, (size[0], 0.05, depth), 0.74, 0.0, colour))
            pieces += [
                Box(
                    (at[0] + x * (size[0] / 2 - 0.04), at[1] + z * (depth / 2 - 0.04)),
                    (0.05, 0.74, 0.05),
                    0.0,
                    0.0,
                    colour * 0.8,
                )
                for x in (-1, 1)
                for z in (-1, 1)
            ]
            pieces.append(
                Box(
                    at,
                    (0.35, 0.25, 0.05),
                    0.80,
                    rng.normal(0, 0.4),
                    random_colour(rng, (0, 60), (20, 90)),
                )
            )
        else:
            pieces.append(Box(at, size, 0.0, 0.0 if back else np.pi / 2, colour))
    return pieces


def chair_boxes(x: float, z: float, yaw: float, colour: Vector) -> list[Box]:
    """The boxes of a chair that faces `yaw`, at the height at which the studio's people sit."""
    c, s = np.cos(yaw), np.sin(yaw)

    def at(right: float, forward: float) -> tuple[float, float]:
        return x + right * c + forward * s, z - right * s + forward * c

    legs = [
        Box(at(r, f), (0.04, 0.4, 0.04), 0.0, -yaw, colour * 0.7)
        for r in (-0.19, 0.19)
        for f in (-0.19, 0.19)
    ]
    seat = Box(at(0, 0), (0.44, 0.05, 0.44), 0.38, -yaw, colour)
    back = Box(at(0, -0.22), (0.42, 0.42, 0.04), 0.46, -yaw, colour * 0.92)
    return [*legs, seat, back]


def background(world: int, setup: int, camera: Camera, height: int) -> Image:
    """The empty room of a setup as `camera` sees it, (height, 16/9 height, 3) RGB."""
    rng = generator("room", world, setup)
    width = height * 16 // 9
    image = np.zeros((height, width, 3), np.uint8)
    half = rng.uniform(3.5, 4.1)
    polygon(
        image,
        np.array([[0, 0], [width, 0], [width, height], [0, height]], float),
        np.array([120.0, 118, 112]),
    )
    _floor(image, camera, rng, half)
    _walls(image, camera, rng, half)
    pieces = furniture(rng, half)
    plants = [
        (rng.uniform(-half + 0.4, half - 0.4), -half + 0.4) for _ in range(int(rng.integers(0, 3)))
    ]
    scenery: list[Piece] = []
    for box in pieces:
        scenery.append(
            (
                float(np.linalg.norm(box.corners().mean(0) - camera.position)),
                partial(draw_box, box=box),
            )
        )
    for at in plants:
        seed = int(rng.integers(2**31))
        distance = float(np.hypot(at[0] - camera.position[0], at[1] - camera.position[2]))
        scenery.append((distance, partial(_plant, at=at, seed=seed)))
    for _, draw in sorted(scenery, key=lambda piece: -piece[0]):
        draw(image, camera)
    return _lit(image, rng)


def _lit(image: Image, rng: np.random.Generator) -> Image:
    """Add uneven light, warm or cold, and darker corners."""
    height, width = image.shape[:2]
    coarse = cv2.resize(
        rng.uniform(0.90, 1.10, (3, 4)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = coarse * (1.0 - 0.14 * (x**2 + y**2) / 2)
    warmth = np.array([1.0 + rng.normal(0, 0.03), 1.0, 1.0 + rng.normal(0, 0.03)])
    return np.clip(image * light[..., None] * warmth, 0, 255).astype(np.uint8)
