"""Count what all stages after the prompts train and evaluate, and subtract what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.commands.costs.estimate import Line
from c2vl.commands.costs.splits import Split, splits_of
from c2vl.commands.costs.zero_shot import STAGE, zero_shot_params, zero_shot_shares
from c2vl.commands.pipeline.training_cells import RESULTS, Cell, cells, described, is_known
from c2vl.core.errors import UserError
from c2vl.core.params import load_section
from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.models.streams import STREAMS
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.store.trained import TrainedStore
from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams
from c2vl.training.probe import GALLERY, QUERIES
from c2vl.training.schedule import steps_an_epoch
from c2vl.training.training_params import BaselinesParams, PretrainParams

if TYPE_CHECKING:
    from c2vl.commands.costs.training_speed import Speed

BASELINES = ("infonce", "random", "supervised")
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes:
        epochs: of all training clips; with a share of the labels, that share of them.
        steps: of the optimiser.
        trained: clips that go forward and backward through the encoder, over all epochs.
        looked: clips that go forward only: probes, and looks at the test split.
        scores: numbers that it keeps beside its weights.
        views: how many views of each clip a step embeds.
        done: whether its result is in the store or the output.
    """

    epochs: float
    steps: int
    trained: int
    looked: int
    scores: int = 0
    views: int = 1
    done: bool = False


def trainings_of(
    cell: Cell, splits: Mapping[str, Split], data: Path = Path("data")
) -> list[Training]:
    """The trainings of a cell, in the order of `described`; none of them is marked as done.

    Args:
        cell: of `cells`.
        splits: of the data set, by benchmark.
        data: folder with the targets of `transfer`.

    Raises:
        UserError: the index of a transfer target is missing.
    """
    pretrain = load_section("pretrain", PretrainParams)
    name = cell.out.name
    if cell.stage == "pretrain":
        split = splits[name.rpartition("-")[0]]
        probed = _probed(split.train, pretrain)
        found = _training(split.train, pretrain.epochs, pretrain.batch, probed)
        return [replace(found, views=pretrain.objective.views)]
    if cell.stage == "baselines":
        train, own = splits[name].train, load_section("baselines", BaselinesParams).supervised
        on_videos = load_section("pose", PoseParams).compare
        aligned = _training(train, pretrain.epochs, pretrain.batch, 0)
        both = [aligned, _training(train, own.epochs, pretrain.batch, 0)]
        ours = replace(aligned, views=pretrain.objective.views)
        return [*both, ours] if on_videos else both
    if cell.stage == STAGE:
        return _zero_shot(cell, splits)
    section: FinetuneParams | SemiParams | TransferParams
    shares = [1.0]
    if cell.stage == "transfer":
        transfer = section = load_section("transfer", TransferParams)
        benchmark = transfer.target(name).benchmark
        split = splits_of(data / "targets" / name, [benchmark])[benchmark]
        repeats = len(transfer.streams) * len(transfer.starts)
    else:
        split = splits[name.rpartition("-")[0]]
        if cell.stage == "semi":
            semi = section = load_section("semi", SemiParams)
            shares = [share for share in semi.fractions for _ in range(semi.draws)]
        else:
            section = load_section("finetune", FinetuneParams)
        repeats = len(section.starts)
    looks = ceil(section.epochs / section.test_every) if section.test_every else 1
    once = [
        _training(
            split.train,
            section.epochs,
            section.batch,
            looks * split.test,
            split.test * split.classes,
            share,
            split.classes,
        )
        for share in shares
    ]
    return once * repeats


def _zero_shot(cell: Cell, splits: Mapping[str, Split]) -> list[Training]:
    """The trainings of a zero-shot split, which is one of the first benchmark."""
    benchmark, split = next(iter(splits.items()))
    params = zero_shot_params()
    found = [
        _training(
            split.train,
            params.epochs,
            params.batch,
            _probed(round(share * split.train), params),
            share=share,
        )
        for share in zero_shot_shares(cell, benchmark, split.classes)
    ]
    return [replace(one, views=params.objective.views) for one in found]


def _probed(clips: int, params: PretrainParams) -> int:
    """Clips that all probes of a pretraining encode."""
    held_out = max(1, clips // 5)
    each = min(held_out, QUERIES) + min(clips - held_out, GALLERY)
    return each * (ceil(params.epochs / params.probe_every) if params.probe_every else 0)


def _training(
    clips: int,
    epochs: int,
    batch: int,
    looked: int,
    scores: int = 0,
    share: float = 1.0,
    fewest: int = 0,
) -> Training:
    """A training on a share of the clips, at least `fewest`."""
    labelled = min(clips, max(fewest, round(share * clips)))
    steps = epochs * steps_an_epoch(labelled, batch)
    return Training(epochs * share, steps, steps * min(labelled, batch), looked, scores)


def with_done(cell: Cell, found: list[Training], stale: bool) -> list[Training]:
    """Mark the trainings that a run would take from the store or the output.

    Args:
        cell: of `cells`.
        found: of `trainings_of`.
        stale: whether what the cell reads will change; then all of it is trained.
    """
    if stale or not found:
        return found
    store = TrainedStore()
    try:
        known = [is_known(record, now, store) for record, now in described(cell)]
    except UserError:  # an encoder to start from is missing
        return found
    pairs = zip(found, known, strict=True)
    return [replace(one, done=is_done) for one, is_done in pairs]


def training_lines(
    splits: Mapping[str, Split],
    speed: Speed,
    stale: bool,
    clip_bytes: float,
    changed: Callable[[str], bool],
    lacking: list[str] | None = None,
) -> Iterator[Line]:
    """The lines of the plan for all stages after the prompts.

    Args:
        splits: by benchmark, in the order of `data.benchmarks`.
        speed: of this machine.
        stale: whether the tables that trainings read will change.
        clip_bytes: that a training reads of a clip: its skeleton and its prompts.
        changed: whether DVC would run a stage, by its name.
        lacking: gets a sentence for each cell that cannot be counted yet.
    """
    renewed: set[str] = set()  # cells whose outputs will change
    by_stage: dict[str, list[Training]] = {}
    reads: dict[str, float] = {}
    for cell in cells():
        by_stage.setdefault(cell.stage, [])
        try:
            found = trainings_of(cell, splits)
        except UserError as error:
            if lacking is not None:
                lacking.append(f"{cell.name}: not counted, {error}")
            continue
        found = with_done(cell, found, stale or bool(renewed.intersection(cell.after)))
        if todo := [one for one in found if not one.done]:
            renewed.add(cell.name)
            clips = max(one.trained / one.epochs for one in todo)
            reads[cell.stage] = reads.get(cell.stage, 0.0) + clips * clip_bytes
        by_stage[cell.stage] += found
    for stage in ("pretrain", "baselines"):
        yield _line(stage, by_stage[stage], speed, reads.get(stage, 0.0))
    read = sum(one.trained for one in by_stage[STAGE]) / zero_shot_params().epochs * clip_bytes
    yield _line(STAGE, by_stage[STAGE], speed, read)
    yield _features(splits, speed, clip_bytes, renewed, changed)
    yield _evaluate(splits, speed, renewed, changed)
    for stage in ("finetune", "semi", "transfer"):
        if by_stage.get(stage):
            yield _line(stage, by_stage[stage], speed, reads.get(stage, 0.0))


def _line(stage: str, found: list[Training], speed: Speed, read: float) -> Line:
    todo = [one for one in found if not one.done]
    seconds = sum(one.trained * one.views / speed.train + one.looked / speed.encode for one in todo)
    written = sum(speed.weights + FLOAT * one.scores for one in todo)
    has, left = (sum(one.epochs for one in each) for each in ([o for o in found if o.done], todo))
    memory = speed.memory if todo else 0
    return Line(stage, round(has), round(left), True, seconds, round(read), written, memory)


def _features(
    splits: Mapping[str, Split],
    speed: Speed,
    clip_bytes: float,
    renewed: set[str],
    changed: Callable[[str], bool],
) -> Line:
    """Features of all frozen encoders: three streams of C²VL, and the baselines."""
    has = todo = 0
    for benchmark, split in splits.items():
        for stream in STREAMS:
            name = f"{benchmark}-{stream}"
            out = RESULTS / "features" / name
            runs = f"pretrain@{name}" in renewed or changed(f"features@{name}")
            if runs or not out.is_dir():
                todo += split.clips
            else:
                has += split.clips
        out = RESULTS / "baseline_features" / benchmark
        runs = f"baselines@{benchmark}" in renewed or changed(f"baseline_features@{benchmark}")
        if runs or not out.is_dir():
            todo += len(BASELINES) * split.clips
        else:
            has += len(BASELINES) * split.clips
    written = FLOAT * speed.features * todo
    seconds, memory = todo / speed.encode, speed.memory if todo else 0
    return Line("features", has, todo, True, seconds, round(todo * clip_bytes), written, memory)


def _evaluate(
    splits: Mapping[str, Split], speed: Speed, renewed: set[str], changed: Callable[[str], bool]
) -> Line:
    """Linear evaluation and nearest neighbours of all frozen encoders, from their features."""
    linear = load_section("evaluate", EvaluateParams).linear
    encoders = len(STREAMS) + len(BASELINES)
    epochs = encoders * linear.epochs * len(splits)
    before = renewed or any(changed(f"features@{b}-{s}") for b in splits for s in STREAMS)
    if not before and not changed("evaluate") and (RESULTS / "evaluate").is_dir():
        return Line("evaluate", epochs, 0, True, 0.0, 0, 0)
    steps = sum(encoders * linear.epochs * ceil(s.train / linear.batch) for s in splits.values())
    pairs = sum(encoders * s.train * s.test for s in splits.values())
    seconds = steps * speed.step + pairs / speed.pairs
    read = encoders * sum(FLOAT * speed.features * split.clips for split in splits.values())
    written = encoders * sum(FLOAT * speed.features * split.test for split in splits.values())
    return Line("evaluate", 0, epochs, True, seconds, read, written)
