"""A training that is killed anywhere ends as if it had not been killed."""

from __future__ import annotations

import itertools
import multiprocessing
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from small_training import (
    PARAMS,
    STEPS,
    Killed,
    assert_same,
    interrupt,
    run,
)
from synthetic import BENCHMARK

from c2vl.models.clips import Clips
from c2vl.models.ragged import RaggedSkeletons
from c2vl.training.keep import STATE, Keep, forget, read_state
from c2vl.training.key import Description, data_hash, supervised_params
from c2vl.training.pretrain import Pretraining
from c2vl.training.supervised import SupervisedTraining

pytestmark = pytest.mark.usefixtures("one_thread")


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
        assert "cannot be used (it is damaged" in printed and "training starts again" in printed
    assert_same(run(clips, prompts, params, tmp_path), run(clips, prompts, params))
    path.write_bytes(saved)
    assert Keep(tmp_path, key).load() is not None


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
