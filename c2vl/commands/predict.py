"""Recognise the actions in videos and skeleton files.

  c2vl predict clip.mp4                       a video: people, joints, actions
  c2vl predict clip.mp4 --overlay seen.jpg    draw boxes, joints and action (.mp4, .gif: moving)
  c2vl predict long.mp4 --window 2s           a timeline of actions, from windows of two seconds
  c2vl predict clip.skeleton                  a file of NTU RGB+D
  c2vl predict 0002-L.txt --part 120:260      frames 120 to 259 of a long file of PKU-MMD
  c2vl predict joints.npy                     metres, (frames, joints, 3) or
                                              (frames, persons, joints, 3)
  c2vl predict a01_s01_e00_v01.json           any skeleton file of docs/datasets.md, such as
                                              .npz, .json, .mat, or OpenPose's folder of a clip
  c2vl predict pose.npy --size 1920x1080      2D: pixels x, y and score, for an encoder of 2D joints
  c2vl predict folder/ --json > actions.json  all skeleton files and videos in a folder

  c2vl predict clip.skeleton --from finetune --stream joint

Prints the five likeliest actions of each file, with scores in percent. `--from` names the
classifier: `pretrained` (frozen encoder with the linear head of `evaluate`), `finetune`,
`supervised` (the baseline), or `transfer:NAME` (actions of another data set). `--stream fusion`
fuses all streams that it has. By default the command takes the more accurate of the first two on
the test split; stderr names it. For a file that cannot be used, stderr gets one sentence, the
other files go on, and the exit code is 1.

A video needs a classifier that was trained on skeletons from videos. Any other classifier skips the
videos of a folder with skeleton files, and stderr says how many. The detector of section `crop`
finds the people, the engine of section `pose` their joints. A video longer than every training clip
is cut into windows as long as the median training clip.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from c2vl.commands.recognition.arguments import add_choice, add_video_options, part, size
from c2vl.core.errors import UserError

HELP = "recognise the actions in videos and skeleton files"
DATA, RESULTS = Path("data"), Path("results")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a video, a skeleton file, or a folder of them",
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
    add_video_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the actions.

    Raises:
        UserError: nothing was trained yet, a path does not exist, the classifier's skeleton is not
            that of videos, or (at the end) some files could not be used.
    """
    from c2vl.commands.recognition.answers import text_of
    from c2vl.commands.recognition.classifiers import choose, load_classifier
    from c2vl.commands.recognition.predictor import Predictor
    from c2vl.commands.recognition.skeleton_inputs import find_files, is_video_file
    from c2vl.commands.recognition.video_inputs import without_unread_videos
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams

    data = load_section("data", DataParams)
    fusion = load_section("evaluate", EvaluateParams).fusion
    files = find_files(arguments.paths)
    if arguments.overlay and not any(map(is_video_file, files)):
        raise UserError("`--overlay` draws on videos, but no video is among the files.")
    benchmark = arguments.benchmark or data.benchmarks[0]
    chosen, why = choose(RESULTS, DATA, benchmark, arguments.source, arguments.stream)
    recogniser = load_classifier(RESULTS, DATA, chosen, fusion)
    if not arguments.overlay:
        files, skipped = without_unread_videos(files, arguments.paths, recogniser.layout)
        if skipped:
            print(f"c2vl: {skipped}", file=sys.stderr)
    videos = [path for path in files if is_video_file(path)]
    predictor = Predictor(recogniser, chosen, data.dataset, arguments)
    if videos:
        predictor.prepare_for_videos(videos, DATA)
    if not arguments.json:
        print(f"c2vl: {why}.", file=sys.stderr)
    answers = []
    for answer in predictor.answers(files):
        answers.append(answer)
        if "error" in answer:
            predictor.say(f"c2vl: {answer['error']}", sys.stderr)
        elif not arguments.json:
            predictor.say(text_of(answer), sys.stdout)
    if arguments.json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    elif videos:
        print(f"c2vl: {predictor.speed()}.", file=sys.stderr)
    if failed := sum("error" in answer for answer in answers):
        raise UserError(f"{failed} of {len(answers)} files could not be used.")
