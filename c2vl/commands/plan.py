"""Before a run: how many samples, frames and calls, how many bytes and hours a stage, with what the store has subtracted.

A few real samples go through the real stages in a temporary project with a store of its own: nothing of yours is
touched, and a GPU's batch sizes, which are found by trying, are kept for the run. What the samples cost is scaled up. So
the hours are those of this machine with these settings
(C2VL_DEVICE, C2VL_WORKERS, C2VL_BATCH_...), engines loaded included. Needs the index (`dvc repro index`).

Start-up (interpreter, engine, first batch, worker processes) is told from the rate: engines are timed from their second batch
on, skeletons by the difference between a few and a thousand. A stage whose trial fails is said, and the others are planned.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from c2vl.commands.costs.estimate import Line

HELP = "what a run would take on this machine: samples, calls, bytes, hours, from a trial of a few samples"
HEAD = ("stage", "computes", "has", "to compute", "reads", "writes", "time")
# What a stage computes on, one call of its engine each (or a place in a batch of them).
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
        "--samples", type=int, default=6, metavar="N", help="samples of the trial (default 6)"
    )
    parser.add_argument(
        "--no-training", action="store_true", help="leave out the estimate of pretraining"
    )


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
    store = machine.store_dir().absolute()
    data, index = load_section("data", DataParams), tables.read(INDEX)
    print(
        f"{INDEX}: {_usable(index):,} usable samples of {data.dataset}; trial of {arguments.samples} in a temporary project:"
    )
    measured = {}
    for stage, cost in costs(index, arguments.samples):
        measured[stage.name] = cost
        if isinstance(cost, Failed):
            print(f"  {stage.name}: {cost.said}", flush=True)
        else:
            rate = (
                f"{1 / cost.each:.3g} a second"
                if cost.each
                else "no rate: nothing computed, or too quick to be told"
            )
            print(
                f"  {stage.name}: {cost.units} {UNITS[stage.name]}, {rate}, {cost.fixed:.0f} s besides",
                flush=True,
            )
    found = list(lines(measured, {stage.name: stage for stage in STAGES}, index, data.raw))
    print("\n" + table(found))
    written = sum(line.written or 0 for line in found)
    free = shutil.disk_usage(next(path for path in (store, *store.parents) if path.exists())).free
    print(
        f"\nwrites: the store, then the sealed outs, then DVC's cache: up to {size(3 * written)}; {size(free)} are free."
    )
    if any(not line.exact for line in found):
        print("~ : estimated by the trial's ratio, because the stages before are not done.")
    if any(line.seconds is None for line in found):
        print("? : the trial of that stage failed, see above.")
    if not arguments.no_training:
        print(_training(data.benchmarks, index))


def _usable(index: pa.Table) -> int:
    import pyarrow.compute as pc

    from c2vl.core.tables.schemas import OK

    return int(pc.sum(pc.equal(index["status"], OK)).as_py() or 0)


def _training(benchmarks: list[str], index: pa.Table) -> str:
    """A sentence on pretraining, all streams of all benchmarks, one after the other."""
    from c2vl.commands.costs.training_speed import clips_a_second
    from c2vl.core.params import load_section
    from c2vl.models.streams import STREAMS
    from c2vl.training.training_params import PretrainParams

    params = load_section("pretrain", PretrainParams)
    rate = clips_a_second(params)
    clips = sum(index[benchmark].to_pylist().count("train") for benchmark in benchmarks)
    seconds = clips * len(STREAMS) * params.epochs / rate
    count = len(benchmarks) * len(STREAMS)
    return f"pretrain: {count} encoders × {params.epochs} epochs at {rate:,.0f} clips a second: about {duration(seconds)}."


def table(found: Iterable[Line]) -> str:
    """Lay the plan out as text."""
    rows: list[tuple[str, ...]] = [HEAD]
    for line in found:
        about = "" if line.exact else "~"
        unknown = line.seconds is None or line.written is None
        written, time = (
            ("?", "?")
            if unknown
            else (about + size(line.written or 0), about + duration(line.seconds or 0.0))
        )
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
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:,.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
