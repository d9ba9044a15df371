"""AdamW beside SGD, and warnings of trainings that end without a result worth having."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import BENCHMARK, CLASSES, PARAMS, write_data
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.params import load_section
from c2vl.models.clips import Clips, load_clips
from c2vl.models.prompt_features import Prompts, load_prompts
from c2vl.training.advice import collapse, warn_of_large_batch
from c2vl.training.curves import Epoch
from c2vl.training.finetuning.finetune_params import FinetuneParams
from c2vl.training.finetuning.trainings import params_of_run
from c2vl.training.keep import STATE, Keep
from c2vl.training.methods import Trained, train
from c2vl.training.optimisers import make_optimiser
from c2vl.training.pretrain import pretrain
from c2vl.training.schedule import sgd
from c2vl.training.training_params import BaselinesParams, PretrainParams

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.arange(100) % 4
ADAMW = PARAMS.model_copy(update={"optimiser": "adamw", "learning_rate": 0.003, "epochs": 4})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clips, Prompts]:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    clips = load_clips(root, BENCHMARK, "train", "cpu")
    return clips, load_prompts(root, clips.samples, PARAMS.objective.kinds, "cpu")


def trained(data: tuple[Clips, Prompts], params: PretrainParams) -> Trained:
    return train("c2vl", *data, CLASSES, BENCHMARK, "joint", params, BaselinesParams())


def curves(loss: float, fall: float = 0.0, **last: float) -> list[Epoch]:
    return [
        Epoch(epoch, 0.1, loss - fall * epoch, **(last if epoch == 9 else {}))
        for epoch in range(10)
    ]


@pytest.mark.parametrize("profile", ["demo", "small", "paper"])
def test_sgd_is_the_optimiser_of_every_profile(profile: str) -> None:
    path = ROOT / f"profiles/{profile}.yaml"
    params = load_section("pretrain", PretrainParams, path)
    network = nn.Linear(2, 2)
    made = make_optimiser(network, params)
    assert type(made) is torch.optim.SGD
    assert made.state_dict() == sgd(network, params).state_dict()
    assert load_section("finetune", FinetuneParams, path).optimiser == "sgd"


def test_adamw_has_the_rate_the_betas_and_the_groups() -> None:
    extra = [{"params": [nn.Parameter(torch.zeros(1))], "weight_decay": 0.0, "lr": 0.5}]
    made = make_optimiser(nn.Linear(2, 2), ADAMW, extra)  # type: ignore[arg-type]
    assert type(made) is torch.optim.AdamW
    network, temperature = made.param_groups
    assert (network["lr"], network["betas"]) == (0.003, (0.9, 0.999))
    assert network["weight_decay"] == ADAMW.weight_decay
    assert (temperature["lr"], temperature["weight_decay"]) == (0.5, 0.0)


def test_adamw_learns_and_gives_the_same_bits_again(data: tuple[Clips, Prompts]) -> None:
    one, again, usual = (trained(data, params) for params in (ADAMW, ADAMW, PARAMS))
    assert one.curves == again.curves and one.curves[-1].loss < one.curves[0].loss
    assert one.curves != usual.curves[:4]


def test_adamw_resumes_to_the_same_bits(data: tuple[Clips, Prompts], tmp_path: Path) -> None:
    clips, prompts = data
    params = ADAMW.model_copy(update={"tracker": "none"})

    class KilledError(Exception):
        pass

    class Kill(Keep):
        saves = 0

        def save(self, state) -> None:
            super().save(state)
            self.saves += 1
            if self.saves == 4:
                raise KilledError

    whole = pretrain(clips.skeletons, prompts, "joint", params)
    with pytest.raises(KilledError):
        pretrain(clips.skeletons, prompts, "joint", params, keep=Kill(tmp_path, "key", 0.0))
    assert (tmp_path / STATE).is_file()
    resumed = pretrain(clips.skeletons, prompts, "joint", params, keep=Keep(tmp_path, "key", 0.0))
    assert resumed.curves == whole.curves
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_a_protocol_has_an_optimiser_of_its_own() -> None:
    section = FinetuneParams.model_validate(
        {**load_section("finetune", FinetuneParams, ROOT / "profiles/demo.yaml").model_dump()}
    )
    assert params_of_run(ADAMW, section, 0).optimiser == "sgd"
    other = section.model_copy(update={"optimiser": "adamw"})
    assert params_of_run(PARAMS, other, 0).optimiser == "adamw"


def test_an_unknown_optimiser_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("pretrain: {optimiser: adam}\n")
    with pytest.raises(UserError, match=r"`pretrain.optimiser`"):
        load_section("pretrain", PretrainParams, tmp_path / "params.yaml")


# --- warnings ---


def test_a_constant_loss_and_a_probe_at_chance_are_a_collapse() -> None:
    found = collapse(curves(3.466, probe=0.27), LABELS)
    assert found == "its loss stayed at 3.466 and its probe at chance (27.0%, chance is 25.0%)"
    found = collapse(curves(1.386, accuracy=0.25), LABELS)
    assert found and "training accuracy at chance" in found
    assert collapse(curves(3.466), LABELS) == "its loss stayed at 3.466"


@pytest.mark.parametrize(
    "healthy",
    [
        curves(3.466, fall=0.01, probe=0.27),  # the loss falls
        curves(3.466, probe=0.9),  # the encoder tells the classes apart
        curves(3.466, accuracy=0.9, probe=0.2),
        curves(3.466, probe=0.25)[:2],  # too short to say
        [],
    ],
)
def test_other_trainings_are_not(healthy: list[Epoch]) -> None:
    assert collapse(healthy, LABELS) is None


def test_a_collapsed_training_says_so_and_what_to_try(
    data: tuple[Clips, Prompts], caplog: pytest.LogCaptureFixture
) -> None:
    # so high a temperature that no embedding matters
    hot = {"temperature": 1e4, "target_temperature": 1e4}
    objective = PARAMS.objective.model_copy(update=hot)
    still = PARAMS.model_copy(update={"epochs": 3, "objective": objective})
    clips, prompts = data
    same = replace(clips, labels=np.zeros_like(clips.labels))  # chance is 100 %
    with caplog.at_level(logging.WARNING):
        trained((same, prompts), still)
    (said,) = [text for text in caplog.messages if "collapsed" in text]
    assert said.startswith(f"c2vl {BENCHMARK}-joint collapsed: its loss stayed at ")
    assert "Try a lower `pretrain.learning_rate`" in said and "params.yaml" in said


def test_a_training_that_learns_says_nothing(
    data: tuple[Clips, Prompts], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trained(data, PARAMS)
    assert not caplog.messages


def test_a_batch_larger_than_the_data_is_said(
    data: tuple[Clips, Prompts], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trained(data, PARAMS.model_copy(update={"batch": 400, "epochs": 1}))
        warn_of_large_batch("x", 16, 16)
    (said,) = caplog.messages
    assert "`batch` is 400, but there are only 46 clips" in said
