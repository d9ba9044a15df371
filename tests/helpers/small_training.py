"""A training of a few seconds for tests, and a way to interrupt it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from synthetic import BENCHMARK, CLASSES

from c2vl.models.clips import Clips
from c2vl.models.prompt_features import Prompts
from c2vl.training.devices import Devices
from c2vl.training.methods import Trained, train
from c2vl.training.pretrain import Pretraining
from c2vl.training.step import backward
from c2vl.training.training_params import BaselinesParams, PretrainParams

PARAMS = PretrainParams.model_validate(
    {
        "encoder": {"width": 4, "blocks": 3, "persons": "present", "dropout": 0.2},
        "view": {"frames": 8, "shortest": 8},
        "batch": 16,
        "epochs": 3,
        "warmup_epochs": 1,
        "milestones": [2],
        "probe_every": 2,
        "tracker": "none",
        "objective": {"temperature": 0.3},
    }
)


STEPS = 2  # an epoch: 46 clips in batches of 16


def run(
    clips: Clips,
    prompts: Prompts,
    params: PretrainParams,
    folder: Path | None = None,
    method="c2vl",
) -> Trained:
    baselines = BaselinesParams.model_validate(
        {"supervised": {"epochs": params.epochs, "milestones": [2]}}
    )
    return train(method, clips, prompts, CLASSES, BENCHMARK, "joint", params, baselines, folder)


def assert_same(one: Trained, other: Trained) -> None:
    state = other.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in one.network.state_dict().items())
    assert one.curves == other.curves


class Killed(BaseException):
    """As abrupt as an exception can be."""


def interrupt(monkeypatch: pytest.MonkeyPatch, task: type, after: int) -> None:
    """Stop the training in its `after`-th optimiser step (from 1), before the state is saved."""
    counter, original = itertools.count(1), task.after_step

    def after_step(self) -> None:
        original(self)
        if next(counter) == after:
            raise Killed

    monkeypatch.setattr(task, "after_step", after_step)


def pretraining(clips: Clips, prompts: Prompts, **objective) -> Pretraining:
    torch.manual_seed(0)
    changes = {"objective": PARAMS.objective.model_copy(update=objective)}
    task = Pretraining(clips.skeletons, prompts, "joint", PARAMS.model_copy(update=changes))
    task.ready()
    task.begin_epoch(1)
    return task


def gradients(
    task: Pretraining, rows: torch.Tensor, **how
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    seen = backward(
        task, task.network, Devices("cpu"), rows, torch.Generator().manual_seed(3), seed=5, **how
    )
    temperature = task.objective.temperature.log
    named = {**dict(task.network.named_parameters()), "temperature": temperature}
    return seen, {name: value.grad for name, value in named.items() if value.grad is not None}
