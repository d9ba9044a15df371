"""Estimate what a run takes on this machine, from a trial of a few samples.

  c2vl plan                       needs the index: `dvc repro index`
  c2vl plan --samples 20 --no-training

Prints for each stage how many samples, frames or calls are to compute, how many bytes it reads and
writes, and how long it takes. Results that the store has are subtracted.

The trial runs the real stages on a few samples in a temporary project with its own store, so
nothing of yours changes. Only batch sizes measured on a GPU are kept. Times include loading the
engines and hold for this machine's settings (C2VL_DEVICE, C2VL_WORKERS, C2VL_BATCH_...). Start-up
does not count towards the rate: engines are timed from their second batch on, and skeletons by the
difference between a few samples and a thousand. If the trial of a stage fails, the reason is
printed and the other stages are estimated.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from c2vl.commands.costs.estimate import Line

HELP = "estimate calls, bytes and hours of a run on this machine"
HEAD = ("stage", "computes", "has", "to compute", "reads", "writes", "time")
# What a stage counts; an engine computes one item for each.
UNITS = {
    "skeleton": "skeletons",
    "crop": "frames",
    "caption": "crops",
    "embed-vision": "crops",
    "embed-language": "answers",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--samples", type=int, default=6, metavar="N", help="samples in the trial (default: 6)"
    )
    parser.add_argument("--no-training", action="store_true", help="do not estimate pretraining")


def run(arguments: argparse.Namespace) -> None:
    """Print the plan.

    Raises:
        UserError: there is no index, or no usable sample in it.
    """
    import shutil

    from c2vl.commands.costs.estimate import lines
    from c2vl.commands.costs.trial import Failed, costs
    from c2vl.commands.pipeline.store_stages import INDEX, STAGES
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
    for stage, cost in costs(index, arguments.samples):
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
    found = list(lines(measured, {stage.name: stage for stage in STAGES}, index, data.raw))
    print("\n" + table(found))
    written = sum(line.written or 0 for line in found)
    free = shutil.disk_usage(next(path for path in (store, *store.parents) if path.exists())).free
    print(
        "\nThe store, the output tables and DVC's cache hold each result once: "
        f"up to {size(3 * written)} in all; {size(free)} are free."
    )
    if any(not line.exact for line in found):
        print("~  estimated from the trial, because an earlier stage is not complete")
    if any(line.seconds is None for line in found):
        print("?  unknown, because the trial of the stage failed (see above)")
    if not arguments.no_training:
        print(_training(data.benchmarks, index))


def _usable(index: pa.Table) -> int:
    import pyarrow.compute as pc

    from c2vl.core.tables.schemas import OK

    return int(pc.sum(pc.equal(index["status"], OK)).as_py() or 0)


def _training(benchmarks: list[str], index: pa.Table) -> str:
    """A sentence on pretraining: all streams of all benchmarks, one after the other."""
    from c2vl.commands.costs.training_speed import clips_a_second
    from c2vl.core.params import load_section
    from c2vl.models.streams import STREAMS
    from c2vl.training.training_params import PretrainParams

    params = load_section("pretrain", PretrainParams)
    rate = clips_a_second(params)
    clips = sum(index[benchmark].to_pylist().count("train") for benchmark in benchmarks)
    seconds = clips * len(STREAMS) * params.epochs / rate
    count = len(benchmarks) * len(STREAMS)
    return (
        f"pretrain: {count} encoders × {params.epochs} epochs at {rate:,.0f} clips a second: "
        f"about {duration(seconds)}."
    )


def table(found: Iterable[Line]) -> str:
    """Format the plan as a text table."""
    rows: list[tuple[str, ...]] = [HEAD]
    for line in found:
        about = "" if line.exact else "~"
        unknown = line.seconds is None or line.written is None
        written = "?" if unknown else about + size(line.written or 0)
        time = "?" if unknown else about + duration(line.seconds or 0.0)
        todo = "?" if unknown and not line.exact else f"{about}{line.todo:,}"
        rows.append(
            (
                line.stage,
                UNITS[line.stage],
                f"{line.has:,}",
                todo,
                about + size(line.read),
                written,
                time,
            )
        )
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
