"""Show the main numbers of the last run.

  c2vl metrics

Prints scores of the engines against the truth (demo only), accuracies of all methods in percent,
zero-shot, finetuning and transfer, and the path of the report. They come from
results/{evaluate,protocols}/metrics.json and results/scores/scores.json. `dvc metrics diff`
compares two commits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError

HELP = "show the main numbers of the last run and the path of the report"
SCORES, LEARNT, PROTOCOLS, REPORT = (
    Path("results") / name
    for name in (
        "scores/scores.json",
        "evaluate/metrics.json",
        "protocols/metrics.json",
        "report/index.html",
    )
)

ENGINES = {
    "detector, people": {
        "recall": "detector.recall",
        "precision": "detector.precision",
        "mean IoU": "detector.mean_iou",
    },
    "pose engine, joints": {
        "PCK@0.2": "pose.pck",
        "people without a break": "pose.unbroken",
    },
    "captioner, answers": {
        "posture": "captioner.posture",
        "object": "captioner.object",
        "phrase": "captioner.phrase",
    },
    "encoder, crop to sentence": {"top 5": "retrieval.image_to_text.top5"},
    "encoder, class names": {"top 1": "zero_shot.top1", "by chance": "zero_shot.chance1"},
}
"""Title -> label -> dotted key of the scores file."""

STREAMS = ("joint", "motion", "bone", "fusion", "fusion_equal")
METHODS = ("c2vl", "video", "infonce", "supervised", "random")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print the numbers.

    Raises:
        UserError: nothing was computed yet, or a metrics file is damaged.
    """
    scores, learnt = _read(SCORES), _read(LEARNT)
    if scores is None and learnt is None:
        raise UserError(f"There are no metrics yet ({LEARNT}, {SCORES}); run `dvc repro`.")
    if scores is not None:
        print("\n".join(engine_lines(scores)))
    if learnt is not None:
        print("\n".join(["", *learning_lines(learnt)]))
        print("\n".join(["", *zero_shot_lines(learnt)]))
    if (protocols := _read(PROTOCOLS)) is not None:
        print("\n".join(protocol_lines(protocols)))
    print(
        f"\nreport: {REPORT.resolve()}"
        if REPORT.exists()
        else f"\nno report yet: `dvc repro report` writes {REPORT}"
    )


def engine_lines(scores: dict[str, Any]) -> Iterator[str]:
    """Scores of the engines, one line each; scores that are missing are left out."""
    for title, wanted in ENGINES.items():
        values = {label: _at(scores, key) for label, key in wanted.items()}
        if shown := [
            f"{label} {value:.3f}" for label, value in values.items() if value is not None
        ]:
            yield f"{title:27}" + "   ".join(shown)
    for benchmark, value in (_at(scores, "prompts.bag_of_words") or {}).items():
        if value.get("all") is not None and value.get("middle") is not None:
            title = f"answers alone, {benchmark}"
            yield (
                f"{title:27}from all {value['all']:.3f}   from the middle one {value['middle']:.3f}"
            )


def learning_lines(learnt: dict[str, Any]) -> Iterator[str]:
    """A table of accuracies in percent (last epoch, test split).

    Rows are streams and methods, columns are benchmarks and protocols.
    """
    columns = [
        (protocol, benchmark)
        for benchmark in learnt["linear"]
        for protocol in ("linear", "knn", "end_to_end")
    ]
    columns = [
        (protocol, benchmark)
        for protocol, benchmark in columns
        if benchmark in learnt.get(protocol, {})
    ]
    found = {
        (stream, method)
        for protocol, benchmark in columns
        for stream, methods in learnt[protocol][benchmark].items()
        for method in methods
    }
    rows = sorted(found, key=lambda row: (_place(row[0], STREAMS), _place(row[1], METHODS), row))
    heads = [f"{benchmark} {protocol.replace('_', '-')}" for protocol, benchmark in columns]
    yield "accuracy, %".ljust(27) + "".join(head.rjust(len(head) + 3) for head in heads)
    for stream, method in rows:
        cells = (
            learnt[protocol][benchmark].get(stream, {}).get(method, {}).get("top1")
            for protocol, benchmark in columns
        )
        shown = ("" if value is None else f"{100 * value:.1f}" for value in cells)
        yield f"{method}, {stream}".ljust(27) + "".join(
            value.rjust(len(head) + 3) for value, head in zip(shown, heads, strict=True)
        )


def zero_shot_lines(learnt: dict[str, Any]) -> Iterator[str]:
    """Zero-shot accuracy in percent, a line for each benchmark and stream."""
    for benchmark, streams in learnt.get("zero_shot", {}).items():
        for stream, methods in sorted(streams.items(), key=lambda entry: _place(entry[0], STREAMS)):
            chance = next(
                (values["chance"] for values in methods.values() if "chance" in values), None
            )
            shown = _side_by_side(
                {method: _percent(values["top1"]) for method, values in methods.items()}
            )
            by_chance = "" if chance is None else f"   by chance {_percent(chance)}"
            yield f"{f'zero-shot, {benchmark} {stream}':37}{shown}{by_chance}"


def protocol_lines(found: dict[str, Any]) -> Iterator[str]:
    """Accuracy in percent with labels, pretrained beside from scratch.

    The protocols are finetuning, semi-supervised learning and transfer.
    """
    for benchmark, streams in found.get("finetune", {}).items():
        for stream, starts in streams.items():
            shown = _side_by_side(
                {start: _percent(values["top1"]) for start, values in starts.items()}
            )
            yield f"{f'finetune, {benchmark} {stream}':37}{shown}"
    for benchmark, streams in found.get("semi", {}).items():
        for stream, starts in streams.items():
            for fraction in next(iter(starts.values()), {}):
                tops = {
                    start: by_fraction[fraction]["top1"] for start, by_fraction in starts.items()
                }
                shown = _side_by_side({start: _over_draws(top) for start, top in tops.items()})
                yield f"{f'{100 * float(fraction):g} % of labels, {benchmark} {stream}':37}{shown}"
    for target, about in found.get("transfer", {}).items():
        for stream, starts in about["streams"].items():
            shown = _side_by_side(
                {start: _percent(values["top1"]) for start, values in starts.items()}
            )
            yield f"{f'transfer to {target}, {stream}':37}{shown}"


def _side_by_side(cells: dict[str, str]) -> str:
    return "   ".join(
        f"{name} {cells[name]}" for name in sorted(cells, key=lambda name: _place(name, METHODS))
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _over_draws(found: dict[str, Any]) -> str:
    mean = _percent(found["mean"])
    if found["std"] is None:  # one draw has no deviation
        return mean
    return f"{mean} ± {_percent(found['std'])}"


def _read(path: Path) -> dict[str, Any] | None:
    from c2vl.core.files import read_json

    if not path.exists():
        return None
    try:
        content = read_json(path)
    except ValueError:
        raise UserError(
            f"{path} is not valid JSON; `c2vl doctor --deep` says how to repair it."
        ) from None
    return content if isinstance(content, dict) else None


def _place(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def _at(values: dict[str, Any], dotted: str) -> Any:
    found: Any = values
    for key in dotted.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found
