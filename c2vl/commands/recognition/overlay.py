"""Draw what was found in a video: boxes, joints and the action, as a picture, a GIF or a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from c2vl.commands.recognition.arguments import OVERLAYS
from c2vl.commands.recognition.timeline import Segment
from c2vl.commands.recognition.video_inputs import FoundVideo
from c2vl.core.errors import UserError, writing
from c2vl.core.files import published
from c2vl.core.layout import SEEN, SkeletonLayout
from c2vl.datasets.video.backends import Backend
from c2vl.datasets.video.decode import VideoError, decode
from c2vl.models.stick_figure import lines
from c2vl.prompts.engines.pose import JOINTS
from c2vl.prompts.pose.find_joints import Poses

CODECS = {".mp4": "mp4v", ".avi": "XVID"}  # that OpenCV brings along
USUAL_RATE = 25.0  # frames per second, where the video does not say
MOMENTS, COLUMNS = 6, 3  # frames in a picture
GIF_FRAMES, GIF_HEIGHT = 60, 300
SMALLEST = 360  # pixels; lower frames are drawn larger, so that the text can be read
PIXELS = 2**28  # bytes of frames in memory
BOX = (255, 211, 77)
SIDES = {"left": (77, 184, 255), "right": (255, 154, 77), "middle": (255, 255, 255)}


def write_overlay(
    path: Path,
    video: FoundVideo,
    segments: Sequence[Segment],
    classes: Sequence[str],
    layout: SkeletonLayout,
    backend: Backend,
) -> None:
    """Draw a video. Its ending says what: .jpg and .png show some frames; .mp4, .avi and .gif move.

    Args:
        path: the file to write.
        video: what was found.
        segments: the action at each time.
        classes: names of the actions.
        layout: the skeleton of the joints.
        backend: the library that decodes.

    Raises:
        UserError: it cannot be written, or the video does not decode any more.
    """
    draw = _Drawer(video, segments, classes, layout)
    first, last = video.plan.spans[0][0], video.plan.spans[-1][1]
    ending = path.suffix.lower()
    frames: Sequence[int] = range(first, last)
    if ending not in CODECS:
        most = GIF_FRAMES if ending == ".gif" else MOMENTS
        middles = np.linspace(first, last, min(most, last - first) + 1)
        frames = sorted({int((one + other) / 2) for one, other in pairwise(middles)})
    try:
        images = (draw(frame, image) for frame, image in _decoded(video, frames, backend))
        with writing(path), published(path) as temporary:
            part = temporary.with_name(f"{temporary.name}{ending}")  # its ending says the format
            try:
                _write(part, ending, images, video.per_second or USUAL_RATE)
                part.replace(temporary)
            finally:
                part.unlink(missing_ok=True)
    except VideoError as error:
        raise UserError(f"{video.path}: {error}.") from None


def _decoded(
    video: FoundVideo, frames: Sequence[int], backend: Backend
) -> Iterator[tuple[int, np.ndarray]]:
    at_once = max(1, PIXELS // (3 * video.size[0] * video.size[1]))
    for at in range(0, len(frames), at_once):
        found = decode(video.path, frames[at : at + at_once], backend).frames
        yield from sorted(found.items())


def _write(path: Path, ending: str, images: Iterator[np.ndarray], per_second: float) -> None:
    if ending in CODECS:
        _write_video(path, CODECS[ending], images, per_second)
    elif ending == ".gif":
        few = [Image.fromarray(_scaled(image, GIF_HEIGHT)) for image in images]
        _require_some(few, path)
        palette = few[len(few) // 2].quantize(256)  # to choose colours takes long: once for all
        few = [image.quantize(palette=palette) for image in few]
        few[0].save(path, save_all=True, append_images=few[1:], duration=80, loop=0)
    else:
        drawn = list(images)
        _require_some(drawn, path)
        columns = min(COLUMNS, len(drawn))
        drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % columns)
        rows = [np.hstack(drawn[at : at + columns]) for at in range(0, len(drawn), columns)]
        Image.fromarray(np.vstack(rows)).save(path, quality=90)


def _write_video(path: Path, codec: str, images: Iterator[np.ndarray], per_second: float) -> None:
    writer: cv2.VideoWriter | None = None
    for image in images:
        if writer is None:
            size = image.shape[1], image.shape[0]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), per_second, size)
            if not writer.isOpened():
                raise UserError(
                    f"OpenCV cannot write {path.suffix} videos here; use another ending: "
                    f"{', '.join(OVERLAYS)}."
                )
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    _require_some(writer, path)
    assert writer is not None
    writer.release()


def _require_some(drawn: object, path: Path) -> None:
    if not drawn:
        raise VideoError("no frame of it decodes any more")


class _Drawer:
    """Draws on frames of one video."""

    def __init__(
        self,
        video: FoundVideo,
        segments: Sequence[Segment],
        classes: Sequence[str],
        layout: SkeletonLayout,
    ) -> None:
        self._video, self._segments, self._layout = video, segments, layout
        self._classes = classes
        self._numbers = np.array(video.plan.frames)
        centres = [(window.start + window.stop) / 2 for window in video.plan.windows]
        self._centres = np.array(centres)
        self._scale = -(-SMALLEST // video.size[1]) if video.size[1] < SMALLEST else 1
        height = video.size[1] * self._scale
        self._line = max(1, round(height / 240))
        fonts = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
        self._font = ImageFont.truetype(str(fonts), max(12, round(height / 22)))

    def __call__(self, frame: int, image: np.ndarray) -> np.ndarray:
        """The image (H, W, 3) RGB of a frame, drawn on; small ones are enlarged."""
        size = image.shape[1] * self._scale, image.shape[0] * self._scale
        drawn = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        for box, joints in self._people(frame):
            self._draw(drawn, box * self._scale, joints)
        picture = Image.fromarray(drawn)
        text, at = self._label(frame), self._font.size // 3
        write = ImageDraw.Draw(picture, "RGBA")
        left, top, right, bottom = write.textbbox((2 * at, at), text, font=self._font)
        write.rectangle((left - at, top - at, right + at, bottom + at), fill=(0, 0, 0, 170))
        write.text((2 * at, at), text, fill=(255, 255, 255), font=self._font)
        return np.asarray(picture)

    def _people(self, frame: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Box and joints of each person, of the nearest frame that has joints."""
        plan = self._video.plan
        nearest = int(np.abs(self._numbers - frame).argmin())
        window = int(np.abs(self._centres - nearest - 0.5).argmin())
        poses = self._video.poses[window]
        if isinstance(poses, Poses) and nearest in plan.windows[window]:
            at = nearest - plan.windows[window].start
            for person in np.flatnonzero(poses.joints[at].any(axis=(1, 2))).tolist():
                yield poses.boxes[at, person], poses.joints[at, person]

    def _draw(self, image: np.ndarray, box: np.ndarray, joints: np.ndarray) -> None:
        left, top, right, bottom = (round(float(side)) for side in box)
        cv2.rectangle(image, (left, top), (right, bottom), BOX, self._line, cv2.LINE_AA)
        seen = joints[:JOINTS, 2:] > SEEN
        points = np.where(seen, joints[:, :2] * self._scale, np.nan)
        for side, ends in lines(points, self._layout):
            one, other = (tuple(int(value) for value in end.round()) for end in ends)
            cv2.line(image, one, other, SIDES[side], 2 * self._line, cv2.LINE_AA)
        for x, y in points[np.isfinite(points).all(axis=1)]:
            place = round(float(x)), round(float(y))
            cv2.circle(image, place, 2 * self._line, (20, 20, 20), -1, cv2.LINE_AA)

    def _label(self, frame: int) -> str:
        inside = [one for one in self._segments if one.begin <= frame < one.stop]
        segment = inside[0] if inside else None
        time = f"{frame / self._video.per_second:.1f} s" if self._video.per_second else f"{frame}"
        if segment is None or segment.scores is None or segment.label is None:
            return f"{time}  nobody"
        share = 100 * segment.scores[segment.label]
        return f"{time}  {self._classes[segment.label]}  {share:.0f} %"


def _scaled(image: np.ndarray, height: int) -> np.ndarray:
    width = round(image.shape[1] * height / image.shape[0])
    found: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return found
