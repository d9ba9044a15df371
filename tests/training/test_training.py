"""Training on a small synthetic data set: it learns, and repeats itself to the byte."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import BENCHMARK, CLASSES, PARAMS, K

from c2vl.core.errors import UserError
from c2vl.models.clips import Clips, load_clips
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.prompt_features import Prompts, load_prompts
from c2vl.training.checkpoint import load_checkpoint, save_checkpoint
from c2vl.training.devices import Devices
from c2vl.training.loop import fit
from c2vl.training.methods import Trained, random_encoder, train
from c2vl.training.pretrain import pretrain
from c2vl.training.schedule import rate_at, steps_an_epoch
from c2vl.training.supervised import ClassifyingEncoder, SupervisedTraining
from c2vl.training.training_params import BaselinesParams, SupervisedParams

pytestmark = pytest.mark.usefixtures("one_thread")


def run(method, clips: Clips, prompts: Prompts | None, **changes) -> Trained:
    params = PARAMS.model_copy(update=changes)
    baselines = BaselinesParams(
        supervised=SupervisedParams(epochs=12, learning_rate=0.1, milestones=[10])
    )
    return train(method, clips, prompts, CLASSES, BENCHMARK, "joint", params, baselines)


def test_splits_and_missing_rows(data: Path, clips: Clips, prompts: Prompts) -> None:
    test = load_clips(data, BENCHMARK, "test", "cpu")
    assert (len(clips), len(test)) == (47, 16)  # 48 train samples, one without a skeleton
    assert not set(clips.samples) & set(test.samples)
    assert [sample[-4:] for sample in clips.samples] == [
        f"A{label + 1:03d}" for label in clips.labels
    ]
    assert prompts.valid.shape == (47, K)
    assert prompts.valid[0].tolist() == [False] * K  # sample 1
    assert prompts.valid[1].tolist() == [
        True,
        False,
        True,
    ]  # sample 2: language k = 1 missing closes vision k = 1 too
    assert len(prompts.usable()) == 46
    only_vision = load_prompts(data, clips.samples, ("vision",), "cpu")
    assert only_vision.valid[1].all()


def test_prompts_of_a_step_are_valid_ones_of_the_same_k(prompts: Prompts) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.ones(200, dtype=torch.int64)
    taken = prompts.take(rows, "random", generator)
    unit = {
        kind: torch.nn.functional.normalize(x[torch.arange(K, 2 * K)].float(), dim=1)
        for kind, x in prompts.features.items()
    }
    chosen = {kind: torch.cdist(taken[kind], unit[kind]).argmin(1) for kind in taken}
    assert torch.equal(chosen["vision"], chosen["language"])
    assert set(chosen["vision"].tolist()) == {0, 2}
    assert 60 < int((chosen["vision"] == 0).sum()) < 140
    mean = torch.nn.functional.normalize((unit["vision"][0] + unit["vision"][2]) / 2, dim=0)
    torch.testing.assert_close(prompts.take(rows[:1], "mean", generator)["vision"][0], mean)


def test_schedule() -> None:
    params = PARAMS.model_copy(
        update={"warmup_epochs": 2, "milestones": [4, 6], "learning_rate": 0.5}
    )
    rates = [rate_at(epoch, step, 4, params) for epoch in range(8) for step in range(4)]
    assert rates[:8] == pytest.approx([0.5 * step / 8 for step in range(1, 9)])
    assert rates[8:16] == [0.5] * 8
    assert rates[16] == pytest.approx(0.05)
    assert rates[-1] == pytest.approx(0.005)


class Recorded(SupervisedTraining):
    """Training that remembers which clips it was fed."""

    def inputs(self, rows, own, generator):
        self.seen = [*getattr(self, "seen", []), rows.tolist()]
        return super().inputs(rows, own, generator)


@pytest.mark.parametrize(("batch", "sizes"), [(10, [10] * 4), (64, [47])])
def test_an_epoch_is_whole_batches_of_different_clips(
    batch: int, sizes: list[int], clips: Clips
) -> None:
    params = PARAMS.model_copy(update={"batch": batch, "epochs": 2})
    network = ClassifyingEncoder(build_encoder(params.encoder), CLASSES)
    task = Recorded(network, clips.skeletons, clips.labels, "joint", params)
    fit(task, params, Devices("cpu"), "recorded")
    epochs = task.seen[: len(sizes)], task.seen[len(sizes) :]
    for epoch in epochs:
        assert [len(chosen) for chosen in epoch] == sizes
        assert len({row for chosen in epoch for row in chosen}) == sum(sizes)
    assert epochs[0] != epochs[1]
    assert steps_an_epoch(47, batch) == len(sizes)


@pytest.mark.parametrize("method", ["c2vl", "infonce", "supervised"])
def test_training_learns(method, clips: Clips, prompts: Prompts) -> None:
    curves = run(method, clips, prompts).curves
    assert curves[-1].loss < curves[0].loss * 0.97
    if method == "supervised":
        assert curves[-1].accuracy is not None
        assert curves[-1].accuracy > 0.8
    else:
        assert [epoch.epoch for epoch in curves if epoch.probe is not None] == [3, 6]
        assert curves[-1].probe is not None
        assert curves[-1].probe > 0.5  # chance 0.25
        assert curves[0].alpha == (0.9 if method == "c2vl" else 1.0)
        assert (curves[-1].diagonal == 1) == (method == "infonce")


def test_same_inputs_give_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, clips: Clips, prompts: Prompts
) -> None:
    written = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(99)  # what happened before does not matter
        torch.rand(len(written) + 1)
        trained = run("c2vl", clips, prompts, epochs=2, seed=seed)
        save_checkpoint(tmp_path / name, trained.network, trained.config, trained.curves)
        written.append(
            {file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())}
        )
    assert list(written[0]) == ["config.json", "curves.csv", "encoder.safetensors"]
    assert written[0] == written[1]
    assert written[0]["encoder.safetensors"] != written[2]["encoder.safetensors"]
    rows = list(csv.DictReader((tmp_path / "a" / "curves.csv").open()))
    assert rows[0]["accuracy"] == ""
    assert float(rows[1]["alpha"]) == pytest.approx(0.1)


@pytest.mark.parametrize("method", ["c2vl", "supervised", "random"])
def test_checkpoints_rebuild_the_network(
    method, tmp_path: Path, clips: Clips, prompts: Prompts
) -> None:
    trained = run(method, clips, prompts, epochs=1)
    save_checkpoint(tmp_path, trained.network, trained.config, trained.curves)
    again = load_checkpoint(tmp_path)
    x = torch.randn(3, 3, 16, 25, 2)
    torch.testing.assert_close(again.encoder(x), trained.network.encoder.eval()(x), rtol=0, atol=0)
    (tmp_path / "encoder.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="not an encoder"):
        load_checkpoint(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_checkpoint(tmp_path)


def test_the_probe_and_its_labels_change_nothing(clips: Clips, prompts: Prompts) -> None:
    """Pretraining takes no labels: with the probe, shuffled or not, and without: same weights."""
    params = PARAMS.model_copy(update={"epochs": 2, "probe_every": 1})
    weights = [pretrain(clips.skeletons, prompts, "joint", params).network.state_dict()]
    for labels in (clips.labels, np.roll(clips.labels, 5)):
        shuffled = Clips(clips.samples, labels, clips.skeletons)
        trained = train(
            "c2vl", shuffled, prompts, CLASSES, BENCHMARK, "joint", params, BaselinesParams()
        )
        weights.append(trained.network.state_dict())
    assert trained.curves[0].probe is not None
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
        assert torch.equal(value, weights[2][name])


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": "epoch"},
        {"teacher": "ema"},
        {"learnable_temperature": True},
        {"knowledge": "language"},
    ],
)
def test_teachers_and_temperature_train(changes: dict, data: Path, clips: Clips) -> None:
    objective = PARAMS.objective.model_copy(update=changes)
    given = load_prompts(data, clips.samples, objective.kinds, "cpu")
    curves = run("c2vl", clips, given, epochs=3, objective=objective).curves
    base = run(
        "c2vl", clips, load_prompts(data, clips.samples, ("vision", "language"), "cpu"), epochs=3
    ).curves
    assert curves[-1].loss != base[-1].loss
    assert (curves[-1].temperature == pytest.approx(0.3)) == (
        "learnable_temperature" not in changes
    )


def test_divergence_is_one_sentence(clips: Clips, prompts: Prompts) -> None:
    with pytest.raises(UserError, match=r"not a number in epoch \d.*learning_rate"):
        run("c2vl", clips, prompts, learning_rate=1e30, warmup_epochs=0)


def test_a_random_encoder_has_the_clips_statistics(clips: Clips) -> None:
    encoder = random_encoder(clips.skeletons, "joint", PARAMS)
    assert not encoder.training
    assert float(encoder.input_norm.running_mean.abs().max()) > 1e-3
    again = random_encoder(clips.skeletons, "joint", PARAMS)
    assert all(
        torch.equal(a, b)
        for a, b in zip(encoder.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_missing_tables_are_one_sentence(tmp_path: Path, data: Path, clips: Clips) -> None:
    with pytest.raises(UserError, match=r"index\.parquet"):
        load_clips(tmp_path, BENCHMARK, "train", "cpu")
    with pytest.raises(UserError, match="xview"):
        load_clips(data, "xview", "train", "cpu")
    with pytest.raises(UserError, match="no usable prompt"):
        load_prompts(data, ["S009C001P001R001A001"], ("vision",), "cpu")
