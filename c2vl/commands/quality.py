"""How good the knowledge prompts look, without any ground truth: to be read before a day of pretraining.

Reads data/index, data/crop and data/caption, as far as they are there. Lines that begin with `look:` are what a good set of
prompts does not show; docs/evaluation.md says what each means. `--json` prints everything, with the commonest answers and
the worst crops.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError

HELP = "how good the prompts look, before training on them"
DATA = Path("data")
LIMITS = {
    # key: (limit, whether more than it is bad, what to do)
    "crop.coverage": (
        0.8,
        False,
        "crops miss much of the people; see `crop.margin` and the detector's thresholds",
    ),
    "answers.empty": (0.01, True, "empty answers teach nothing"),
    "answers.unfinished": (
        0.05,
        True,
        "answers are cut off; raise `caption.captioner.max_new_tokens`",
    ),
    "answers.repeats": (
        0.02,
        True,
        "answers that repeat a phrase; see the captioner's dtype and prompt template",
    ),
    "answers.distinct": (
        0.01,
        False,
        "hardly two answers differ: the captioner may not see the pictures",
    ),
    "clips.without": (0.02, True, "clips without any answer are left out of pretraining"),
    "clips.one_answer": (
        0.9,
        True,
        "a clip's answers are all the same: fewer frames a clip would do",
    ),
    "clips.classes_of_an_answer": (
        1.5,
        False,
        "an answer names its class by itself: labels may leak through the question",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the quality.

    Raises:
        UserError: there is no prompt yet.
    """
    found = gather(DATA)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print("\n".join(lines(found)))


def gather(data: Path) -> dict[str, Any]:
    """Quality of the crops and answers that are there.

    Raises:
        UserError: neither is.
    """
    from c2vl.core import tables
    from c2vl.core.files import read_json
    from c2vl.evaluation.scores.clip_quality import clip_quality, lowest_coverage
    from c2vl.evaluation.scores.prompt_quality import answer_quality, crop_quality

    found: dict[str, Any] = {}
    if (data / "crop").is_dir():
        crops = tables.read(data / "crop", ["sample", "k", "status", "coverage", "boxes"])
        found["crop"] = {**crop_quality(crops), "lowest_coverage": lowest_coverage(crops)}
    if (data / "caption").is_dir():
        captions = tables.read(
            data / "caption", ["sample", "status", "answer", "finished", "repeats"]
        )
        index = tables.read(data / "index" / "index.parquet", ["sample", "label", "status"])
        classes = read_json(data / "index" / "classes.json")
        found["answers"] = answer_quality(captions, classes)
        found["clips"] = clip_quality(index, captions, classes)
    if not found:
        raise UserError(
            f"{data / 'crop'} and {data / 'caption'} are not there; `dvc repro caption` makes both."
        )
    return found


def lines(found: dict[str, Any]) -> Iterator[str]:
    """A line a number, then what to look at."""
    for part, values in found.items():
        for name, value in values.items():
            if isinstance(value, float | int):
                yield (
                    f"{part + ', ' + name.replace('_', ' '):38}{value:.3f}"
                    if isinstance(value, float)
                    else (f"{part + ', ' + name.replace('_', ' '):38}{value:,}")
                )
    yield ""
    concerns = list(_concerns(found))
    yield from concerns or ["nothing to look at: no number is out of the ordinary"]


def _concerns(found: dict[str, Any]) -> Iterator[str]:
    for key, (limit, above, advice) in LIMITS.items():
        part, name = key.split(".")
        value = found.get(part, {}).get(name)
        if isinstance(value, float) and (value > limit if above else value < limit):
            yield f"look: {part}, {name.replace('_', ' ')} is {value:.3f} ({'over' if above else 'under'} {limit}): {advice}"
