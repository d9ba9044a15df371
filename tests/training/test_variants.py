"""Variants of the objective for experiments: raw prompts, a linear scale, noise, the oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from synthetic import BENCHMARK, PARAMS, write_data
from torch import Tensor
from torch.nn.functional import normalize

from c2vl.core.errors import UserError
from c2vl.experiments.ablation.declared import Setting
from c2vl.models.clips import Clips
from c2vl.models.prompt_features import Prompts
from c2vl.training.methods import Trained, train
from c2vl.training.objective.embeddings import AlignedEncoder, Embeddings, Known
from c2vl.training.objective.make_objective import make_objective
from c2vl.training.objective.objective_params import ObjectiveParams
from c2vl.training.objective.oracle import Oracle
from c2vl.training.objective.partition import alpha_at
from c2vl.training.objective.teacher import EmaTeacher
from c2vl.training.objective.temperature import LinearTemperature
from c2vl.training.objective.two_views import TwoViewLoss
from c2vl.training.pretrain import Pretraining
from c2vl.training.stage import TrainingData, load_training
from c2vl.training.training_params import BaselinesParams, PretrainParams

B = 6


def units(seed: int, width: int = 5) -> Tensor:
    draws = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(B, width, generator=draws, dtype=torch.float64), dim=1)


def student() -> Embeddings:
    return Embeddings(units(0), {"vision": units(1), "language": units(2)})


def test_raw_targets_are_equations_4_and_5_of_the_frozen_features() -> None:
    """Their width is their own; S asks itself as before."""
    raw = {"vision": units(3, width=9), "language": units(4, width=7)}
    params = ObjectiveParams(inter=False, target_prompts="raw", temperature=1, target_temperature=1)
    loss = make_objective(params).double()
    teacher = Known(units(5), student().prompts, raw)
    found = loss(student(), teacher, 1.0, torch.Generator()).loss
    s, expected = student().skeleton, 0.0
    for kind, x in student().prompts.items():
        for similar, logits in ((teacher.skeleton, s @ x.T), (raw[kind], x @ s.T)):
            target = 0.2 * (similar @ similar.T).softmax(1) + 0.8 * torch.eye(
                B, dtype=torch.float64
            )
            expected -= float((target * logits.log_softmax(1)).sum() / B)
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_the_linear_scale_multiplies_the_cosines_and_is_bounded() -> None:
    temperature = LinearTemperature(0.376)
    assert temperature().item() == pytest.approx(0.376)
    (1 / temperature()).backward()  # the factor itself: its derivative is 1
    assert float(temperature.scale.grad) == pytest.approx(1)
    for scale, bound in ((1e9, 0.01), (-1.0, 1.0)):
        temperature.scale.data.fill_(scale)
        temperature.clamp_()
        assert temperature().item() == pytest.approx(bound)


def test_the_oracle_is_cross_entropy_with_the_mean_over_the_class() -> None:
    labels = torch.tensor([0, 1, 0, 2, 1, 0])
    oracle = Oracle(0.3).double()
    oracle.temperature.log.data.fill_(math.log(0.3))
    found = oracle(student(), Known(units(5), {}, labels=labels), 0.5, torch.Generator())
    expected = 0.0
    for x in student().prompts.values():
        for asking, asked in ((student().skeleton, x), (x, student().skeleton)):
            for i in range(B):
                log_rho = (asking[i] @ asked.T / 0.3).log_softmax(0)
                mine = [j for j in range(B) if labels[j] == labels[i]]
                expected -= sum(float(log_rho[j]) for j in mine) / len(mine) / B
    assert float(found.loss) == pytest.approx(expected, abs=1e-12)
    assert float(found.diagonal) == pytest.approx((3 / 3 + 2 / 2 + 1) / B)


def two_views(**switches: float) -> TwoViewLoss:
    loss = make_objective(ObjectiveParams(name="two_views", temperature=0.3, **switches)).double()
    loss.temperature.log.data.fill_(math.log(0.3))
    assert isinstance(loss, TwoViewLoss)
    return loss


def test_two_views_are_loops_over_the_equations() -> None:
    """Each view with the prompts, and the views with each other, in both directions."""
    loss = two_views(prompt_weight=0.7, view_temperature=0.4)
    x, second = student().prompts, units(6)
    found = loss(Embeddings(student().skeleton, x, second=second)).loss
    s = [student().skeleton, second]
    pairs = [(0.7 / 2, 0.3, view, other) for view in s for other in x.values()]
    expected = 0.0
    for weight, tau, one, other in [*pairs, (1, 0.4, *s)]:
        for asking, asked in ((one, other), (other, one)):
            for i in range(B):
                logits = [float(asking[i] @ asked[j]) / tau for j in range(B)]
                total = math.log(sum(math.exp(each) for each in logits))
                expected -= weight * (logits[i] - total) / B
    assert float(found) == pytest.approx(expected, abs=1e-12)


def test_two_equal_views_add_infonce_with_their_prompts() -> None:
    hard = make_objective(ObjectiveParams(name="infonce", temperature=0.3)).double()
    hard.temperature.log.data.fill_(math.log(0.3))
    both = Embeddings(student().skeleton, student().prompts, second=student().skeleton)
    part = two_views()(both).loss - two_views(prompt_weight=0)(both).loss
    torch.testing.assert_close(part, hard(student()).loss)


def test_two_views_of_a_clip_are_different_draws(data: TrainingData) -> None:
    params = changed({"name": "two_views"})
    assert data.prompts is not None
    task = Pretraining(data.clips.skeletons, data.prompts, "joint", params)
    x, *_, second = inputs = task.inputs(
        task.rows[:4], slice(None), torch.Generator().manual_seed(0)
    )
    assert second.shape == x.shape and not torch.equal(second, x)
    embedded = task.outputs(task.network, inputs)
    for place, view in ((0, x), (-1, second)):
        alone = task.network.embed_skeletons(task.network.encoder(view))
        torch.testing.assert_close(embedded[:, place], alone)


def test_two_views_have_no_course_of_alpha_and_no_teacher(data: TrainingData) -> None:
    params = changed({"name": "two_views", "teacher": "ema"})
    assert alpha_at(0, 2, params.objective) == alpha_at(1, 2, params.objective) == 1
    assert data.prompts is not None
    task = Pretraining(data.clips.skeletons, data.prompts, "joint", params)
    task.ready()
    assert not isinstance(task.teacher, EmaTeacher)


def test_names_of_the_papers_losses_are_their_switches() -> None:
    """So they have the keys that they had."""
    assert ObjectiveParams(name="c2vl") == ObjectiveParams()
    assert ObjectiveParams(name="infonce") == ObjectiveParams().as_infonce()
    with pytest.raises(ValueError, match="is c2vl, infonce, two_views or module:Class"):
        ObjectiveParams(name="oracle")


def test_prompts_that_are_not_projected_stay_as_they_are() -> None:
    class Flat(torch.nn.Module):
        features = 4

        def forward(self, x: Tensor) -> Tensor:
            return x

    network = AlignedEncoder(Flat(), {"vision": 5}, 5).double()
    x, rows = torch.randn(B, 4, dtype=torch.float64), 3 * units(1)
    for centre in (torch.zeros(5, dtype=torch.float64), rows.mean(0)):
        network.freeze_prompt_heads({"vision": centre})
        embedded = network(x, {"vision": rows}).prompts["vision"]
        torch.testing.assert_close(embedded, normalize(rows - centre, dim=1))
    assert not any(each.requires_grad for each in network.prompt_heads.parameters())
    with pytest.raises(ValueError, match="6 values do not fit"):
        AlignedEncoder(Flat(), {"vision": 6}, 5).freeze_prompt_heads({"vision": torch.zeros(6)})


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_swapped_prompts_are_those_of_another_clip(share: float) -> None:
    rows = torch.arange(40.0).view(20, 2, 1).expand(20, 2, 3)
    valid = torch.ones(20, 2, dtype=torch.bool)
    valid[4] = False  # has no prompts to give
    valid[5, 1] = False
    prompts = Prompts({"vision": rows, "language": -rows}, valid)
    noisy = prompts.swapped(share, seed=3)
    found = noisy.features["vision"].tensor.view(20, 2, 3)[:, 0, 0] / 2
    moved = found != torch.arange(20)
    assert int(moved.sum()) == round(share * 19) and not moved[4]
    assert sorted(found.tolist()) == list(range(20)), "every clip's prompts are somewhere once"
    torch.testing.assert_close(noisy.features["language"].tensor, -noisy.features["vision"].tensor)
    assert (noisy.valid == valid[found.long()]).all()


def trained(method: str, params: PretrainParams, data: TrainingData) -> Trained:
    return train(method, *data, BENCHMARK, "joint", params, BaselinesParams())


def weights(found: Trained) -> Tensor:
    return torch.cat([value.flatten().float() for value in found.network.state_dict().values()])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return load_training(root, BENCHMARK, ("vision", "language"), torch.device("cpu"))


def changed(objective: dict, **others: object) -> PretrainParams:
    section = {**PARAMS.model_dump(), "epochs": 2, "milestones": [1], **others}
    section["objective"] = {**section["objective"], **objective}
    return PretrainParams.model_validate(section)


def test_only_the_oracle_sees_labels(data: TrainingData) -> None:
    other = Clips(data.clips.samples, np.roll(data.clips.labels, 5), data.clips.skeletons)
    for method, equal in (("c2vl", True), ("oracle", False)):
        first = trained(method, changed({}), data)
        second = trained(method, changed({}), data._replace(clips=other))
        assert torch.equal(weights(first), weights(second)) is equal
        assert first.config.method == method


@pytest.mark.parametrize(
    "params",
    [
        changed({"target_prompts": "raw"}),
        changed({"prompt_heads": "none"}),
        changed({"prompt_heads": "centred"}),
        changed({"name": "two_views"}),
        changed({"learnable_temperature": True, "temperature_form": "linear"}),
        changed({}, swapped=0.5),
    ],
)
def test_every_variant_trains_to_something_else(params: PretrainParams, data: TrainingData) -> None:
    base, other = trained("c2vl", changed({}), data), trained("c2vl", params, data)
    assert not torch.equal(weights(base), weights(other))
    assert all(math.isfinite(epoch.loss) for epoch in other.curves)
    start, end = other.curves[0].temperature, other.curves[-1].temperature
    assert (start != end) is params.objective.learnable_temperature


def test_prompts_of_two_widths_have_to_be_projected(data: TrainingData) -> None:
    features = {"vision": torch.ones(8, 1, 4), "language": torch.ones(8, 1, 5)}
    prompts = Prompts(features, torch.ones(len(data.clips), 1, dtype=torch.bool))
    with pytest.raises(UserError, match="one width"):
        trained("c2vl", changed({"prompt_heads": "centred"}), data._replace(prompts=prompts))


@pytest.mark.parametrize(
    "setting",
    [
        {"name": "best", "method": "oracle"},
        {"name": "oracle", "method": "c2vl"},
        {"name": "oracle", "line": "best", "method": "oracle"},
    ],
)
def test_an_oracle_cannot_have_the_name_of_a_result(setting: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must not look like a result"):
        Setting.model_validate(setting)
    assert Setting(name="oracle (true labels)", method="oracle").method == "oracle"


def test_values_that_change_nothing_are_not_written_out() -> None:
    """So that outputs of before these parameters keep their bytes, and their keys."""
    dumped = PretrainParams().model_dump()
    assert "swapped" not in dumped
    assert not {"name", "target_prompts", "prompt_heads", "temperature_form"} & {
        *dumped["objective"]
    }
    other = changed({"target_prompts": "raw"}, swapped=0.5)
    assert PretrainParams.model_validate(other.model_dump()) == other
