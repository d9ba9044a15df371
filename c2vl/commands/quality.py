"""Show the quality of the prompts before you pretrain on them; needs no ground truth.

  c2vl quality
  c2vl quality --json      everything, with the commonest answers and the worst crops
  c2vl quality published/pkuv2_language.zip     only the answers of a published file

Prints numbers about data/skeleton, data/crop and data/caption, as far as they exist, and how varied
the answers are, beside those that the paper's authors published. A line that begins with `look:`
names a number that good prompts do not have, and what to do. docs/evaluation.md explains each
number.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

HELP = "show the quality of the prompts, before training on them"
DATA = Path("data")
LEAK = "clips.classes_of_an_answer"
# An answer of one clip has one class, whatever it says. Fewer clips that share answers are chance.
MIN_SHARING = 50
LIMITS = {
    # key: (limit, whether a value above it is bad, what to do)
    "crop.coverage": (
        0.8,
        False,
        "the detector misses people or parts of them; see its thresholds and `crop.margin`",
    ),
    "crop.boxes": (
        0.5,
        False,
        "the detector finds next to nobody; check its `prompt`, thresholds and checkpoint",
    ),
    "crop.fallbacks": (
        0.05,
        True,
        "these crops come from the skeleton or the whole frame (`crop.fallback`), not the detector",
    ),
    "crop.elsewhere": (
        0.02,
        True,
        "people were found, but not where the skeleton is; videos may be swapped or mirrored",
    ),
    "answers.empty": (0.01, True, "nothing is learnt from an empty answer"),
    "answers.unfinished": (
        0.05,
        True,
        "answers are cut off; raise `caption.captioner.max_new_tokens`",
    ),
    "answers.repeats": (
        0.02,
        True,
        "answers repeat a phrase; see `dtype` and `template` of `caption.captioner`",
    ),
    "answers.distinct": (
        0.01,
        False,
        "nearly all answers are equal; the captioner may not see the images",
    ),
    "clips.without": (0.02, True, "pretraining leaves out clips without an answer"),
    "clips.one_answer": (
        0.9,
        True,
        "all answers of a clip are equal; fewer frames a clip would be enough",
    ),
    LEAK: (
        1.5,
        False,
        "an answer names its class; labels may leak through the question",
    ),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", nargs="?", type=Path, help="a published answers file, instead of data/"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print the quality.

    Raises:
        UserError: there are no prompts yet, or the file cannot be used.
    """
    found = measure_published(arguments.file) if arguments.file else measure(DATA)
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print("\n".join(lines(found)))


def measure(data: Path) -> dict[str, Any]:
    """Measure the crops and answers that exist below `data`.

    Raises:
        UserError: neither exists.
    """
    from c2vl.core import tables
    from c2vl.core.files import read_json
    from c2vl.evaluation.scores.clip_quality import (
        clip_quality,
        clips_sharing_an_answer,
        lowest_coverage,
        other_people,
    )
    from c2vl.evaluation.scores.prompt_quality import answer_quality, crop_quality

    found: dict[str, Any] = {}
    skeleton = data / "skeleton" / "metrics.json"
    if skeleton.is_file():
        found["skeleton"] = {"not_in_metres": read_json(skeleton).get("not_in_metres")}
    if (data / "crop").is_dir():
        columns = ["sample", "k", "status", "coverage", "boxes", "chosen"]
        crops = tables.read(data / "crop", columns)
        found["crop"] = {
            **crop_quality(crops),
            "other_people": other_people(crops),
            "lowest_coverage": lowest_coverage(crops),
        }
    if (data / "caption").is_dir():
        captions = tables.read(
            data / "caption", ["sample", "k", "status", "answer", "finished", "repeats"]
        )
        index = tables.read(data / "index" / "index.parquet")
        classes = read_json(data / "index" / "classes.json")
        found["answers"] = answer_quality(captions, classes)
        found["clips"] = clip_quality(index, captions, classes)
        found["clips"]["sharing_an_answer"] = clips_sharing_an_answer(index, captions)
        found["variety"] = _variety(index, captions)
    if not found.keys() - {"skeleton"}:
        raise UserError(
            f"There are no crops or answers yet ({data / 'crop'}, {data / 'caption'}); "
            "run `dvc repro caption`."
        )
    return found


def measure_published(file: Path) -> dict[str, Any]:
    """Measure the answers of a published file, classes and splits by the clips' names.

    Raises:
        UserError: the file cannot be used.
    """
    from c2vl.datasets.clip_names import labels_and_splits
    from c2vl.evaluation.scores.answer_variety import answer_variety
    from c2vl.prompts.published_file import read_published

    sentences = read_published(file).sentences
    return {"variety": answer_variety(sentences, *labels_and_splits(sentences))}


def _variety(index: pa.Table, captions: pa.Table) -> dict[str, Any]:
    """`answer_variety` of the usable answers of the samples in `index`."""
    from c2vl.core.tables.schemas import benchmarks_of
    from c2vl.evaluation.scores.answer_variety import answer_variety

    samples = index.column("sample").to_pylist()
    labels = dict(zip(samples, index.column("label").to_pylist(), strict=True))
    rows = captions.select(["sample", "k", "answer"]).to_pylist()
    answers: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: (row["sample"], row["k"] or 0)):
        if row["answer"] is not None and labels.get(row["sample"]) is not None:
            answers.setdefault(row["sample"], []).append(row["answer"])
    splits = {
        benchmark: dict(zip(samples, index.column(benchmark).to_pylist(), strict=True))
        for benchmark in benchmarks_of(index)
    }
    return answer_variety(answers, labels, splits)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """A line for each number, then what to look at."""
    for part, values in found.items():
        for name, value in values.items() if part != "variety" else ():
            if isinstance(value, float | int):
                shown = f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
                yield f"{part + ', ' + name.replace('_', ' '):38}{shown}"
    if "variety" in found:
        yield from _beside_the_authors(found["variety"])
    yield ""
    concerns = list(_concerns(found))
    yield from concerns or ["nothing to look at: all numbers are within their limits"]


def _beside_the_authors(variety: dict[str, Any]) -> Iterator[str]:
    """The table of the answers here and those that the paper's authors published."""
    from c2vl.report.packaged import packaged_json

    authors = packaged_json("authors_answers.json")

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    yield ""
    yield f"{'how varied the answers are':44}{'here':>8}{authors['dataset']:>12}"
    rows = [
        ("distinct answers", variety["distinct"], authors["distinct"], ".3f"),
        ("words of an answer", variety["words"], authors["words"], ".1f"),
        ("agreement of two answers of a clip", variety["agreement"], authors["agreement"], ".3f"),
    ]
    for name in ("one_answer", "all_answers", "chance"):
        what = {
            "one_answer": "class from one answer",
            "all_answers": "class from all answers of a clip",
            "chance": "class by chance",
        }[name]
        for benchmark, value in variety[name].items():
            rows.append((f"{what}, {benchmark}", value, authors[name].get(benchmark), ".3f"))
    for name, here, there, form in rows:
        yield f"{name:44}{shown(here, form):>8}{shown(there, form):>12}"


def _concerns(found: dict[str, Any]) -> Iterator[str]:
    for key, (limit, above, advice) in LIMITS.items():
        part, name = key.split(".")
        value = found.get(part, {}).get(name)
        if key == LEAK and found.get(part, {}).get("sharing_an_answer", 0) < MIN_SHARING:
            continue
        if isinstance(value, float) and (value > limit if above else value < limit):
            side = "over" if above else "under"
            shown = f"{part}, {name.replace('_', ' ')} is {value:.3f} ({side} {limit})"
            yield f"look: {shown}: {advice}"
    off = found.get("skeleton", {}).get("not_in_metres") or {}
    if off.get("samples"):
        yield (
            f"look: {off['samples']:,} skeletons are not in metres, such as {off['example']}: "
            "convert the raw files"
        )
    others = found.get("crop", {}).get("other_people", {})
    if others.get("clips"):
        yield (
            f"look: in {others['clips']:,} clips, such as {others['samples'][0]['sample']}, the "
            "people found are not where the skeleton is: the video may belong to another sample; "
            "see `c2vl show SAMPLE`"
        )
