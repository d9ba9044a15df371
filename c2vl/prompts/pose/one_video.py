"""Find the people of single videos in this process, without a stage or a store."""

from __future__ import annotations

from pathlib import Path

from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.core.layout_file import VIDEO, shipped_layout
from c2vl.datasets import raw_files as places
from c2vl.datasets.video.decode import VideoError, header
from c2vl.prompts.base import engine_device
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines.adapters import load_detector
from c2vl.prompts.engines.pose import PoseEngine
from c2vl.prompts.pose.clip import Clip, looks_at, sampled
from c2vl.prompts.pose.find_joints import FindJoints, Poses
from c2vl.prompts.pose.find_people import FindPeople
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.prompts.pose.video_poses import VideoPoses
from c2vl.store.stage import Failure

FRAMES_AT_ONCE = 16


class VideoReader:
    """Reads videos as stage `pose` does; both engines are loaded once.

    Args:
        params: section `pose`.
        crop: section `crop`, for its detector and its decoder.

    Raises:
        UserError: an engine cannot be loaded.
    """

    def __init__(self, params: PoseParams, crop: CropParams) -> None:
        self._params = params
        self._persons = shipped_layout(VIDEO).persons
        detector = load_detector(crop.detector.finding(), engine_device)
        engine = PoseEngine.load(params.engine, engine_device())
        threads, backend = machine.workers_each(), crop.video_backend
        self._find = VideoPoses(
            FindPeople(lambda: detector, FRAMES_AT_ONCE, threads, backend),
            FindJoints(engine, threads, backend),
            self._persons,
        )

    def __call__(self, path: Path, part: tuple[int, int] | None = None) -> Poses:
        """The people of a video, or of a part of it.

        Args:
            path: the file.
            part: its first frame, and the one after its last; None: all frames.

        Raises:
            UserError: it cannot be read, it shows nobody, or it has no such part.
        """
        try:
            declared, content = header(path), places.digest(path)
        except (VideoError, OSError) as error:
            raise UserError(f"{path}: {error}.") from None
        begin, stop = part or (0, declared.frames)
        if not 0 <= begin < stop <= declared.frames:
            raise UserError(f"{path}: it has {declared.frames} frames, not {begin}:{stop}.")
        frames = sampled(begin, stop, self._params.frames)
        looks = looks_at(len(frames), self._params.look_every)
        size = (declared.width, declared.height)
        (found,) = self._find([Clip(path.parent, path.name, content, frames, looks, size)])
        if isinstance(found, Failure):
            raise UserError(f"{path}: {found.reason}.")
        return found
