"""Answers of `c2vl predict`, file by file: skeletons in batches, videos one by one."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from c2vl.commands.recognition.answers import best_actions, of_clip, of_video
from c2vl.commands.recognition.classifiers import TRANSFER, Classifier
from c2vl.commands.recognition.overlay import write_overlay
from c2vl.commands.recognition.recogniser import Recogniser
from c2vl.commands.recognition.skeleton_inputs import Clip, is_video_file, read_clip
from c2vl.commands.recognition.timeline import timeline
from c2vl.commands.recognition.video_inputs import (
    Cutting,
    VideoReader,
    declared_frames,
    require_video_skeleton,
)
from c2vl.commands.recognition.video_windows import training_lengths
from c2vl.core import machine
from c2vl.core.errors import UserError
from c2vl.core.params import load_section
from c2vl.core.progress import meter
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.pose.pose_params import PoseParams

BATCH = 256  # clips in memory at once

Answer = dict[str, Any]


class Predictor:
    """Answers what people do in files.

    Args:
        recogniser: the loaded classifier.
        chosen: its name.
        dataset: `data.dataset`.
        arguments: of the command.
    """

    def __init__(
        self, recogniser: Recogniser, chosen: Classifier, dataset: str, arguments: Namespace
    ) -> None:
        self._recogniser, self._chosen = recogniser, chosen
        self._dataset, self._arguments = dataset, arguments
        self._device = machine.device()
        self._videos: list[Path] = []
        self._done: list[Path] = []  # videos that were of use
        self._bar: tqdm | None = None
        self._spent = 0.0

    def prepare_for_videos(self, videos: Sequence[Path], data: Path) -> None:
        """Load the engines.

        Args:
            videos: all that will be asked about.
            data: the folder with `skeleton` and `targets`; says how long training clips are.

        Raises:
            UserError: the classifier is of another skeleton, a checkpoint cannot be used, or a
                drawing would overwrite a video.
        """
        require_video_skeleton(self._recogniser.layout, self._chosen)
        self._videos = [*videos]
        self._require_other_files()
        pose, crop = load_section("pose", PoseParams), load_section("crop", CropParams)
        if model := self._arguments.pose:
            engine = pose.engine.model_copy(update={"model": model, "revision": None})
            pose = pose.model_copy(update={"engine": engine})
        if model := self._arguments.detector:
            found = crop.detector.model_copy(update={"model": model, "revision": None})
            crop = crop.model_copy(update={"detector": found})
        source = self._chosen.source
        own = source.startswith(TRANSFER)
        learnt = training_lengths(data / "targets" / source.removeprefix(TRANSFER) if own else data)
        cutting = Cutting(self._arguments.window, self._arguments.stride, learnt)
        self._backend = crop.video_backend
        self._reader = VideoReader(pose, crop, self._recogniser.layout, cutting)

    def answers(self, files: Sequence[Path]) -> Iterator[Answer]:
        """An answer about each file, in order; `error` says why there is none."""
        with self._progress():
            for video, group in groupby(files, key=is_video_file):
                some = list(group)
                if video:
                    yield from map(self._of_video, some)
                    continue
                for start in range(0, len(some), BATCH):
                    yield from self._of_skeletons(some[start : start + BATCH])

    def say(self, text: str, where: IO[str]) -> None:
        """Print without a progress bar in the way."""
        if self._bar is None:
            print(text, file=where)
        else:
            self._bar.write(text, where)

    def speed(self) -> str:
        """How fast the videos were read, in words."""
        frames, count = sum(self._frames[path] for path in self._done), len(self._done)
        return (
            f"{frames} frames of {count} video{'s' * (count != 1)} in {self._spent:.1f} s "
            f"({frames / max(self._spent, 1e-9):.1f} frames a second on {self._device})"
        )

    @contextlib.contextmanager
    def _progress(self) -> Iterator[None]:
        part = self._arguments.part
        self._frames = {path: declared_frames(path) for path in self._videos}
        if part:
            self._frames = dict.fromkeys(self._frames, part[1] - part[0])
        if not self._videos:
            yield
            return
        with meter(sum(self._frames.values()), "predict", "frames") as self._bar:
            yield
        self._bar = None

    def _of_skeletons(self, paths: Sequence[Path]) -> list[Answer]:
        line, classes = load_section("skeleton", SkeletonParams), self._recogniser.classes
        found: dict[Path, Answer] = {}
        clips: list[Clip] = []
        for path in paths:
            try:
                clips.append(
                    read_clip(
                        path,
                        self._recogniser.layout,
                        self._arguments.part,
                        line.rules,
                        line.solo_of(self._dataset),
                        self._arguments.size,
                    )
                )
            except UserError as error:
                found[path] = {"file": str(path), "error": str(error)}
        for clip, row in zip(clips, self._scores([clip.joints for clip in clips]), strict=True):
            actions = best_actions(row, classes, self._arguments.top)
            found[clip.path] = of_clip(clip, actions, str(self._chosen))
        return [found[path] for path in paths]

    def _of_video(self, path: Path) -> Answer:
        assert self._bar is not None
        begun, before = time.monotonic(), self._bar.n
        try:
            answer = self._read_video(path)
            self._done.append(path)
            return answer
        except UserError as error:
            return {"file": str(path), "error": str(error)}
        finally:
            self._spent += time.monotonic() - begun
            self._bar.update(before + self._frames[path] - self._bar.n)

    def _read_video(self, path: Path) -> Answer:
        assert self._bar is not None
        video = self._reader.read(path, self._arguments.part, self._bar.update)
        seen = iter(self._scores([joints for joints in video.joints if joints is not None]))
        scores = [None if joints is None else next(seen) for joints in video.joints]
        segments, classes = timeline(video.plan.spans, scores), self._recogniser.classes
        answer = of_video(video, scores, segments, classes, str(self._chosen), self._arguments.top)
        if self._arguments.overlay:
            out = self._overlay(path)
            layout = self._recogniser.layout
            write_overlay(out, video, segments, classes, layout, self._backend)
            answer["overlay"] = str(out)
        return answer

    def _overlay(self, path: Path) -> Path:
        """The file to draw a video in: with its number, if there are several."""
        out: Path = self._arguments.overlay
        if len(self._videos) == 1:
            return out
        number = self._videos.index(path) + 1
        return out.with_name(f"{out.stem}-{number:0{len(str(len(self._videos)))}}{out.suffix}")

    def _require_other_files(self) -> None:
        """Check that no video is overwritten."""
        if not self._arguments.overlay:
            return
        there = {path.resolve() for path in self._videos}
        for out in map(self._overlay, self._videos):
            if out.resolve() in there:
                raise UserError(f"{out} is one of the videos; name another file in `--overlay`.")

    def _scores(self, clips: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Scores (classes,) of each clip, computed in batches."""
        found: list[np.ndarray] = []
        for start in range(0, len(clips), BATCH):
            found += [*self._recogniser.scores(clips[start : start + BATCH], self._device)]
        return found
