"""What a training does: the last good network, the tracker, averages, precision, temperature."""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
import sys
from types import SimpleNamespace

import pytest
import torch
from small_training import (
    PARAMS,
    STEPS,
    Killed,
    interrupt,
    pretraining,
    run,
)
from synthetic import CLASSES
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.heap import VARIABLES
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.encoders.settings import TWO_CORES
from c2vl.training import loop
from c2vl.training.checkpoint import load_checkpoint
from c2vl.training.curves import as_text
from c2vl.training.devices import Devices
from c2vl.training.environment import compiled, save_seconds, threads
from c2vl.training.keep import LAST_GOOD, LIVE
from c2vl.training.loop import fit
from c2vl.training.objective.embeddings import AlignedEncoder
from c2vl.training.pretrain import Pretraining
from c2vl.training.schedule import sgd
from c2vl.training.supervised import ClassifyingEncoder, SupervisedTraining

pytestmark = pytest.mark.usefixtures("one_thread")


def test_when_the_loss_is_lost_the_last_good_network_is_kept_and_named(
    tmp_path, monkeypatch, clips, prompts
) -> None:
    good = run(clips, prompts, PARAMS.model_copy(update={"epochs": 1, "warmup_epochs": 1}))
    begin = Pretraining.begin_epoch

    def diverge(self, epoch: int) -> None:
        begin(self, epoch)
        if epoch == 1:
            self.network.skeleton_head.weight.data[0, 0] = float("nan")

    monkeypatch.setattr(Pretraining, "begin_epoch", diverge)
    params = PARAMS.model_copy(
        update={"objective": PARAMS.objective.model_copy(update={"alpha_end": 0.9})}
    )
    with pytest.raises(
        UserError,
        match=rf"epoch 2 \(.* after epoch 1 is kept in .*{LAST_GOOD}\); "
        "lower .pretrain.learning_rate",
    ):
        run(clips, prompts, params, tmp_path)
    kept = load_checkpoint(tmp_path / LAST_GOOD)
    for name, value in good.network.state_dict().items():
        torch.testing.assert_close(kept.network.state_dict()[name], value, rtol=0, atol=0)


def test_weights_lost_in_the_very_last_step_are_not_published(
    tmp_path, monkeypatch, clips, prompts
) -> None:
    """No later loss would tell."""
    params = PARAMS.model_copy(update={"epochs": 2})
    after = Pretraining.after_step
    counter = itertools.count(1)

    def lose(self) -> None:
        after(self)
        if next(counter) == params.epochs * STEPS:
            self.network.skeleton_head.weight.data[0, 0] = float("inf")

    monkeypatch.setattr(Pretraining, "after_step", lose)
    with pytest.raises(
        UserError,
        match=r"weights are not numbers after epoch 2 "
        rf"\(.* after epoch 1 is kept in .*{LAST_GOOD}\)",
    ):
        run(clips, prompts, params, tmp_path)
    assert all(
        value.isfinite().all()
        for value in load_checkpoint(tmp_path / LAST_GOOD).network.state_dict().values()
    )


def test_the_bar_tells_what_a_collapse_would_show(capsys, clips, prompts) -> None:
    """Also without a tracker, and the last probe until there is another."""
    curves = run(clips, prompts, PARAMS).curves
    last, probe = curves[-1], curves[1].probe
    assert probe is not None
    shown = f"epoch 3/3, loss {last.loss:.3g}, temperature 0.3, diagonal {last.diagonal:.3g}, "
    shown += f"entropy {last.entropy:.3g}, probe "
    assert shown in capsys.readouterr().err
    assert as_text([*curves[:2], dataclasses.replace(last, probe=None)])[-1] == f"probe {probe:.3g}"


def test_dvclive_gets_the_curves_also_of_a_resumed_run(
    tmp_path, monkeypatch, clips, prompts
) -> None:
    pytest.importorskip("dvclive")
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    params = PARAMS.model_copy(update={"tracker": "dvclive"})
    with monkeypatch.context() as patch:
        interrupt(patch, Pretraining, 4)
        with pytest.raises(Killed):
            run(clips, prompts, params, tmp_path)
    curves = run(clips, prompts, params, tmp_path).curves
    lines = (tmp_path / LIVE / "plots/metrics/loss.tsv").read_text().split("\n")
    rows = dict(line.split("\t") for line in lines[1:] if line)
    assert {int(epoch): float(loss) for epoch, loss in rows.items()} == {
        row.epoch: row.loss for row in curves
    }
    assert json.loads((tmp_path / LIVE / "metrics.json").read_text())["loss"] == curves[-1].loss


def test_the_tracker_is_closed_when_a_training_ends_badly(
    tmp_path, monkeypatch, clips, prompts
) -> None:
    """Otherwise the curves it has not written yet would be lost."""
    calls: list[str] = []
    tracker = SimpleNamespace(
        log=lambda row: calls.append("log"), close=lambda: calls.append("close")
    )
    monkeypatch.setattr(loop, "make_tracker", lambda *_: tracker)
    interrupt(monkeypatch, Pretraining, 3)
    with pytest.raises(Killed):
        run(clips, prompts, PARAMS, tmp_path)
    assert calls == ["log", "close"]


def test_a_missing_tracker_is_one_sentence(tmp_path, monkeypatch, clips, prompts) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        run(clips, prompts, PARAMS.model_copy(update={"tracker": "tensorboard"}), tmp_path)


def test_the_average_of_the_weights_is_the_moving_one(clips, prompts, monkeypatch) -> None:
    params = PARAMS.model_copy(update={"weight_average": 0.75})
    seen: list[dict[str, torch.Tensor]] = []
    after = Pretraining.after_step

    def record(self) -> None:
        after(self)
        seen.append({name: value.clone() for name, value in self.network.state_dict().items()})

    monkeypatch.setattr(Pretraining, "after_step", record)
    averaged = run(clips, prompts, params).network.state_dict()
    assert len(seen) == params.epochs * STEPS
    for name in ("skeleton_head.weight", "encoder.input_norm.running_mean"):
        expected = seen[0][name]
        for step in seen[1:]:
            expected = 0.75 * expected + 0.25 * step[name]
        torch.testing.assert_close(averaged[name], expected)


def test_bf16_keeps_the_weights_in_fp32_and_the_loss_near(clips, prompts) -> None:
    full, half = (
        run(clips, prompts, PARAMS.model_copy(update={"precision": kind}))
        for kind in ("fp32", "bf16")
    )
    assert {
        value.dtype for value in half.network.state_dict().values() if value.is_floating_point()
    } == {torch.float32}
    assert half.curves[0].loss != full.curves[0].loss
    assert half.curves[0].loss == pytest.approx(full.curves[0].loss, rel=0.02)


@pytest.mark.parametrize("teacher", ["epoch", "ema"])
def test_a_teacher_normalises_by_the_batch_as_the_student_does(
    teacher: str, clips, prompts
) -> None:
    """By running statistics its targets would be of another distribution than the logits."""
    task = pretraining(clips, prompts, teacher=teacher)
    task.after_epoch()
    for module in task.network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()  # a teacher has none
    inputs = task.inputs(prompts.usable()[:16], slice(0, 16), torch.Generator().manual_seed(3))
    outputs = task.outputs(task.network, inputs)
    torch.testing.assert_close(task.constants(inputs, outputs), outputs.detach())


def test_the_average_of_a_teacher_follows_every_step_of_a_training(clips, prompts) -> None:
    objective = PARAMS.objective.model_copy(update={"teacher": "ema", "ema_decay": 0.75})
    params = PARAMS.model_copy(update={"objective": objective, "epochs": 2})

    class Followed(Pretraining):
        def after_step(self) -> None:
            if not hasattr(self, "expected"):
                self.expected = start
            super().after_step()
            self.expected = 0.75 * self.expected + 0.25 * self.network.skeleton_head.weight.detach()

    task = Followed(clips.skeletons, prompts, "joint", params)
    start = task.network.skeleton_head.weight.detach().clone()
    fit(task, params, Devices("cpu"), "followed")
    torch.testing.assert_close(task.teacher.network.skeleton_head.weight, task.expected)
    assert not torch.equal(task.expected, task.network.skeleton_head.weight)


def test_a_learnt_temperature_has_its_own_rate_and_no_decay(clips, prompts) -> None:
    task = pretraining(clips, prompts, learnable_temperature=True, temperature_rate=0.005)
    groups = sgd(task.network, task.params, task.groups()).param_groups
    assert len(groups) == 2
    assert groups[1]["params"] == [task.objective.temperature.log]
    assert (groups[1]["weight_decay"], groups[1]["lr"], groups[1]["fixed_rate"]) == (
        0.0,
        0.005,
        True,
    )
    assert groups[0]["weight_decay"] == PARAMS.weight_decay


def test_a_step_leaves_a_learnt_temperature_within_bounds(clips, prompts) -> None:
    """Beyond them it would have no gradient and never come back."""
    task = pretraining(clips, prompts, learnable_temperature=True)
    task.objective.temperature.log.data.fill_(-100.0)
    task.after_step()
    task.objective.temperature().backward()
    assert task.objective.temperature().item() == pytest.approx(0.01)
    assert task.objective.temperature.log.grad.item() > 0


def test_compiled_encoders_keep_their_names(monkeypatch, clips) -> None:
    """Only the call is compiled; the checkpoint must not show it."""
    called = []
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, *a, **k: called.append(type(self).__name__)
    )
    monkeypatch.setenv("C2VL_COMPILE", "1")
    network = ClassifyingEncoder(build_encoder(PARAMS.encoder), CLASSES)
    names = list(network.state_dict())
    params = PARAMS.model_copy(update={"epochs": 1})
    trained, _ = fit(
        SupervisedTraining(network, clips.skeletons, clips.labels, "joint", params),
        params,
        Devices("cpu"),
        "x",
    )
    assert called == ["STGCN"]
    assert list(trained.state_dict()) == names


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        *[("C2VL_SAVE_SECONDS", value, save_seconds) for value in ("soon", "nan", "-1")],
        *[("C2VL_COMPILE", value, compiled) for value in ("true", "yes")],
        *[("C2VL_THREADS", value, threads) for value in ("0", "all")],
    ],
)
def test_a_setting_of_the_machine_that_says_nothing_is_not_ignored(
    name: str, value: str, read, monkeypatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"{name} must be .*'{value}'"):
        read()


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux's C library has this setting"
)
def test_a_training_on_a_cpu_does_not_fetch_the_same_memory_from_the_system_in_every_step(
    monkeypatch, clips
) -> None:
    import resource

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    faults: list[int] = []

    class Counted(SupervisedTraining):
        def after_step(self) -> None:
            faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

    params = PARAMS.model_copy(
        update={
            "encoder": TWO_CORES["transformer"],
            "view": PARAMS.view.model_copy(update={"frames": 16}),
            "batch": 40,
            "epochs": 24,
        }
    )
    network = ClassifyingEncoder(build_encoder(params.encoder), CLASSES)
    fit(
        Counted(network, clips.skeletons, clips.labels, "joint", params),
        params,
        Devices("cpu"),
        "counted",
    )
    steps = [after - before for before, after in itertools.pairwise(faults)]
    assert statistics.median(steps[8:]) < 100  # pages; hundreds and more as the C library comes


def test_heads_stay_in_fp32_under_autocast() -> None:
    class Half(nn.Module):
        features = 4

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.bfloat16()

    network = AlignedEncoder(Half(), {"vision": 3}, 5)
    with torch.autocast("cpu", torch.bfloat16):
        made = network(torch.randn(2, 4), {"vision": torch.randn(2, 3)})
    assert made.skeleton.dtype == made.prompts["vision"].dtype == torch.float32
