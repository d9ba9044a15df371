"""Recognise the actions in skeleton files and videos.

  c2vl predict clip.skeleton                  a file of NTU RGB+D
  c2vl predict 0002-L.txt --part 120:260      frames 120 to 259 of a long file of PKU-MMD
  c2vl predict joints.npy                     metres, (frames, joints, 3) or
                                              (frames, persons, joints, 3)
  c2vl predict a01_s01_e00_v01.json           any skeleton file of docs/datasets.md, such as
                                              .npz, .json, .mat, or OpenPose's folder of a clip
  c2vl predict pose.npy --size 1920x1080      2D: pixels x, y and score, for an encoder of 2D joints
  c2vl predict clip.mp4                       a video, for an encoder of skeletons from videos
  c2vl predict folder/ --json > actions.json  all skeleton files in a folder, or its videos

  c2vl predict clip.skeleton --from finetune --stream joint

Prints the five likeliest actions of each file, with scores in percent. `--from` names the
classifier: `pretrained` (frozen encoder with the linear head of `evaluate`), `finetune`,
`supervised` (the baseline), or `transfer:NAME` (actions of another data set). `--stream fusion`
fuses all streams that it has. By default it is the one of the first two with the highest accuracy
on the test split; stderr says which. For a file that cannot be used, stderr gets one sentence, the
other files go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.commands.recognition.arguments import add_choice
from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from c2vl.commands.recognition.skeleton_inputs import Clip

HELP = "recognise the actions in skeleton files and videos"
DATA, RESULTS = Path("data"), Path("results")
BATCH = 256  # clips in memory at once


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="skeleton file or video, or a folder of them",
    )
    add_choice(parser)
    parser.add_argument(
        "--part",
        metavar="BEGIN:STOP",
        type=part,
        help="frames of the file to use; the first is 0, STOP is not included",
    )
    parser.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        type=size,
        help="image that 2D joints are pixels of (default: they are -1 to 1 over their image)",
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="actions for each file (default: 5)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON list with an object for each file"
    )


def part(text: str) -> tuple[int, int]:
    """Parse `120:260` into two numbers.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    begin, _, stop = text.partition(":")
    if not (begin.isdecimal() and stop.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not BEGIN:STOP, such as 120:260")
    return int(begin), int(stop)


def size(text: str) -> tuple[int, int]:
    """Parse `1920x1080` into two numbers.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT, such as 1920x1080")
    return int(width), int(height)


def run(arguments: argparse.Namespace) -> None:
    """Print the actions.

    Raises:
        UserError: nothing was trained yet, a path does not exist, or (at the end) some files
            could not be used.
    """
    from c2vl.commands.recognition.classifiers import choose, load_classifier
    from c2vl.commands.recognition.skeleton_inputs import find_files, read_clip
    from c2vl.core import machine
    from c2vl.core.layout_file import VIDEO, shipped_layout
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.datasets.scan import is_video
    from c2vl.datasets.skeleton_params import SkeletonParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.prompts.crop_params import CropParams
    from c2vl.prompts.pose.one_video import VideoReader
    from c2vl.prompts.pose.pose_params import PoseParams

    data, line = load_section("data", DataParams), load_section("skeleton", SkeletonParams)
    fusion = load_section("evaluate", EvaluateParams).fusion
    files = find_files(arguments.paths)
    benchmark = arguments.benchmark or data.benchmarks[0]
    chosen, why = choose(RESULTS, DATA, benchmark, arguments.source, arguments.stream)
    recogniser = load_classifier(RESULTS, DATA, chosen, fusion)
    if not arguments.json:
        print(f"c2vl: {why}.", file=sys.stderr)
    filmed = any(is_video(path.name) for path in files)
    videos = None
    if filmed and recogniser.layout.fits(shipped_layout(VIDEO)):
        videos = VideoReader(load_section("pose", PoseParams), load_section("crop", CropParams))
    device, classes, answers = machine.device(), recogniser.classes, []
    for start in range(0, len(files), BATCH):
        clips: list[Clip] = []
        unusable: dict[Path, str] = {}
        for path in files[start : start + BATCH]:
            try:
                clips.append(
                    read_clip(
                        path,
                        recogniser.layout,
                        arguments.part,
                        line.rules,
                        line.solo_of(data.dataset),
                        arguments.size,
                        videos,
                    )
                )
            except UserError as error:
                unusable[path] = str(error)
                print(f"c2vl: {error}", file=sys.stderr)
        scores = list(recogniser.scores([clip.joints for clip in clips], device)) if clips else []
        found: dict[Path, dict[str, Any]] = {
            path: {"file": str(path), "error": error} for path, error in unusable.items()
        }
        for clip, row in zip(clips, scores, strict=True):
            best = sorted(range(len(classes)), key=lambda label: (-row[label], label))[
                : max(arguments.top, 1)
            ]
            actions = [
                {"action": classes[label], "label": label, "score": round(float(row[label]), 6)}
                for label in best
            ]
            found[clip.path] = {
                "file": str(clip.path),
                "frames": len(clip.joints),
                "persons": clip.persons,
                "classifier": str(chosen),
                "actions": actions,
            }
        batch = [found[path] for path in files[start : start + BATCH]]
        answers += batch
        if not arguments.json:
            for answer in batch:
                print_answer(answer)
    if arguments.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    if failed := sum("error" in answer for answer in answers):
        raise UserError(f"{failed} of {len(answers)} files could not be used.")


def print_answer(answer: dict[str, Any]) -> None:
    """Print a file's actions as a small table; skip a file whose error was printed already."""
    if "error" not in answer:
        counts = (
            f"{answer[name]} {name if answer[name] != 1 else name.removesuffix('s')}"
            for name in ("frames", "persons")
        )
        print(f"{answer['file']} ({', '.join(counts)})")
        for action in answer["actions"]:
            print(f"  {100 * action['score']:5.1f} %  {action['action']}")
