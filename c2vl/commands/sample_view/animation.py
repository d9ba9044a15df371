"""Draw a sample as an animated GIF: the skeleton, beside the video with its colour joints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from c2vl.commands.sample_view.sample import Sample
from c2vl.commands.sample_view.sample_page import SIDE, SIDE_ON_VIDEO
from c2vl.core.errors import UserError
from c2vl.core.files import published
from c2vl.core.layout import SkeletonLayout
from c2vl.models.stick_figure import extent, flattened, head, lines

HEIGHT = 300  # pixels
OVERSAMPLING = 3  # drawn this many times larger, then scaled down: smooth lines
MAX_FRAMES, MILLISECONDS = 60, 80  # frames of the GIF, and how long each is shown
INK, PAPER, RULE = (28, 28, 26), (255, 255, 255), (217, 215, 208)


def write_animation(sample: Sample, path: Path) -> None:
    """Draw `sample` as a GIF.

    Raises:
        UserError: it has no usable skeleton.
    """
    joints = sample.joints
    if joints is None or sample.skeleton is None:
        reason = sample.skeleton["reason"] if sample.skeleton else "it is not in the skeleton table"
        raise UserError(
            f"{sample.row['sample']} has no skeleton to animate ({reason}); "
            "draw a PNG instead, which shows what exists."
        )
    # Preprocessed files may have frames without people.
    somebody = np.flatnonzero(joints.any(axis=(1, 2, 3)))
    at = somebody[
        np.linspace(0, len(somebody) - 1, min(len(somebody), MAX_FRAMES)).round().astype(int)
    ]
    seen = sample.video_range
    wanted = (
        [seen[round(place * (len(seen) - 1) / max(len(joints) - 1, 1))] for place in at.tolist()]
        if len(seen)
        else []
    )
    videos = sample.frames(wanted)
    figures = _skeletons(sample, joints[:, : sample.skeleton["bodies"]], at)
    pictures = [
        _beside(_video(sample, videos, wanted[place]), figure) if wanted and videos else figure
        for place, figure in enumerate(figures)
    ]
    quantised = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    with published(path) as temporary:
        quantised[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=quantised[1:],
            duration=MILLISECONDS,
            loop=0,
            disposal=1,
        )


def _skeletons(sample: Sample, joints: np.ndarray, at: np.ndarray) -> list[Image.Image]:
    """Draw frames `at` of joints (T, bodies, V, 3), at one scale for the whole clip."""
    flat = flattened(joints, sample.layout, size=sample.size)
    present = np.asarray(joints.any(axis=(2, 3)))
    low, high = extent(flat[present])
    tall = HEIGHT * OVERSAMPLING
    scale = 0.88 * tall / max(*(high - low), 0.6)
    width = int(max((high[0] - low[0]) * scale + 0.12 * tall, 0.6 * tall))
    offset = np.array([width / 2, tall / 2]) - (low + high) / 2 * scale
    pictures = []
    for points, here in zip(flat[at], present[at], strict=True):
        picture = Image.new("RGB", (width, tall), PAPER)
        draw = ImageDraw.Draw(picture)
        ground = high[1] * scale + offset[1] + 2 * OVERSAMPLING
        draw.line([(0, ground), (width, ground)], fill=RULE, width=OVERSAMPLING)
        for body in np.flatnonzero(here)[::-1]:
            _draw(draw, points[body] * scale + offset, sample.layout, SIDE, 3 * OVERSAMPLING)
        pictures.append(picture.resize((width // OVERSAMPLING, HEIGHT), Image.Resampling.LANCZOS))
    return pictures


def _video(sample: Sample, videos: Mapping[int, np.ndarray], frame: int) -> Image.Image:
    nearest = min(videos, key=lambda index: abs(index - frame))
    image = videos[nearest]
    width, tall = (
        round(image.shape[1] * HEIGHT / image.shape[0]) * OVERSAMPLING,
        HEIGHT * OVERSAMPLING,
    )
    picture = Image.fromarray(image).resize((width, tall), Image.Resampling.BICUBIC)
    joints = sample.joints_on(nearest, width, tall)
    if joints is not None:
        draw = ImageDraw.Draw(picture)
        for body in joints:
            _draw(draw, body, sample.layout, SIDE_ON_VIDEO, 2 * OVERSAMPLING)
    return picture.resize((width // OVERSAMPLING, HEIGHT), Image.Resampling.LANCZOS)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + right.width, HEIGHT), PAPER)
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def _draw(
    draw: ImageDraw.ImageDraw,
    points: np.ndarray,
    layout: SkeletonLayout,
    colours: Mapping[str, str],
    width: int,
) -> None:
    for side, ends in lines(points, layout):
        draw.line([tuple(end) for end in ends], fill=colours[side], width=width, joint="curve")
    if circle := head(points, layout):
        x, y, radius = circle
        draw.ellipse(
            [x - radius, y - radius, x + radius, y + radius], outline=colours["middle"], width=width
        )
