"""The objective's equations against float64 loops written from the formulas; its switches."""

from __future__ import annotations

import doctest
import importlib
import math

import pytest
import torch
from torch import Tensor

from c2vl.training.objective.c2vl_loss import C2VLLoss
from c2vl.training.objective.embeddings import AlignedEncoder, Embeddings
from c2vl.training.objective.infonce import InfoNCE
from c2vl.training.objective.make_objective import make_objective
from c2vl.training.objective.objective_params import ObjectiveParams
from c2vl.training.objective.partition import alpha_at, split_rows
from c2vl.training.objective.soft_targets import inter_target, intra_target
from c2vl.training.objective.teacher import make_teacher
from c2vl.training.objective.temperature import Temperature

B, D, TAU = 7, 5, 0.2


def units(seed: int, rows: int = B) -> Tensor:
    values = torch.randn(
        rows, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return torch.nn.functional.normalize(values, dim=1)


def dot(a: Tensor, b: Tensor) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def loop_h(targets: list[list[float]], logits: list[list[float]]) -> float:
    """H(targets, ρ(logits)), mean over rows."""
    rows = [
        -sum(t * math.log(p) for t, p in zip(target, softmax(row), strict=True))
        for target, row in zip(targets, logits, strict=True)
    ]
    return sum(rows) / len(rows)


def loop_intra(x: Tensor, beta: float, tau: float) -> list[list[float]]:
    soft = [softmax([dot(x[i], x[j]) / tau for j in range(len(x))]) for i in range(len(x))]
    return [
        [beta * soft[i][j] + (1 - beta) * (i == j) for j in range(len(x))] for i in range(len(x))
    ]


def loop_inter(s: Tensor, v: Tensor, share: float, tau: float) -> list[list[float]]:
    """Q^{v2s}: softmax_j((s_i·v_j + v_i·s_i + s_j·v_j)/τ)."""
    n = len(s)
    soft = [
        softmax([(dot(s[i], v[j]) + dot(v[i], s[i]) + dot(s[j], v[j])) / tau for j in range(n)])
        for i in range(n)
    ]
    return [[(1 - share) * soft[i][j] + share * (i == j) for j in range(n)] for i in range(n)]


def loop_logits(a: Tensor, b: Tensor, tau: float) -> list[list[float]]:
    return [[dot(x, y) / tau for y in b] for x in a]


def loop_infonce(s: Tensor, v: Tensor, tau: float) -> float:
    """L_infoNCE of one kind of prompt: Eq. 1 in both directions, as Eq. 2 and 3 add them up."""
    loss = 0.0
    for a, b in ((s, v), (v, s)):
        for i in range(len(s)):
            total = sum(math.exp(dot(a[i], b[j]) / tau) for j in range(len(s)))
            loss -= math.log(math.exp(dot(a[i], b[i]) / tau) / total) / len(s)
    return loss


@pytest.mark.parametrize("beta", [0.0, 0.2, 1.0])
def test_intra_targets_are_equations_4_to_6(beta: float) -> None:
    x = units(2)
    torch.testing.assert_close(
        intra_target(x, beta, 0.3), torch.tensor(loop_intra(x, beta, 0.3), dtype=torch.float64)
    )


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_inter_targets_are_equations_7_to_10(share: float) -> None:
    s, v = units(3), units(4)
    torch.testing.assert_close(
        inter_target(s, v, share, 0.3),
        torch.tensor(loop_inter(s, v, share, 0.3), dtype=torch.float64),
    )


def test_inter_targets_equal_the_printed_matrices_with_an_elementwise_mask() -> None:
    s, v = units(3), units(4)
    eye, ones = torch.eye(B, dtype=torch.float64), torch.ones(B, B, dtype=torch.float64)
    printed = s @ v.T + (eye * (v @ s.T)) @ ones + ones @ (eye * (s @ v.T))
    torch.testing.assert_close(inter_target(s, v, 0.0, 1.0), printed.softmax(1))


@pytest.mark.parametrize(
    "target", [lambda x: intra_target(x, 0.2, 0.1), lambda x: inter_target(x, units(9), 0.1, 0.1)]
)
def test_targets_are_distributions_without_gradient(target) -> None:
    rows = target(units(5).requires_grad_())
    assert not rows.requires_grad
    torch.testing.assert_close(rows.sum(1), torch.ones(B, dtype=torch.float64))
    assert (rows >= 0).all()


def batch(requires_grad: bool = False) -> Embeddings:
    made = [units(seed).requires_grad_(requires_grad) for seed in (10, 11, 12)]
    return Embeddings(made[0], {"vision": made[1], "language": made[2]})


def objective(alpha: float = 0.6, seed: int = 0, student: Embeddings | None = None, **switches):
    params = ObjectiveParams(**({"temperature": TAU, "target_temperature": 0.3} | switches))
    student = student or batch()
    return exact(params)(student, student.detach(), alpha, torch.Generator().manual_seed(seed))


def exact(params: ObjectiveParams) -> C2VLLoss | InfoNCE:
    """The loss in float64, with `params.temperature` (its logarithm was rounded to float32)."""
    loss = make_objective(params).double()
    loss.temperature.log.data.fill_(math.log(params.temperature))
    return loss


@pytest.mark.parametrize("module", ["infonce", "c2vl_loss", "two_views"])
def test_examples_in_the_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"c2vl.training.objective.{module}"))
    assert found.attempted > 5
    assert not found.failed


def test_infonce_is_equations_1_to_3() -> None:
    student = batch()
    loss = InfoNCE(TAU).double()
    loss.temperature.log.data.fill_(math.log(TAU))
    result = loss(student)
    expected = sum(loop_infonce(student.skeleton, x, TAU) for x in student.prompts.values())
    assert float(result.loss) == pytest.approx(expected, abs=1e-12)
    assert (float(result.diagonal), float(result.entropy)) == (1.0, 0.0)


def test_params_without_soft_targets_ask_for_infonce() -> None:
    assert isinstance(make_objective(ObjectiveParams().as_infonce()), InfoNCE)
    assert isinstance(make_objective(ObjectiveParams()), C2VLLoss)
    with pytest.raises(ValueError, match="use InfoNCE"):
        C2VLLoss(intra=False, inter=False)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        InfoNCE(temperature)


@pytest.mark.parametrize("partition", [True, False])
def test_loss_is_equations_11_to_13(partition: bool) -> None:
    alpha, student = 0.6, batch()
    s = student.skeleton
    first, rest = (list(range(B)), list(range(B)))
    if partition:
        first, rest = (
            rows.tolist() for rows in split_rows(B, alpha, torch.Generator().manual_seed(0))
        )
        assert len(first) == math.floor(alpha * B)
        assert sorted(first + rest) == list(range(B))
    expected = 0.0
    for x in student.prompts.values():
        p_s2x, p_x2s = loop_intra(s, 0.2, 0.3), loop_intra(x, 0.2, 0.3)
        q_s2x, q_x2s = loop_inter(x, s, 0.0, 0.3), loop_inter(s, x, 0.0, 0.3)
        for (a, b), p, q in (((s, x), p_s2x, q_s2x), ((x, s), p_x2s, q_x2s)):
            expected += alpha * loop_h([p[i] for i in first], loop_logits(a[first], b, TAU))
            expected += (1 - alpha) * loop_h([q[i] for i in rest], loop_logits(a[rest], b, TAU))
    assert float(objective(alpha, partition=partition).loss) == pytest.approx(expected, abs=1e-12)


HARD = {"intra": False, "inter": False}


@pytest.mark.parametrize(
    "switches",
    [{"beta": 0.0}, {"beta": 0.0, "partition": False}, {"beta": 0.0, "inter": False}, HARD],
)
def test_hard_targets_and_alpha_one_with_beta_zero_are_equations_1_to_3(switches: dict) -> None:
    student = batch()
    hard = sum(loop_infonce(student.skeleton, x, TAU) for x in student.prompts.values())
    assert float(objective(1.0, **switches).loss) == pytest.approx(hard, abs=1e-12)


@pytest.mark.parametrize(
    "switches", [{}, {"partition": False}, {"intra": False}, {"inter": False}, HARD]
)
def test_gradients(switches: dict) -> None:
    """Gradient flows through the logits and their temperature; the targets are constants."""
    params = ObjectiveParams(
        temperature=TAU, target_temperature=0.3, learnable_temperature=True, **switches
    )
    teacher, loss = batch(), exact(params)

    def value(s: Tensor, v: Tensor, language: Tensor, log: Tensor) -> Tensor:
        given = (
            Embeddings(s, {"vision": v, "language": language}),
            teacher,
            0.5,
            torch.Generator().manual_seed(1),
        )
        return torch.func.functional_call(loss, {"temperature.log": log}, given).loss

    inputs = tuple(units(seed).requires_grad_() for seed in (20, 21, 22))
    assert torch.autograd.gradcheck(value, (*inputs, loss.temperature.log))


def test_targets_have_the_logits_temperature_unless_they_have_one() -> None:
    """One of their own that equals the logits' changes nothing, not even the latter's gradient."""
    found = []
    for own in (None, TAU):
        params = ObjectiveParams(
            temperature=TAU, target_temperature=own, learnable_temperature=True
        )
        loss = exact(params)
        value = loss(batch(), batch(), 0.5, torch.Generator().manual_seed(1)).loss
        value.backward()
        found.append(torch.stack([value.detach(), loss.temperature.log.grad]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
    loss.temperature.log.data.fill_(math.log(0.5))  # learnt since
    assert float(loss.target_temperature()) == TAU
    follows = C2VLLoss(temperature=TAU, learnable_temperature=True)
    follows.temperature.log.data.fill_(math.log(0.5))
    assert float(follows.target_temperature()) == pytest.approx(0.5)


def test_every_switch_changes_the_loss() -> None:
    base = float(objective().loss)
    changes = [
        {"intra": False},
        {"inter": False},
        {"intra": False, "inter": False},
        {"partition": False},
        {"beta": 0.5},
        {"inter_identity": 0.5},
        {"alpha": 0.3},
        {"seed": 1},
    ]
    losses = [float(objective(**{"alpha": 0.6, **change}).loss) for change in changes]
    assert len({round(loss, 9) for loss in [base, *losses]}) == len(changes) + 1


def test_knowledge_switch_names_the_kinds_in_use() -> None:
    assert ObjectiveParams(knowledge="vision").kinds == ("vision",)
    assert ObjectiveParams(knowledge="both").kinds == ("vision", "language")
    student = batch()
    parts = [
        objective(
            student=Embeddings(student.skeleton, {k: student.prompts[k]}), partition=False
        ).loss
        for k in student.prompts
    ]
    torch.testing.assert_close(sum(parts), objective(partition=False).loss)


def test_alpha_falls_by_a_cosine_or_stays() -> None:
    progressive = ObjectiveParams()
    values = [alpha_at(epoch, 11, progressive) for epoch in range(11)]
    assert values[0] == pytest.approx(0.9)
    assert values[5] == pytest.approx(0.5)
    assert values[10] == pytest.approx(0.1)
    assert values == sorted(values, reverse=True)
    assert alpha_at(2, 11, progressive) == pytest.approx(
        0.1 + 0.8 * (1 + math.cos(math.pi * 0.2)) / 2
    )
    assert {
        alpha_at(epoch, 11, ObjectiveParams(progressive=False, alpha=0.4)) for epoch in range(11)
    } == {0.4}
    assert alpha_at(3, 11, ObjectiveParams(inter=False)) == 1.0
    assert alpha_at(3, 11, ObjectiveParams(intra=False)) == 0.0


def test_diagnostics_tell_hard_from_uniform_targets() -> None:
    hard = objective(intra=False, inter=False, alpha=1.0)
    assert float(hard.diagonal) == pytest.approx(1.0)
    assert float(hard.entropy) == pytest.approx(0.0)
    same = Embeddings(units(0)[:1].expand(B, D), {"vision": units(1)[:1].expand(B, D)})
    collapsed = objective(student=same, intra=False, alpha=0.0)
    assert float(collapsed.diagonal) == pytest.approx(1 / B)
    assert float(collapsed.entropy) == pytest.approx(math.log(B))


def test_learnt_temperature_stays_within_bounds() -> None:
    temperature = Temperature(0.07, learnable=True)
    assert temperature().item() == pytest.approx(0.07)
    temperature.log.data.fill_(-100.0)
    temperature.clamp_()
    assert temperature().item() == pytest.approx(0.01)
    assert not Temperature(0.07, learnable=False).log.requires_grad


class Flat(torch.nn.Module):
    features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, self.features)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_teachers_are_the_network_its_last_epoch_and_its_average() -> None:
    torch.manual_seed(0)
    network = AlignedEncoder(Flat(), {"vision": 3}, 5)
    x, prompts = torch.randn(8, 4), {"vision": torch.randn(8, 3)}
    start = network(x, prompts).detach()
    teachers = {kind: make_teacher(kind, network, 0.75) for kind in ("self", "epoch", "ema")}
    weight = network.encoder.layer.weight.detach().clone()
    with torch.no_grad():
        network.encoder.layer.weight.add_(1.0)
    moved = network(x, prompts)
    for teacher in teachers.values():
        teacher.after_step(network)
    seen = {kind: teacher.embed(x, prompts, moved).skeleton for kind, teacher in teachers.items()}
    torch.testing.assert_close(seen["self"], moved.skeleton)
    torch.testing.assert_close(seen["epoch"], moved.skeleton)  # the first epoch has no teacher yet
    torch.testing.assert_close(teachers["ema"].network.encoder.layer.weight, weight + 0.25)
    for teacher in teachers.values():
        teacher.after_epoch(network)
    with torch.no_grad():
        network.encoder.layer.weight.copy_(weight)
    back = network(x, prompts)
    torch.testing.assert_close(teachers["epoch"].embed(x, prompts, back).skeleton, moved.skeleton)
    torch.testing.assert_close(teachers["self"].embed(x, prompts, back).skeleton, start.skeleton)
    assert not any(
        teacher.embed(x, prompts, back).skeleton.requires_grad for teacher in teachers.values()
    )
