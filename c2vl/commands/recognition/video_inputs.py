"""Videos as clips of joints: found, followed and kept as stage `pose` does, in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl.commands.recognition.arguments import Length
from c2vl.commands.recognition.skeleton_inputs import Part, is_video_file
from c2vl.commands.recognition.video_poses import poses_of_windows
from c2vl.commands.recognition.video_windows import (
    Plan,
    TrainingLengths,
    frames_of,
    one_clip,
    sliding,
)
from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import VIDEO, shipped_layout
from c2vl.datasets.file_facts import video_facts
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.video.decode import VideoError, header
from c2vl.prompts.base import engine_device
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines.adapters import load_detector
from c2vl.prompts.engines.pose import PoseEngine
from c2vl.prompts.pose.clip import Clip
from c2vl.prompts.pose.find_joints import FindJoints, Poses
from c2vl.prompts.pose.find_people import FindPeople
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.prompts.pose.pose_row import pose_row
from c2vl.prompts.pose.pose_stage import FRAMES_AT_ONCE
from c2vl.store.stage import Failure


@dataclass(frozen=True)
class Cutting:
    """When a video is cut into windows, and how.

    Attributes:
        window: length of a window; None: the default of `training`.
        stride: from one window to the next; None: half a window.
        training: the clips that the classifier learnt from, None if unknown.
    """

    window: Length | None = None
    stride: Length | None = None
    training: TrainingLengths | None = None

    def plan(self, begin: int, stop: int, per_second: float, params: PoseParams) -> Plan:
        """Windows for the frames from `begin` to before `stop`.

        Unless the user names a window, a video that is no longer than the longest training clip is
        one clip; a longer one gets windows of their median length.

        Raises:
            UserError: the lengths do not fit the video or each other.
        """
        count, window = stop - begin, None
        if self.window is not None:
            window = frames_of(self.window, per_second)
        elif self.training is not None and count > self.training.longest:
            window = self.training.median
        if window is None or window >= count:
            return one_clip(begin, stop, params.frames, params.look_every)
        stride = (frames_of(self.stride, per_second) if self.stride else None) or window // 2
        if stride > window:
            raise UserError("the stride is longer than the window, so frames would be left out")
        return sliding(begin, stop, window, max(stride, 1), params.frames, params.look_every)


@dataclass(frozen=True)
class FoundVideo:
    """What was found in one video.

    Attributes:
        path: of its file.
        size: width and height of its frames in pixels.
        per_second: frames per second, 0 if unknown.
        plan: its windows.
        poses: people of each window in pixels, the kept ones.
        joints: (T, M, 17, 3) of each window as in the skeleton table; None if nobody is there.
        reasons: why there are none, "" where there are.
        note: what is worth knowing, mostly "".
    """

    path: Path
    size: tuple[int, int]
    per_second: float
    plan: Plan
    poses: Sequence[Poses | Failure]
    joints: Sequence[np.ndarray | None]
    reasons: Sequence[str]
    note: str

    @property
    def persons(self) -> int:
        """Most people in a window."""
        return max(found.joints.shape[1] for found in self.poses if isinstance(found, Poses))


def _ignored(frames: float) -> None:
    """Nobody watches."""


class VideoReader:
    """Reads videos for a classifier of 2D skeletons.

    Args:
        params: section `pose`.
        crop: section `crop`, for its detector and its decoder.
        layout: the skeleton of the classifier.
        cutting: when videos are cut into windows.

    Raises:
        UserError: a checkpoint cannot be used.
    """

    def __init__(
        self, params: PoseParams, crop: CropParams, layout: SkeletonLayout, cutting: Cutting
    ) -> None:
        self._params, self._layout, self._cutting = params, layout, cutting
        threads, backend = machine.workers_each(), crop.video_backend
        detector = load_detector(crop.detector.finding(), engine_device)
        engine = PoseEngine.load(params.engine, engine_device())
        self._people = FindPeople(lambda: detector, FRAMES_AT_ONCE, threads, backend)
        self._joints = FindJoints(engine, threads, backend)

    def read(
        self, path: Path, part: Part | None = None, done: Callable[[float], object] = _ignored
    ) -> FoundVideo:
        """Find people and joints.

        Args:
            path: of the video.
            part: frames to use; None: all.
            done: is called with numbers of frames that are done; their sum is all.

        Raises:
            UserError: the video cannot be used; the message says why.
        """
        try:
            facts = video_facts(path.parent, path.name)
            per_second = 0.0 if facts.problem else header(path).frames_per_second
        except (PlaceError, VideoError) as error:
            raise UserError(f"{path}: {error}.") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror or error}).") from None
        if facts.problem or not (facts.hash and facts.frames and facts.width and facts.height):
            raise UserError(f"{path}: {facts.problem}.")
        begin, stop = part or (0, facts.frames)
        if not 0 <= begin < stop <= facts.frames:
            raise UserError(
                f"{path}: it has {facts.frames} frames, so there is no part {begin}:{stop}."
            )
        try:
            plan = self._cutting.plan(begin, stop, per_second, self._params)
        except UserError as error:
            raise UserError(f"{path}: {error}.") from None
        size = facts.width, facts.height
        clip = Clip(path.parent, path.name, facts.hash, plan.frames, plan.looks, size)
        persons, share = self._layout.persons, (stop - begin) / (2 * len(plan.frames))
        poses = poses_of_windows(
            self._people, self._joints, clip, plan, persons, lambda frames: done(frames * share)
        )
        rows = [
            found if isinstance(found, Failure) else pose_row(found, last - first, persons)
            for found, (first, last) in zip(poses, plan.spans, strict=True)
        ]
        reasons = [row.reason if isinstance(row, Failure) else "" for row in rows]
        if all(reasons):
            raise UserError(f"{path}: {reasons[0]}.")
        missing = max(found.undecoded for found in poses if isinstance(found, Poses))
        return FoundVideo(
            path,
            size,
            per_second,
            plan,
            poses,
            [None if isinstance(row, Failure) else row["joints"] for row in rows],
            reasons,
            f"{missing} frames do not decode" if missing else "",
        )


def require_video_skeleton(layout: SkeletonLayout, classifier: object) -> None:
    """Check that a classifier's skeleton is the one that is found in videos.

    Raises:
        UserError: it is another.
    """
    if not layout.fits(shipped_layout(VIDEO)):
        raise UserError(
            f"The classifier ({classifier}) was trained on the skeleton {layout.name}, but videos "
            f"give {VIDEO}; train one on videos (docs/your-own-classes.md), or give skeleton files."
        )


def without_unread_videos(
    files: Sequence[Path], named: Collection[Path], layout: SkeletonLayout
) -> tuple[list[Path], str]:
    """Leave out the videos of folders with skeleton files, if the classifier cannot use videos.

    Args:
        files: as `find_files` lists them.
        named: files that the user names; they stay.
        layout: the skeleton of the classifier.

    Returns:
        The other files, and a sentence on those left out, "" if there are none.
    """
    if layout.fits(shipped_layout(VIDEO)) or all(map(is_video_file, files)):
        return list(files), ""
    kept = [file for file in files if file in named or not is_video_file(file)]
    count = len(files) - len(kept)
    what = f"{count:,} video{'s are' if count > 1 else ' is'} skipped"
    why = f"videos give {VIDEO}, and the classifier was trained on {layout.name}"
    return kept, f"{what}: {why}." if count else ""


def declared_frames(path: Path) -> int:
    """Frames that a video declares; 0 if it cannot be read."""
    try:
        return max(header(path).frames, 0) if path.is_file() else 0
    except VideoError:
        return 0
