"""Pretraining of a skeleton encoder from knowledge prompts, without labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from c2vl.errors import UserError
from c2vl.models.registry import build_encoder
from c2vl.objective.embeddings import AlignedEncoder
from c2vl.objective.loss import C2VLLoss
from c2vl.objective.partition import alpha_at
from c2vl.objective.teacher import make_teacher
from c2vl.progress import progress
from c2vl.skeletons.ragged import RaggedSkeletons
from c2vl.skeletons.streams import Stream, to_stream
from c2vl.skeletons.views import draw, train_view
from c2vl.training.curves import Epoch
from c2vl.training.params import PretrainParams
from c2vl.training.probe import Probe
from c2vl.training.prompts import Prompts
from c2vl.training.schedule import batches, rate_at, set_rate, sgd, steps_an_epoch


@dataclass(frozen=True)
class Pretrained:
    """The trained network, a row an epoch, and how many clips had no prompt and were left out."""

    network: AlignedEncoder
    curves: list[Epoch]
    left_out: int


def pretrain(
    skeletons: RaggedSkeletons,
    prompts: Prompts,
    stream: Stream,
    params: PretrainParams,
    probe: Probe | None = None,
    name: str = "",
) -> Pretrained:
    """Train an encoder with the C²VL objective (or InfoNCE, see `ObjectiveParams`).

    The same arguments give the same weights on the same machine and device settings; torch's global generator is
    seeded. `probe` only fills a column of the curves.

    Raises:
        UserError: the loss is not a number, or fewer than two clips have a prompt.
    """
    rows = prompts.usable()
    if len(rows) < 2:
        raise UserError("Pretraining needs at least two clips with prompts; look at the `reason` column of data/embed.")
    torch.manual_seed(params.seed)
    generator = torch.Generator().manual_seed(params.seed)
    objective = params.objective
    dimension = objective.dimension or max(prompts.widths.values())
    device = skeletons.device
    network = AlignedEncoder(build_encoder(params.encoder), prompts.widths, dimension).to(device).train()
    loss = C2VLLoss(objective).to(device)
    teacher = make_teacher(objective.teacher, network, objective.ema_decay)
    own_rate: dict[str, object] = {"params": [loss.temperature.log], "weight_decay": 0.0, "fixed_rate": True}
    own_rate["lr"] = objective.temperature_rate
    optimiser = sgd(network, params, [own_rate] if objective.learnable_temperature else None)
    steps = steps_an_epoch(len(rows), params.batch)
    curves: list[Epoch] = []
    for epoch in progress(range(params.epochs), name or f"pretrain {stream}", "epochs"):
        alpha = alpha_at(epoch, params.epochs, objective)
        sums = torch.zeros(3, device=device)
        for step, chosen in enumerate(batches(rows, params.batch, generator)):
            set_rate(optimiser, rate_at(epoch, step, steps, params))
            x = to_stream(train_view(skeletons, chosen, params.view, draw(len(chosen), params.view, generator)), stream)
            features = prompts.take(chosen, params.prompts, generator)
            student = network(x, features)
            result = loss(student, teacher.embed(x, features, student), alpha, generator)
            optimiser.zero_grad()
            result.loss.backward()
            optimiser.step()
            loss.temperature.clamp_()
            teacher.after_step(network)
            sums += torch.stack([result.loss.detach(), result.diagonal, result.entropy])
        teacher.after_epoch(network)
        curves.append(
            _row(
                epoch,
                sums / steps,
                rate_at(epoch, steps - 1, steps, params),
                alpha,
                loss,
                _probe(probe, network, epoch, params),
            )
        )
    return Pretrained(network, curves, len(skeletons) - len(rows))


def _probe(probe: Probe | None, network: AlignedEncoder, epoch: int, params: PretrainParams) -> float | None:
    due = params.probe_every and ((epoch + 1) % params.probe_every == 0 or epoch + 1 == params.epochs)
    return probe.accuracy(network.encoder) if probe and due else None


def _row(epoch: int, means: Tensor, rate: float, alpha: float, loss: C2VLLoss, probe: float | None) -> Epoch:
    mean, diagonal, entropy = means.tolist()
    if not math.isfinite(mean):
        raise UserError(
            f"The pretraining loss is not a number in epoch {epoch + 1}; lower `pretrain.learning_rate` or raise "
            "`pretrain.objective.temperature` in params.yaml."
        )
    temperature = float(loss.temperature().detach())
    return Epoch(
        epoch + 1,
        rate,
        mean,
        alpha=alpha,
        temperature=temperature,
        target_temperature=float(loss.target_temperature()),
        diagonal=diagonal,
        entropy=entropy,
        probe=probe,
    )
