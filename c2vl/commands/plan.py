"""Estimate what a run takes on this machine, from a trial of a few samples.

  c2vl plan                       needs the index: `dvc repro index`
  c2vl plan --samples 20 --no-training
  c2vl plan --no-training --sweeps study.yaml     samples, and the trainings of `make study`

Prints for each stage how many samples, frames, calls or epochs are to compute, how many bytes it
reads and writes, how long it takes, and how much GPU memory it needs; then the total. Results that
the store or an output has are subtracted. An epoch is one of all training clips: 60 epochs with 5 %
of the labels count as 3.

The trial runs the real stages on a few samples in a temporary project with its own store, so
nothing of yours changes. Only batch sizes measured on a GPU are kept. Times include loading the
engines and hold for this machine's settings (C2VL_DEVICE, C2VL_WORKERS, C2VL_BATCH_...). Start-up
does not count towards the rate: engines are timed from their second batch on, and skeletons by the
difference between a few samples and a thousand. If the trial of a stage fails, the reason is
printed and the other stages are estimated. Trainings are timed by a few steps of the real encoder
on clips of noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from c2vl.commands.costs.estimate import Line
    from c2vl.commands.costs.trial import Cost, Failed

HELP = "estimate calls, bytes and hours of a run on this machine"
HEAD = ("stage", "computes", "has", "to compute", "reads", "writes", "GPU memory", "time")
TOTAL = "total"
# What a stage counts; an engine computes one item for each.
UNITS = {
    "pose": "clips",
    "skeleton": "skeletons",
    "crop": "frames",
    "video_skeleton": "clips",
    "caption": "questions",
    "embed-vision": "crops",
    "embed-language": "answers",
    "pretrain": "epochs",
    "baselines": "epochs",
    "zero_shot_pretrain": "epochs",
    "features": "clips",
    "evaluate": "epochs, linear",
    "finetune": "epochs",
    "semi": "epochs",
    "transfer": "epochs",
    TOTAL: "",
}
TRAINED = ("pretrain", "baselines", "zero_shot_pretrain", "finetune", "semi", "transfer")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--samples", type=int, default=6, metavar="N", help="samples in the trial (default: 6)"
    )
    parser.add_argument(
        "--sweeps", type=Path, metavar="FILE", help="also the sweeps of a file, such as study.yaml"
    )
    parser.add_argument("--no-training", action="store_true", help="samples alone: no training")


def run(arguments: argparse.Namespace) -> None:
    """Print the plan.

    Raises:
        UserError: there is no index, or no usable sample in it.
    """
    import shutil

    from c2vl.commands.costs.estimate import lines
    from c2vl.commands.costs.trial import Failed, costs
    from c2vl.commands.pipeline.store_stages import INDEX, stages_in_use
    from c2vl.core import machine, tables
    from c2vl.core.errors import UserError
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams

    if arguments.samples < 1:
        raise UserError("--samples must be at least 1.")
    if not INDEX.is_file():
        raise UserError(f"{INDEX} is missing; run `dvc repro index` first.")
    store = machine.store_dir().absolute()
    data, index = load_section("data", DataParams), tables.read(INDEX)
    print(f"{INDEX}: {_usable(index):,} usable samples of {data.dataset}")
    print(f"trial of {arguments.samples} samples in a temporary project:")
    measured = {}
    stages = stages_in_use()
    for stage, cost in costs(index, arguments.samples, stages):
        measured[stage.name] = cost
        if isinstance(cost, Failed):
            print(f"  {stage.name}: {cost.reason}", flush=True)
        else:
            rate = (
                f"{1 / cost.each:.3g} a second"
                if cost.each
                else "no rate (nothing computed, or too fast to measure)"
            )
            units = f"{cost.units} {UNITS[stage.name]}"
            print(f"  {stage.name}: {units}, {rate}, {cost.fixed:.0f} s start-up", flush=True)
    found = list(lines(measured, {stage.name: stage for stage in stages}, index, data.raw))
    lacking: list[str] = []
    if not arguments.no_training:
        found += _trainings(measured, found, lacking)
    print("\n" + table([*found, total_of(found)]))
    if not arguments.no_training:
        print("\n" + _epochs(found))
    written = sum(line.written or 0 for line in found)
    free = shutil.disk_usage(next(path for path in (store, *store.parents) if path.exists())).free
    print(
        "The store, the output tables and DVC's cache each hold a copy of the results: "
        f"up to {size(3 * written)} in all; {size(free)} are free."
    )
    if any(not line.exact for line in found):
        print("~  estimated from the trial, because an earlier stage is not complete")
    if any(line.seconds is None for line in found):
        print("?  unknown, because the trial of the stage failed (see above)")
    for sentence in lacking:
        print(sentence)
    if arguments.sweeps:
        from c2vl.commands.costs.sweeps import plan_sweeps

        print(plan_sweeps(arguments.sweeps, Path("results") / arguments.sweeps.stem))
    print("Not in the table: index, class_names, score and report, which take minutes.")


def _usable(index: pa.Table) -> int:
    import pyarrow.compute as pc

    from c2vl.core.tables.schemas import OK

    return int(pc.sum(pc.equal(index["status"], OK)).as_py() or 0)


def _trainings(
    measured: Mapping[str, Cost | Failed],
    samples: Sequence[Line],
    lacking: list[str],
) -> Iterator[Line]:
    """The lines of all stages after the prompts."""
    from c2vl.commands.costs.splits import splits_of
    from c2vl.commands.costs.training_speed import measured as speed_of
    from c2vl.commands.costs.trainings import training_lines
    from c2vl.commands.pipeline.dvc_status import changed_before
    from c2vl.core.layout_file import read_layout
    from c2vl.core.params import load_section
    from c2vl.datasets.data_params import DataParams
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.training.training_params import PretrainParams

    data = load_section("data", DataParams)
    splits = splits_of(Path("data"), data.benchmarks)
    classes = max(split.classes for split in splits.values())
    linear = load_section("evaluate", EvaluateParams).linear
    layout = read_layout(Path("data"))
    pretrain = load_section("pretrain", PretrainParams).on(layout)
    speed = speed_of(pretrain, layout, classes, linear.batch)
    print(f"  training: {speed.train:,.0f} clips a second, {speed.encode:,.0f} to encode alone")
    status = changed_before(None)
    yield from training_lines(
        splits,
        speed,
        any(_changes(line.stage) for line in samples if line.todo),
        clip_bytes(measured),
        lambda stage: status is None or stage in status,
        lacking,
    )


def _changes(stage: str) -> bool:
    """Whether a run changes the table of a sample stage; failures tried again do not count."""
    from c2vl.commands.pipeline.store_stages import stages_named
    from c2vl.core.errors import UserError
    from c2vl.store.status import status_of

    (found,) = stages_named(stage)
    try:
        return not status_of(found.open(), found.out).is_current()
    except UserError:  # an earlier stage has no output
        return True


def clip_bytes(measured: Mapping[str, Cost | Failed]) -> float:
    """Bytes that a training reads of a clip: its skeleton and its prompts' features."""
    from c2vl.commands.costs.trial import Failed

    clips, total = 0, 0
    for name in ("skeleton", "embed-vision", "embed-language"):
        cost = measured.get(name)
        if cost is None or isinstance(cost, Failed):
            continue
        clips, total = clips or cost.usable, total + cost.bytes
    return total / clips if clips else 0.0


def total_of(found: Sequence[Line]) -> Line:
    """The sums of the plan; of GPU memory the largest, as stages run one after the other."""
    from c2vl.commands.costs.estimate import Line

    return Line(
        TOTAL,
        0,
        0,
        all(line.exact and line.seconds is not None for line in found),
        sum(line.seconds or 0.0 for line in found),
        sum(line.read for line in found),
        sum(line.written or 0 for line in found),
        max((line.memory for line in found), default=0),
    )


def _epochs(found: Sequence[Line]) -> str:
    """A sentence that counts the epochs of all trainings."""
    trained = [line for line in found if line.stage in TRAINED]
    parts = ", ".join(f"{line.stage} {line.has + line.todo:,}" for line in trained)
    every, done = sum(line.has + line.todo for line in trained), sum(line.has for line in trained)
    return f"Training epochs over all clips: {every:,} ({parts}); {done:,} are done."


def table(found: Iterable[Line]) -> str:
    """Format the plan as a text table."""
    rows: list[tuple[str, ...]] = [HEAD]
    for line in found:
        about = "" if line.exact else "~"
        unknown = line.seconds is None or line.written is None
        written = "?" if unknown else about + size(line.written or 0)
        time = "?" if unknown else about + duration(line.seconds or 0.0)
        todo = "?" if unknown and not line.exact else f"{about}{line.todo:,}"
        counts = ("", "") if line.stage == TOTAL else (f"{line.has:,}", todo)
        memory = size(line.memory) if line.memory else "-"
        read = about + size(line.read)
        rows.append((line.stage, UNITS[line.stage], *counts, read, written, memory, time))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    laid = [
        "  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
        for row in rows
    ]
    return "\n".join([laid[0], "-" * len(laid[0]), *laid[1:]])


def size(count: float) -> str:
    """Bytes with a unit, such as `2.0 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:,.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds with a unit, such as `10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
