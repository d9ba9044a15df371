"""Draws anti-aliased shapes: shaded capsules, polygons in space, soft shadows."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from c2vl.studio.cameras import Camera

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Vector = NDArray[np.float64]
Paint = tuple[float, float, float]
SHIFT = 4  # fractional bits of OpenCV's coordinates
ONE = 1 << SHIFT
FAR = 8000.0  # pixels; OpenCV overflows far outside the image
NEAR = 0.25  # metres; nearer parts of a polygon are cut away


def rgb(colour: Vector, light: float = 1.0, lift: float = 0.0) -> Paint:
    """`colour` (3,) times `light`, plus `lift`, clipped to 0…255."""
    r, g, b = (min(max(float(c) * light + lift, 0.0), 255.0) for c in colour)
    return r, g, b


def random_colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> Vector:
    """A colour (3,) of any hue; `saturation` and `value` are ranges in 0…255."""
    pixel = np.array(
        [[[rng.integers(180), rng.uniform(*saturation), rng.uniform(*value)]]], np.uint8
    )
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].astype(float)


def fixed(points: Vector) -> NDArray[np.int32]:
    """Convert pixel coordinates to OpenCV's fixed-point integers."""
    return np.round(np.clip(points, -FAR, FAR) * ONE).astype(np.int32)


def polygon(image: Image, points: Vector, colour: Vector, light: float = 1.0) -> None:
    """Fill the polygon `points` (N, 2)."""
    cv2.fillPoly(image, [fixed(points)], rgb(colour, light), cv2.LINE_AA, SHIFT)


def _capsule(
    image: Image, ax: float, ay: float, bx: float, by: float, ra: float, rb: float, colour: Paint
) -> None:
    # Plain floats: a person is 80 capsules a frame; small arrays would cost more than the drawing.
    dx, dy = bx - ax, by - ay
    length = math.hypot(dx, dy)
    if length > 0.4:
        nx, ny = -dy / length, dx / length
        corners = ((ax, ay, ra), (bx, by, rb), (bx, by, -rb), (ax, ay, -ra))
        body = np.array(
            [(int((x + nx * r) * ONE), int((y + ny * r) * ONE)) for x, y, r in corners], np.int32
        )
        cv2.fillConvexPoly(image, body, colour, cv2.LINE_AA, SHIFT)
    for x, y, radius in ((ax, ay, ra), (bx, by, rb)):
        cv2.circle(
            image,
            (int(x * ONE), int(y * ONE)),
            max(int(radius * ONE), ONE // 2),
            colour,
            -1,
            cv2.LINE_AA,
            SHIFT,
        )


Limb = tuple[Vector, Vector, float, float, Vector]  # end, end (pixels), radius, radius, colour
# Each layer (rim, body, highlight): share of the radius, shift to the light, brightness, grey.
LAYERS = ((1.0, 0.0, 0.66, 0.0), (0.80, 0.15, 0.92, 0.0), (0.42, 0.285, 1.06, 8.0))


def limbs(image: Image, group: list[Limb], light: float = 1.0) -> None:
    """Draw tapered capsules that blend, lit from the upper left: rims, bodies, then highlights."""
    for share, shift, brightness, lift in LAYERS:
        for a, b, ra, rb, colour in group:
            size = (ra + rb) / 2
            if share < 0.5 and size <= 1.6:
                continue
            x, y = -1.07 * shift * size, -0.93 * shift * size
            ends = (float(a[0]) + x, float(a[1]) + y, float(b[0]) + x, float(b[1]) + y)
            _capsule(
                image, *ends, ra * share, rb * share, rgb(colour, brightness * light, lift * light)
            )


def limb(
    image: Image, a: Vector, b: Vector, ra: float, rb: float, colour: Vector, light: float = 1.0
) -> None:
    """Draw one tapered capsule from `a` to `b`."""
    limbs(image, [(a, b, ra, rb, colour)], light)


def clip_near(seen: Vector) -> Vector:
    """Cut a polygon (N, 3) in camera space at `NEAR`; the result may have fewer than 3 points."""
    kept = []
    for k in range(len(seen)):
        a, b = seen[k], seen[(k + 1) % len(seen)]
        inside_a, inside_b = a[2] > NEAR, b[2] > NEAR
        if inside_a:
            kept.append(a)
        if inside_a != inside_b:
            kept.append(a + (b - a) * (NEAR - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)


def face(
    image: Image,
    camera: Camera,
    corners: Vector | list[list[float]],
    colour: Vector,
    light: float = 1.0,
) -> None:
    """Fill a polygon (N, 3) of the room as `camera` sees it; the image has the shape 16:9."""
    seen = clip_near(camera.view(np.asarray(corners, float)))
    if len(seen) >= 3:
        polygon(image, camera.colour(seen) * (image.shape[0] / 1080.0), colour, light)


def shadow(image: Image, centre: Vector, radii: tuple[float, float], strength: float) -> None:
    """Darken an ellipse on the floor with a soft edge."""
    x, y = centre
    rx, ry = max(radii[0], 1.0), max(radii[1], 0.8)
    x0, x1 = int(max(x - rx * 1.3, 0)), int(min(x + rx * 1.3 + 1, image.shape[1]))
    y0, y1 = int(max(y - ry * 1.3, 0)), int(min(y + ry * 1.3 + 1, image.shape[0]))
    if x0 >= x1 or y0 >= y1:
        return
    u = (np.arange(x0, x1) - x) / rx
    v = (np.arange(y0, y1) - y) / ry
    dark = 1.0 - strength * np.clip(1.25 - np.sqrt(u[None] ** 2 + v[:, None] ** 2), 0, 1)
    patch = image[y0:y1, x0:x1]
    patch[:] = (patch * dark[..., None]).astype(np.uint8)
