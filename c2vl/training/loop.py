"""The training loop: epochs and steps, the rate's schedule, saving, curves, and what to do when the loss is lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from c2vl.core.errors import UserError
from c2vl.core.heap import keep_freed_memory
from c2vl.core.progress import meter
from c2vl.training.curves import Epoch, told
from c2vl.training.devices import Devices
from c2vl.training.environment import compiled
from c2vl.training.keep import LIVE, Keep
from c2vl.training.schedule import rate_at, set_rate, sgd, shuffled, steps_an_epoch
from c2vl.training.step import backward
from c2vl.training.task import Task
from c2vl.training.tracking import NoTracker, make_tracker
from c2vl.training.training_params import PretrainParams

SaveGood = Callable[[nn.Module, list[Epoch]], Path]
"""Writes a network with its curves somewhere and returns where."""


@dataclass
class Progress:
    """Where a training is: `step` steps of epoch `epoch` (from 0) are done.

    `order` (N,) is the epoch's order of the clips, `sums` the sums over its steps of loss and diagnostics.
    """

    epoch: int
    step: int
    order: Tensor
    sums: Tensor | None


@dataclass
class LastGood:
    """The network after the last epoch that left it with finite weights, on the CPU; `epochs` were done."""

    weights: dict[str, Tensor]
    epochs: int

    @classmethod
    def of(cls, network: nn.Module, epochs: int) -> LastGood | None:
        """A copy of the network, or None if a weight is not finite."""
        weights = {
            name: value.detach().cpu().clone() for name, value in network.state_dict().items()
        }
        return (
            cls(weights, epochs)
            if all(bool(value.isfinite().all()) for value in weights.values())
            else None
        )


def fit(
    task: Task,
    params: PretrainParams,
    devices: Devices,
    name: str,
    keep: Keep | None = None,
    save_good: SaveGood | None = None,
    probe: Callable[[nn.Module], float] | None = None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train `task.network`; returns it (or its moving average, `params.weight_average`) with a row an epoch.

    With `keep` the state is saved every so often, and a state found there is gone on from: on a CPU the result is then, bit
    for bit, that of a training that was never interrupted.

    Args:
        task: what is trained.
        params: batch, epochs, schedule, optimiser, precision, tracker.
        name: of the progress bar.
        save_good: called with the network of the last epoch that left loss and weights finite, when a later one does not.
        probe: fills a column of the curves every `probe_every` epochs.

    Raises:
        UserError: the loss or the weights are not numbers, or processes that train together do not find the same state.
    """
    if devices.device.type == "cpu":
        keep_freed_memory()
    task.network = devices.with_global_statistics(task.network.to(devices.device).train())
    encoder = task.network.get_submodule("encoder")
    if compiled():
        encoder.compile()
    task.ready()
    optimiser = sgd(task.network, params, task.groups())
    average = _average_of(task.network, params.weight_average)
    generator = torch.Generator().manual_seed(params.seed)
    steps = steps_an_epoch(len(task.rows), params.batch)
    batch = params.batch
    if len(task.rows) < batch:
        batch = len(task.rows) // devices.world * devices.world
    curves: list[Epoch] = []
    at: Progress | None = None
    found = keep.load() if keep else None
    if keep and not devices.agree(
        found["at"]["epoch"] * steps + found["at"]["step"] if found else -1
    ):
        raise UserError(
            f"The processes see different states of this training in {keep.folder}; put it on a disk that all of them share "
            "(C2VL_HOME), or remove it."
        )
    if found:
        at, curves = _restore(found, task, optimiser, average, generator)
    wrapped = devices.wrap(task.network)
    own = [parameter for group in task.groups() for parameter in group["params"]]
    tracker = (
        make_tracker(params.tracker, keep.folder / LIVE, len(curves))
        if keep and devices.main
        else NoTracker()
    )
    good = LastGood.of(task.network, len(curves)) if not found else LastGood(**found["good"])

    first = at.epoch if at else 0
    done = first * steps + (at.step if at else 0)
    with (
        closing(tracker),
        meter(params.epochs * steps * batch, name, "clips", done * batch, devices.main) as bar,
    ):
        for epoch in range(first, params.epochs):
            bar.set_postfix_str(
                ", ".join([f"epoch {epoch + 1}/{params.epochs}", *told(curves)]), refresh=False
            )
            task.begin_epoch(epoch)
            if at is None:
                at = Progress(epoch, 0, shuffled(task.rows, generator), None)
            while at.step < steps:
                set_rate(optimiser, rate_at(epoch, at.step, steps, params))
                chosen = at.order[at.step * batch : (at.step + 1) * batch]
                optimiser.zero_grad()
                seed = _step_seed(params.seed, epoch * steps + at.step)
                seen = backward(
                    task,
                    wrapped,
                    devices,
                    chosen,
                    generator,
                    seed,
                    params.precision,
                    params.micro_batch,
                )
                for parameter in own:
                    if parameter.grad is not None:
                        devices.average(parameter.grad)
                optimiser.step()
                task.after_step()
                if average is not None:
                    average.update_parameters(task.network)
                at.sums = seen if at.sums is None else at.sums + seen
                at.step += 1
                bar.update(batch)
                if keep and devices.main and keep.due() and bool(at.sums.isfinite().all()):
                    keep.save(_state(at, task, optimiser, average, generator, curves, good))
            assert at.sums is not None
            task.after_epoch()
            means = (at.sums / steps).tolist()
            now = LastGood.of(task.network, epoch + 1)
            if now is None or not math.isfinite(means[0]):
                lost = f"weights are not numbers after epoch {epoch + 1}"
                if not math.isfinite(means[0]):
                    lost = f"loss is not a number in epoch {epoch + 1}"
                raise UserError(
                    _lost(task, lost, good, curves, save_good if devices.main else None)
                )
            good = now
            row = task.row(epoch, rate_at(epoch, steps - 1, steps, params), means)
            if probe and devices.main and _due(epoch, params):
                row = replace(row, probe=probe(encoder))
            curves.append(row)
            tracker.log(row)
            at = None
        bar.set_postfix_str(", ".join([f"epoch {params.epochs}/{params.epochs}", *told(curves)]))
    if (
        keep and devices.main and first < params.epochs
    ):  # done: who starts again before the result is published goes on from here
        ended = Progress(params.epochs, 0, torch.empty(0, dtype=torch.int64), None)
        keep.save(_state(ended, task, optimiser, average, generator, curves, good))
    devices.wait()
    return (average.module if average is not None else task.network), curves


def _step_seed(seed: int, step: int) -> int:
    return hash((seed, step))  # of integers: the same in every process and run


def _due(epoch: int, params: PretrainParams) -> bool:
    every = params.probe_every
    return bool(every) and ((epoch + 1) % every == 0 or epoch + 1 == params.epochs)


def _average_of(network: nn.Module, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _state(
    at: Progress,
    task: Task,
    optimiser: torch.optim.Optimizer,
    average: AveragedModel | None,
    generator: torch.Generator,
    curves: list[Epoch],
    good: LastGood | None,
) -> dict[str, Any]:
    return {
        "at": {"epoch": at.epoch, "step": at.step, "order": at.order, "sums": at.sums},
        "network": task.network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "task": task.state(),
        "average": average.state_dict() if average is not None else None,
        "generator": generator.get_state(),
        "curves": [asdict(row) for row in curves],
        "good": asdict(good) if good else None,
    }


def _restore(
    state: dict[str, Any],
    task: Task,
    optimiser: torch.optim.Optimizer,
    average: AveragedModel | None,
    generator: torch.Generator,
) -> tuple[Progress, list[Epoch]]:
    task.network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    task.restore(state["task"])
    if average is not None:
        average.load_state_dict(state["average"])
    generator.set_state(state["generator"])
    at = Progress(**state["at"])
    if at.sums is not None:
        at.sums = at.sums.to(next(task.network.parameters()).device)
    return at, [Epoch(**row) for row in state["curves"]]


def _lost(
    task: Task, lost: str, good: LastGood | None, curves: list[Epoch], save_good: SaveGood | None
) -> str:
    """The sentence for a loss or weights that are not numbers; writes the last good network."""
    kept = ""
    if save_good and good and good.epochs:
        task.network.load_state_dict(good.weights)
        folder = save_good(task.network, curves[: good.epochs])
        kept = f" (the encoder as it was after epoch {good.epochs} is kept in {folder})"
    return f"The {task.what} {lost}{kept}; {task.advice}"
