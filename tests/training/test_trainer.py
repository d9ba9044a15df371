"""The trainer: killed anywhere it ends as if it had not been; devices and batches agree."""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import runpy
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from synthetic import BENCHMARK, CLASSES, write_data
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.heap import VARIABLES
from c2vl.models.clips import Clips, load_clips
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.encoders.settings import TWO_CORES
from c2vl.models.prompt_features import Prompts, load_prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.resident import Resident
from c2vl.models.views import test_view as view_of
from c2vl.training import loop
from c2vl.training.checkpoint import load_checkpoint
from c2vl.training.curves import as_text
from c2vl.training.devices import Devices
from c2vl.training.environment import compiled, save_seconds, threads
from c2vl.training.keep import LAST_GOOD, LIVE, STATE, Keep, forget, read_state
from c2vl.training.key import Description, data_hash, supervised_params
from c2vl.training.loop import fit
from c2vl.training.methods import Trained, train
from c2vl.training.objective.embeddings import AlignedEncoder
from c2vl.training.pretrain import Pretraining
from c2vl.training.schedule import sgd
from c2vl.training.step import backward
from c2vl.training.supervised import ClassifyingEncoder, SupervisedTraining
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


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="module")
def clips(data: Path) -> Clips:
    return load_clips(data, BENCHMARK, "train", "cpu")


@pytest.fixture(scope="module")
def prompts(data: Path, clips: Clips) -> Prompts:
    return load_prompts(data, clips.samples, ("vision", "language"), "cpu")


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


VARIANTS = {
    "self": ("c2vl", {}),
    "epoch, learnt temperature": ("c2vl", {"teacher": "epoch", "learnable_temperature": True}),
    "ema": ("c2vl", {"teacher": "ema"}),
    "supervised": ("supervised", {}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_any_step_it_ends_bit_for_bit_as_if_uninterrupted(
    variant: str, tmp_path, monkeypatch, clips, prompts
):
    method, objective = VARIANTS[variant]
    params = PARAMS.model_copy(
        update={
            "objective": PARAMS.objective.model_copy(update=objective),
            "weight_average": 0.9 if method == "c2vl" else None,
        }
    )
    whole = run(clips, prompts, params, method=method)
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    task = SupervisedTraining if method == "supervised" else Pretraining
    steps = params.epochs * STEPS
    for after in range(1, steps + 1):
        folder = tmp_path / str(after)
        with monkeypatch.context() as patch:
            interrupt(patch, task, after)
            with pytest.raises(Killed):
                run(clips, prompts, params, folder, method)
        assert (folder / STATE).exists() == (after > 1)
        assert_same(run(clips, prompts, params, folder, method), whole)


def test_a_state_older_than_the_kill_is_good_too(tmp_path, monkeypatch, clips, prompts) -> None:
    """Saved after step 2, killed in step 5, resumed, killed in the next step again, resumed."""
    whole = run(clips, prompts, PARAMS)
    saves = itertools.count(1)
    monkeypatch.setattr(Keep, "due", lambda self: next(saves) == 2)
    for after in (5, 1):
        with monkeypatch.context() as patch:
            interrupt(patch, Pretraining, after)
            with pytest.raises(Killed):
                run(clips, prompts, PARAMS, tmp_path)
    assert read_state(tmp_path / STATE)[1]["at"]["step"] == 2
    assert_same(run(clips, prompts, PARAMS, tmp_path), whole)


def test_kill_nine_and_again(tmp_path: Path, monkeypatch, clips, prompts) -> None:
    """SIGKILL of a process at three moments; a fourth one ends with the uninterrupted weights."""
    params = PARAMS.model_copy(
        update={"epochs": 30, "objective": PARAMS.objective.model_copy(update={"teacher": "ema"})}
    )
    whole = run(clips, prompts, params)
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    state, steps = tmp_path / STATE, [0]
    for pause in (0.0, 0.013, 0.037):
        process = multiprocessing.get_context("fork").Process(
            target=run, args=(clips, prompts, params, tmp_path)
        )
        before = state.stat().st_mtime_ns if state.exists() else 0
        process.start()
        while process.is_alive() and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.002)
        time.sleep(pause)
        process.kill()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        at = read_state(state)[1]["at"]  # whole, whenever the kill fell
        steps.append(at["epoch"] * STEPS + at["step"])
    assert steps == sorted(set(steps))  # each went on where the one before was
    assert_same(run(clips, prompts, params, tmp_path), whole)


def test_a_state_of_other_params_data_or_no_state_at_all_is_not_resumed(
    tmp_path, monkeypatch, capsys, clips, prompts
) -> None:
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    params = PARAMS.model_copy(update={"epochs": 1})
    run(clips, prompts, params, tmp_path)
    kept = (tmp_path / STATE).read_bytes()
    for changed in (
        params.model_copy(update={"seed": 1}),
        params.model_copy(update={"learning_rate": 0.2}),
    ):
        (tmp_path / STATE).write_bytes(kept)
        assert_same(run(clips, prompts, changed, tmp_path), run(clips, prompts, changed))
    moved = clips.skeletons.joints.tensor.clone()
    moved[7] += 0.01
    frames = (
        torch.cat([clips.skeletons.starts[1:], torch.tensor([len(moved)])]) - clips.skeletons.starts
    )
    other = Clips(clips.samples, clips.labels, RaggedSkeletons(moved, frames))
    (tmp_path / STATE).write_bytes(kept)
    assert_same(run(other, prompts, params, tmp_path), run(other, prompts, params))
    (tmp_path / STATE).write_bytes(kept[:1000])
    assert_same(run(clips, prompts, params, tmp_path), run(clips, prompts, params))
    assert "cannot be used (it is damaged" in capsys.readouterr().err
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_key_tells_settings_dtype_shape_and_bytes_apart() -> None:
    x = torch.arange(6.0)

    def key(seed: int, tensor: torch.Tensor) -> str:
        params = supervised_params(PARAMS.model_copy(update={"seed": seed}), "joint")
        return Description("name", "supervised", params, data_hash([tensor]), {}).key

    cases = [(1, x), (2, x), (1, x + 1), (1, x.view(2, 3)), (1, x.half())]
    keys = [key(seed, tensor) for seed, tensor in cases]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key(1, x.clone())


def test_a_flipped_bit_anywhere_in_a_state_is_refused_with_a_sentence(
    tmp_path, monkeypatch, capsys, clips, prompts
) -> None:
    """Most places hold weights: without a checksum the training would end in another encoder."""
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    params = PARAMS.model_copy(update={"epochs": 2})
    with monkeypatch.context() as patch:
        interrupt(patch, Pretraining, 3)
        with pytest.raises(Killed):
            run(clips, prompts, params, tmp_path)
    path = tmp_path / STATE
    saved, (key, _) = path.read_bytes(), read_state(path)
    places = [0, 12, saved.index(b"\n"), *range(200, len(saved), len(saved) // 60), len(saved) - 1]
    for place in places:
        bent = bytearray(saved)
        bent[place] ^= 1 << place % 8
        path.write_bytes(bent)
        assert Keep(tmp_path, key).load() is None, place
        printed = capsys.readouterr().err
        assert "cannot be used (it is damaged" in printed and "training starts anew" in printed
    assert_same(run(clips, prompts, params, tmp_path), run(clips, prompts, params))
    path.write_bytes(saved)
    assert Keep(tmp_path, key).load() is not None


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


def test_baselines_killed_in_the_last_one_do_not_train_the_others_again(
    tmp_path, monkeypatch, data
) -> None:
    """DVC deletes the outputs of a killed stage before it runs the stage again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_SAVE_SECONDS", "0")
    monkeypatch.setattr(sys, "argv", ["baselines", BENCHMARK])
    (tmp_path / "data").symlink_to(data)
    sections = {
        "pretrain": PARAMS.model_dump(mode="json"),
        "baselines": {"supervised": {"epochs": 1, "milestones": []}},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(sections))
    stage = str(Path(__file__).resolve().parents[2] / "stages/baselines.py")
    with monkeypatch.context() as patch:
        interrupt(patch, SupervisedTraining, 1)
        with pytest.raises(Killed):
            runpy.run_path(stage, run_name="__main__")
    made = (tmp_path / f"results/baselines/{BENCHMARK}/infonce/encoder.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "results")
    trained_again: list[Pretraining] = []
    monkeypatch.setattr(Pretraining, "after_step", trained_again.append)
    runpy.run_path(stage, run_name="__main__")
    assert (
        tmp_path / f"results/baselines/{BENCHMARK}/infonce/encoder.safetensors"
    ).read_bytes() == made
    assert not trained_again
    assert not list((tmp_path / ".c2vl").rglob(STATE))


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


@pytest.mark.parametrize("teacher", ["self", "ema"])
def test_small_batches_give_the_gradient_of_the_whole_batch(teacher: str, clips, prompts) -> None:
    """BatchNorm frozen: its statistics are the small batch's by definition. Sizes 5, 5, 5, 1."""
    results = []
    for micro in (None, 5):
        task = pretraining(clips, prompts, teacher=teacher, learnable_temperature=True)
        task.network.eval()
        if teacher == "ema":
            task.teacher.network.eval()
        results.append(gradients(task, prompts.usable()[:16], micro_batch=micro))
    torch.testing.assert_close(results[0][0], results[1][0])
    assert results[0][1].keys() == results[1][1].keys() >= {"temperature"}
    for name, value in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], value, rtol=1e-4, atol=1e-5)


def test_small_batches_repeat_dropout_and_count_statistics_once(clips, prompts) -> None:
    """Against the same computed in one pass, part by part and with the same dropout."""
    task = pretraining(clips, prompts)
    seen, found = gradients(task, prompts.usable()[:16], micro_batch=8)
    assert int(task.network.encoder.input_norm.num_batches_tracked) == 2
    naive = pretraining(clips, prompts)
    generator = torch.Generator().manual_seed(3)
    inputs = naive.inputs(prompts.usable()[:16], slice(0, 16), generator)
    outputs = []
    for part in (0, 1):
        torch.manual_seed(hash((5, 0, part)) & (2**63 - 1))
        outputs.append(
            naive.outputs(naive.network, tuple(x[8 * part : 8 * part + 8] for x in inputs))
        )
    together = torch.cat(outputs)
    loss, _ = naive.loss(together, together.detach(), prompts.usable()[:16], generator)
    loss.backward()
    torch.testing.assert_close(seen[0], loss.detach())
    for name, value in naive.network.named_parameters():
        torch.testing.assert_close(found[name], value.grad, rtol=1e-4, atol=1e-5)


def test_gradient_accumulation_in_a_launcher_s_config_is_ignored(
    monkeypatch, clips, prompts
) -> None:
    """It would silently divide every gradient."""
    rows = prompts.usable()[:16]
    _, plain = gradients(pretraining(clips, prompts), rows)
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
        _, found = gradients(pretraining(clips, prompts), rows)
    Devices("cpu")  # accelerate remembers the last setting for the whole process
    torch.testing.assert_close(found, plain, rtol=0, atol=0)


WORKER = """
import sys; sys.path[:0] = [{tests!r}, {helpers!r}]
import torch; torch.set_num_threads(1)
from pathlib import Path
from test_trainer import two_process_results
two_process_results(Path({data!r}), Path({out!r}))
"""


def two_process_results(data: Path, out: Path) -> None:
    """What one process computes: a gradient in one pass and in small ones, and a training."""
    clips = load_clips(data, BENCHMARK, "train", "cpu")
    prompts = load_prompts(data, clips.samples, ("vision", "language"), "cpu")
    params = PARAMS.model_copy(
        update={"encoder": PARAMS.encoder.model_copy(update={"dropout": 0.0}), "epochs": 2}
    )
    objective = PARAMS.objective.model_copy(
        update={"teacher": "ema", "learnable_temperature": True}
    )
    params = params.model_copy(update={"objective": objective})
    devices = Devices("cpu")
    results = {}
    for name, micro in (("whole", None), ("small", 8 // devices.world)):
        torch.manual_seed(0)
        task = Pretraining(clips.skeletons, prompts, "joint", params)
        task.network = devices.with_global_statistics(task.network.train())
        task.ready()
        task.begin_epoch(1)
        if micro:
            task.network.eval()
            task.teacher.network.eval()
        wrapped = devices.wrap(task.network)
        seen = backward(
            task,
            wrapped,
            devices,
            prompts.usable()[:16],
            torch.Generator().manual_seed(3),
            5,
            "fp32",
            micro,
        )
        devices.average(task.objective.temperature.log.grad)
        found = {key: value.grad for key, value in task.network.named_parameters()}
        results[name] = {"seen": seen, "temperature": task.objective.temperature.log.grad, **found}
        results[name]["running"] = task.network.encoder.input_norm.running_var
    trained = run(clips, prompts, params, out / "state")
    results["trained"] = dict(trained.network.state_dict())
    results["refused"] = refused_without_a_shared_state(
        clips, prompts, params, out / f"own-{devices.rank}-of-{devices.world}"
    )
    torch.save(results, out / f"{devices.rank}-of-{devices.world}.pt")


def refused_without_a_shared_state(
    clips: Clips, prompts: Prompts, params: PretrainParams, folder: Path
) -> str:
    """The message where each process has a folder of its own: only the main one saves a state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("C2VL_SAVE_SECONDS", "0")
        run(clips, prompts, params, folder)
        try:
            run(clips, prompts, params, folder)
        except UserError as error:
            return str(error)
    return ""


@pytest.mark.slow
def test_two_processes_compute_the_loss_the_gradient_and_the_training_of_one(
    tmp_path: Path, data: Path
) -> None:
    two_process_results(data, tmp_path)
    here = Path(__file__).parent
    helpers = str(here.parent / "helpers")
    script = WORKER.format(tests=str(here), helpers=helpers, data=str(data), out=str(tmp_path))
    port = str(20000 + os.getpid() % 20000)
    processes = []
    for rank in ("0", "1"):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        environment = {
            **os.environ,
            **place,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True
            )
        )
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert "Warning" not in errors[0]
    one = torch.load(tmp_path / "0-of-1.pt", weights_only=True)
    assert one["refused"] == ""
    for rank in (0, 1):
        two = torch.load(tmp_path / f"{rank}-of-2.pt", weights_only=True)
        assert "C2VL_HOME" in two["refused"]
        for name in ("whole", "small"):
            assert one[name].keys() == two[name].keys()
            for key, value in one[name].items():
                torch.testing.assert_close(
                    two[name][key], value, rtol=1e-5, atol=1e-5, msg=lambda m, k=key: f"{k}: {m}"
                )
        for key, value in one["trained"].items():
            torch.testing.assert_close(
                two["trained"][key], value, rtol=1e-3, atol=1e-3, msg=lambda m, k=key: f"{k}: {m}"
            )


def test_a_batch_that_cannot_be_divided_is_one_sentence() -> None:
    three = SimpleNamespace(world=3, rank=1)
    assert Devices.share(three, 9) == slice(3, 6)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="400 clips cannot be divided among 3 processes"):
        Devices.share(three, 400)  # type: ignore[arg-type]


def test_data_left_on_the_host_give_the_same_batches(clips, prompts) -> None:
    """`cpu:0` is not the home of a tensor on `cpu`: rows then travel as they would to a GPU."""
    rows = torch.tensor([5, 3, 3, 40])
    here = view_of(clips.skeletons, rows, 8)
    taken = prompts.take(rows, "mean", torch.Generator())
    far = torch.device("cpu", 0)
    assert far != torch.device("cpu")
    residents = [clips.skeletons.joints, *prompts.features.values()]
    for resident in residents:
        resident.device = far
    try:
        torch.testing.assert_close(view_of(clips.skeletons, rows, 8), here, rtol=0, atol=0)
        for kind, value in prompts.take(rows, "mean", torch.Generator()).items():
            torch.testing.assert_close(value, taken[kind], rtol=0, atol=0)
    finally:
        for resident in residents:
            resident.device = torch.device("cpu")


def test_rows_of_the_only_gpu_are_taken_there(monkeypatch) -> None:
    """For torch `cuda` and `cuda:0` are two devices; `meta` stands in for the latter."""
    put = torch.Tensor.to
    monkeypatch.setattr("c2vl.models.resident.fits", lambda *_: True)
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda x, where, **how: put(x, "meta" if where == torch.device("cuda") else where, **how),
    )
    resident = Resident(torch.zeros(5, 3), "cuda")
    assert resident.device == resident.tensor.device
    rows = resident[torch.tensor([[0, 4], [2, 2]])]
    assert (rows.device.type, tuple(rows.shape)) == ("meta", (2, 2, 3))


def test_what_does_not_fit_stays_on_the_host_and_says_so(monkeypatch, capsys) -> None:
    import c2vl.models.resident

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    cuda = torch.device("cuda", 0)
    assert c2vl.models.resident.fits(500, cuda)
    assert not c2vl.models.resident.fits(501, cuda)
    assert c2vl.models.resident.fits(10**15, torch.device("cpu"))
    resident = Resident(torch.zeros(200, 3), cuda, "skeletons")
    assert resident.tensor.device.type == "cpu"
    assert "skeletons" in capsys.readouterr().err


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
