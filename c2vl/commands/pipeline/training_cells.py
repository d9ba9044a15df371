"""The DVC stages that train, and what their trainings depend on under the present params.yaml."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.files import read_json
from c2vl.core.params import load_section

if TYPE_CHECKING:
    from c2vl.store.trained import TrainedStore
    from c2vl.training.key import Description
    from c2vl.training.training_params import PretrainParams

RESULTS = Path("results")
DATA_STAGES = ("index", "pose", "skeleton", "crop", "caption", "embed@vision", "embed@language")
BASELINES_READ = (*DATA_STAGES, "video_skeleton")
ENCODER_STAGES = ("pretrain", "baselines", "zero_shot_pretrain")
TRAINING_STAGES = (*ENCODER_STAGES, "finetune", "semi", "transfer")
Known = tuple[dict[str, Any] | None, "Description"]
"""What the last output says of a training (None: nothing), and its present description."""


@dataclass(frozen=True)
class Cell:
    """One DVC stage that trains.

    Attributes:
        stage: such as `semi`.
        name: DVC's, such as `semi@xsub-joint`.
        out: its output folder.
        after: the stages that it reads from.
    """

    stage: str
    name: str
    out: Path
    after: tuple[str, ...]


def cells(stage: str | None = None) -> list[Cell]:
    """The cells of a stage, or of all, that params.yaml has.

    Raises:
        UserError: a section of params.yaml is wrong.
    """
    from c2vl.datasets.data_params import DataParams
    from c2vl.models.streams import STREAMS
    from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams
    from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

    found: list[Cell] = []
    benchmarks = load_section("data", DataParams).benchmarks
    for benchmark, stream in itertools.product(benchmarks, STREAMS):
        name = f"{benchmark}-{stream}"
        found.append(Cell("pretrain", f"pretrain@{name}", RESULTS / "pretrain" / name, DATA_STAGES))
    for benchmark in benchmarks:
        out = RESULTS / "baselines" / benchmark
        found.append(Cell("baselines", f"baselines@{benchmark}", out, BASELINES_READ))
    for split in load_section("zero_shot", ZeroShotParams).splits:
        name = f"{benchmarks[0]}-{split}"
        out = RESULTS / "zero_shot_pretrain" / name
        found.append(Cell("zero_shot_pretrain", f"zero_shot_pretrain@{split}", out, DATA_STAGES))
    for kind, folder, section in (
        ("finetune", "full", load_section("finetune", FinetuneParams)),
        ("semi", "semi", load_section("semi", SemiParams)),
    ):
        for name in map("-".join, itertools.product(benchmarks, section.streams)):
            out = RESULTS / "finetune" / folder / name
            reads = ("index", "skeleton", f"pretrain@{name}")
            found.append(Cell(kind, f"{kind}@{name}", out, reads))
    transfer = load_section("transfer", TransferParams)
    sources = tuple(f"pretrain@{transfer.source}-{stream}" for stream in transfer.streams)
    for target in transfer.targets:
        after = (f"target_index@{target}", f"target_skeleton@{target}", *sources)
        out = RESULTS / "finetune/transfer" / target
        found.append(Cell("transfer", f"transfer@{target}", out, after))
    return [cell for cell in found if stage in (None, cell.stage, cell.name)]


def described(cell: Cell) -> Iterator[Known]:
    """Each training of a cell: what its last output says of it, and its present description.

    The data's hash is that of the last output: whether the data changed is DVC's to say.
    """
    from c2vl.core import machine

    device = machine.device().type
    if cell.stage in ENCODER_STAGES:
        yield from _described_encoders(cell, device)
    else:
        yield from _described_runs(cell, device)


def is_known(record: dict[str, Any] | None, now: Description, store: TrainedStore) -> bool:
    """Whether a run would take a training from the output or the store; arguments of `described`.

    A training that no output names has no hash of its data, so it is not known.
    """
    return record is not None and (now.key == record["key"] or store.has(now.key))


def _described_encoders(cell: Cell, device: str) -> Iterator[Known]:
    from c2vl.core.layout_file import read_layout
    from c2vl.core.tables.class_list import read_class_list
    from c2vl.training.checkpoint import EncoderConfig
    from c2vl.training.methods import described, params_of
    from c2vl.training.training_params import BaselinesParams, PretrainParams

    pretrain = load_section("pretrain", PretrainParams).on(read_layout(Path("data")))
    baselines = load_section("baselines", BaselinesParams)
    classes = len(read_class_list(Path("data")))
    for out, method, benchmark, stream, own in _encoders_of(cell, pretrain):
        config = EncoderConfig.model_validate(
            {
                "method": method,
                "benchmark": benchmark,
                "stream": stream,
                "seed": own.seed,
                "encoder": own.encoder,
                "frames": own.view.frames,
                "classes": classes,
            }
        )
        record = _record(out)
        params = params_of(config.method, own, baselines)
        yield record, described(config, params, record["data"] if record else "", device)


def _encoders_of(
    cell: Cell, pretrain: PretrainParams
) -> Iterator[tuple[Path, str, str, str, PretrainParams]]:
    """(folder, method, benchmark, stream, params) of each encoder of a cell."""
    from c2vl.core.layout_file import VIDEO, shipped_layout
    from c2vl.prompts.pose.pose_params import PoseParams
    from c2vl.store.trained import previous_files
    from c2vl.training.training_params import PretrainParams
    from c2vl.training.video_skeletons import METHOD
    from c2vl.training.zero_shot.pretrain_seen import PHASES
    from c2vl.training.zero_shot.protocols import NOTE
    from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

    if cell.stage == "pretrain":
        benchmark, _, stream = cell.out.name.rpartition("-")
        yield cell.out, "c2vl", benchmark, stream, pretrain
    elif cell.stage == "baselines":
        for method in ("infonce", "supervised"):
            yield cell.out / method, method, cell.out.name, "joint", pretrain
        if load_section("pose", PoseParams).compare:
            own = load_section("pretrain", PretrainParams).on(shipped_layout(VIDEO))
            yield cell.out / METHOD, "c2vl", cell.out.name, "joint", own
    elif NOTE not in previous_files(cell.out):  # the note says why the data cannot give the split
        params = load_section("zero_shot", ZeroShotParams)
        benchmark = cell.out.name.removesuffix(f"-{cell.name.partition('@')[2]}")
        own = params.pretraining(pretrain)
        for phase in PHASES:
            yield cell.out / phase, "c2vl", benchmark, params.stream, own


def _described_runs(cell: Cell, device: str) -> Iterator[Known]:
    from c2vl.core.layout_file import read_layout
    from c2vl.core.tables.class_list import read_class_list
    from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams
    from c2vl.training.finetuning.starts import config_of
    from c2vl.training.finetuning.trainings import described_run, params_of_run

    record = _record(cell.out) or {"runs": []}
    last = {frozenset(run["where"].items()): run for run in record["runs"]}
    pretrained = RESULTS / "pretrain"
    wheres: list[dict[str, Any]]
    sources: dict[str, Path] = {}
    section: FinetuneParams | SemiParams | TransferParams
    if cell.stage == "transfer":
        section = load_section("transfer", TransferParams)
        data, streams = Path("data/targets") / cell.out.name, section.streams
        wheres = _products(stream=streams, start=section.starts)
        sources = {str(stream): pretrained / f"{section.source}-{stream}" for stream in streams}
    else:
        data = Path("data")
        if cell.stage == "semi":
            semi = section = load_section("semi", SemiParams)
            draws = range(semi.draws)
            wheres = _products(start=semi.starts, fraction=semi.fractions, draw=draws)
        else:
            section = load_section("finetune", FinetuneParams)
            wheres = _products(start=section.starts)
    classes = len(read_class_list(data))
    for where in wheres:
        source = sources.get(where.get("stream", ""), pretrained / cell.out.name)
        config, pretrain = config_of(source, read_layout(data))
        run = last.get(frozenset(where.items()))
        yield (
            run,
            described_run(
                f"{cell.stage} {cell.out.name} {' '.join(map(str, where.values()))}",
                config.stream,
                params_of_run(pretrain, section, section.seed + where.get("draw", 0)),
                classes,
                run["data"] if run else "",
                device,
            ),
        )


def _products(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of the values, by name."""
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _record(out: Path) -> dict[str, Any] | None:
    """What the last version of an output says of its trainings."""
    from c2vl.store.trained import previous_files

    try:
        record: dict[str, Any] = read_json(previous_files(out)["trained.json"])
    except (OSError, ValueError, KeyError):
        return None
    return record
