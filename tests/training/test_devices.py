"""Several processes, small batches and data on the host give the same training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_training import (
    PARAMS,
    gradients,
    pretraining,
    run,
)
from synthetic import BENCHMARK

from c2vl.core.errors import UserError
from c2vl.models.clips import Clips, load_clips
from c2vl.models.prompt_features import Prompts, load_prompts
from c2vl.models.resident import Resident
from c2vl.models.views import test_view as view_of
from c2vl.training.devices import Devices
from c2vl.training.pretrain import Pretraining
from c2vl.training.step import backward
from c2vl.training.training_params import PretrainParams

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("name", "teacher"), [(None, "self"), (None, "ema"), ("two_views", "self")]
)
def test_small_batches_give_the_gradient_of_the_whole_batch(
    name: str | None, teacher: str, clips, prompts
) -> None:
    """BatchNorm frozen: its statistics are the small batch's by definition. Sizes 5, 5, 5, 1."""
    results = []
    for micro in (None, 5):
        task = pretraining(clips, prompts, name=name, teacher=teacher, learnable_temperature=True)
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
from test_devices import two_process_results
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
    views = params.objective.model_copy(update={"name": "two_views", "teacher": "self"})
    two = run(clips, prompts, params.model_copy(update={"objective": views}), out / "two views")
    results["two views"] = dict(two.network.state_dict())
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
        for name in ("trained", "two views"):
            for key, value in one[name].items():
                torch.testing.assert_close(
                    two[name][key], value, rtol=1e-3, atol=1e-3, msg=lambda m, k=key: f"{k}: {m}"
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
