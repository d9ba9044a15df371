"""The training loop. `state.py` holds what it resumes from, `step.py` the gradient of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from c2vl.core.errors import UserError
from c2vl.core.heap import keep_freed_memory
from c2vl.core.progress import meter
from c2vl.training.curves import Epoch, as_text
from c2vl.training.devices import Devices
from c2vl.training.environment import compiled
from c2vl.training.keep import LIVE, Keep
from c2vl.training.optimisers import make_optimiser
from c2vl.training.schedule import rate_at, set_rate, shuffled, steps_an_epoch
from c2vl.training.state import LastGood, Progress, TrainingState
from c2vl.training.step import backward
from c2vl.training.task import Task
from c2vl.training.tracking import NoTracker, make_tracker
from c2vl.training.training_params import PretrainParams

SaveGood = Callable[[nn.Module, list[Epoch]], Path]
"""Writes a network with its curves somewhere and returns where."""


def fit(
    task: Task,
    params: PretrainParams,
    devices: Devices,
    name: str,
    keep: Keep | None = None,
    save_good: SaveGood | None = None,
    probe: Callable[[nn.Module], float] | None = None,
) -> tuple[nn.Module, list[Epoch]]:
    """Train `task.network`; return it, or its moving average, with a row an epoch.

    With `keep`, the state is saved regularly, and a saved state is resumed. On a CPU, the result is
    bit for bit that of a training that was never interrupted.

    Args:
        task: what is trained.
        params: batch, epochs, schedule, optimiser, precision, tracker.
        devices: the processes that train together.
        name: of the progress bar.
        keep: where the state is saved; None: nowhere.
        save_good: writes the last good network when the loss or the weights are not finite.
        probe: fills a column of the curves every `probe_every` epochs.

    Raises:
        UserError: the loss or the weights are not finite, or processes that train together do not
            find the same state.
    """
    if devices.device.type == "cpu":
        keep_freed_memory()
    task.network = devices.with_global_statistics(task.network.to(devices.device).train())
    encoder = task.network.get_submodule("encoder")
    if compiled():
        encoder.compile()
    task.ready()
    steps = steps_an_epoch(len(task.rows), params.batch)
    batch = params.batch
    if len(task.rows) < batch:
        batch = len(task.rows) // devices.world * devices.world

    state = TrainingState(
        task,
        optimiser=make_optimiser(task.network, params, task.groups()),
        average=_average_of(task.network, params.weight_average),
        generator=torch.Generator().manual_seed(params.seed),
    )
    resumed = _resume(state, keep, devices, steps)
    if not resumed:
        state.good = LastGood.of(task.network, 0)
    first, done = (state.at.epoch, state.at.step) if state.at else (0, 0)
    network = devices.wrap(task.network)
    extra = [parameter for group in task.groups() for parameter in group["params"]]
    tracker = (
        make_tracker(params.tracker, keep.folder / LIVE, len(state.curves))
        if keep and devices.main
        else NoTracker()
    )
    clips = (params.epochs * steps * batch, (first * steps + done) * batch)  # in all, done
    with closing(tracker), meter(clips[0], name, "clips", clips[1], devices.main) as bar:
        for epoch in range(first, params.epochs):
            bar.set_postfix_str(_postfix(epoch + 1, params, state.curves), refresh=False)
            task.begin_epoch(epoch)
            if state.at is None:
                state.at = Progress(epoch, 0, shuffled(task.rows, state.generator), None)
            at = state.at

            while at.step < steps:
                set_rate(state.optimiser, rate_at(epoch, at.step, steps, params))
                rows = at.order[at.step * batch : (at.step + 1) * batch]
                seed = _step_seed(params.seed, epoch * steps + at.step)
                state.optimiser.zero_grad()
                seen = backward(
                    task,
                    network,
                    devices,
                    rows,
                    state.generator,
                    seed,
                    params.precision,
                    params.micro_batch,
                )
                for parameter in extra:
                    if parameter.grad is not None:
                        devices.average(parameter.grad)
                state.optimiser.step()
                task.after_step()
                if state.average is not None:
                    state.average.update_parameters(task.network)
                at.sums = seen if at.sums is None else at.sums + seen
                at.step += 1
                bar.update(batch)
                if keep and devices.main and keep.due() and bool(at.sums.isfinite().all()):
                    keep.save(state.dump())

            task.after_epoch()
            assert at.sums is not None
            means = (at.sums / steps).tolist()
            good = LastGood.of(task.network, epoch + 1)
            if good is None or not math.isfinite(means[0]):
                raise UserError(_lost(state, means[0], save_good if devices.main else None))
            row = task.row(epoch, rate_at(epoch, steps - 1, steps, params), means)
            if probe and devices.main and _due(epoch, params):
                row = replace(row, probe=probe(encoder))
            tracker.log(row)
            state.good, state.at = good, None
            state.curves.append(row)
        bar.set_postfix_str(_postfix(params.epochs, params, state.curves))

    if keep and devices.main and first < params.epochs:
        # A run that is killed before its result is published resumes here and has nothing to do.
        state.at = Progress(params.epochs, 0, torch.empty(0, dtype=torch.int64), None)
        keep.save(state.dump())
    devices.wait()
    average = state.average
    return (average.module if average is not None else task.network), state.curves


def _resume(state: TrainingState, keep: Keep | None, devices: Devices, steps: int) -> bool:
    """Restore the saved state; return True if there was one.

    Raises:
        UserError: the processes find different ones.
    """
    found = keep.load() if keep else None
    done = found["at"]["epoch"] * steps + found["at"]["step"] if found else -1
    if keep and not devices.agree(done):
        raise UserError(
            f"The processes see different states of this training in {keep.folder}; "
            "put it on a disk that all of them share (C2VL_HOME), or remove it."
        )
    if found:
        state.restore(found)
    return found is not None


def _step_seed(seed: int, step: int) -> int:
    return hash((seed, step))  # of integers: the same in every process and run


def _due(epoch: int, params: PretrainParams) -> bool:
    every = params.probe_every
    return bool(every) and ((epoch + 1) % every == 0 or epoch + 1 == params.epochs)


def _average_of(network: nn.Module, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _postfix(epoch: int, params: PretrainParams, curves: list[Epoch]) -> str:
    return ", ".join([f"epoch {epoch}/{params.epochs}", *as_text(curves)])


def _lost(state: TrainingState, loss: float, save_good: SaveGood | None) -> str:
    """Return the message for a loss or weights that are not finite; write the last good network."""
    task, good = state.task, state.good
    epoch = len(state.curves) + 1
    lost = f"weights are not numbers after epoch {epoch}"
    if not math.isfinite(loss):
        lost = f"loss is not a number in epoch {epoch}"
    kept = ""
    if save_good and good and good.epochs:
        task.network.load_state_dict(good.weights)
        folder = save_good(task.network, state.curves[: good.epochs])
        kept = f" (the encoder as it was after epoch {good.epochs} is kept in {folder})"
    return f"The {task.what} {lost}{kept}; {task.advice}"
