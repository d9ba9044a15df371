"""Options of `predict`; those that choose a classifier of the run are `export`'s, too."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

SOURCES = "pretrained, finetune, supervised or transfer:NAME"
PICTURES, MOVING = (".jpg", ".jpeg", ".png"), (".gif", ".mp4", ".avi")
OVERLAYS = (*PICTURES, *MOVING)
MOST_FRAMES = 1e9


@dataclass(frozen=True)
class Length:
    """A number of frames, or of seconds; infinite: all frames."""

    value: float
    seconds: bool = False


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Declare `--from`, `--stream` and `--benchmark`."""
    parser.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        type=source,
        help=f"{SOURCES} (default: the most accurate of the first two, else the third)",
    )
    parser.add_argument(
        "--stream",
        choices=("joint", "motion", "bone", "fusion"),
        help="one stream, or the fusion of all (default: the most accurate)",
    )
    parser.add_argument(
        "--benchmark", help="benchmark of the encoder (default: the first of data.benchmarks)"
    )


def source(text: str) -> str:
    """Check a value of `--from`.

    Raises:
        argparse.ArgumentTypeError: it has another form.
    """
    if not re.fullmatch(r"pretrained|finetune|supervised|transfer:.+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not {SOURCES}")
    return text


def add_video_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that concern videos alone."""
    videos = parser.add_argument_group("videos")
    videos.add_argument(
        "--overlay",
        metavar="FILE",
        type=overlay,
        help="draw boxes, joints and action: .jpg or .png (some frames), .gif, .mp4 or .avi; with "
        "several videos, their numbers are added to the name",
    )
    videos.add_argument(
        "--window",
        metavar="LENGTH",
        type=length,
        help="clips to cut a video into: frames (60) or seconds (2.5s); `all`: none (default: a "
        "video longer than every training clip is cut into clips of their median length)",
    )
    videos.add_argument(
        "--stride",
        metavar="LENGTH",
        type=length,
        help="from one window to the next (default: half a window)",
    )
    videos.add_argument(
        "--detector", metavar="MODEL", help="finds people, in place of crop.detector.model"
    )
    videos.add_argument(
        "--pose", metavar="MODEL", help="finds joints, in place of pose.engine.model"
    )


def overlay(text: str) -> Path:
    """Check a value of `--overlay`.

    Raises:
        argparse.ArgumentTypeError: it has another ending.
    """
    path = Path(text)
    if path.suffix.lower() not in OVERLAYS:
        raise argparse.ArgumentTypeError(f"'{text}' must end in one of {', '.join(OVERLAYS)}")
    return path


def length(text: str) -> Length:
    """Parse `60` (frames), `2.5s` (seconds) or `all`.

    Raises:
        argparse.ArgumentTypeError: the text has another form.
    """
    if text == "all":
        return Length(math.inf)
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = 0.0
    if not 0 < value < MOST_FRAMES:
        raise argparse.ArgumentTypeError(f"'{text}' is not a length, such as 60 (frames) or 2.5s")
    return Length(value, text.endswith("s"))


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
