"""Pretraining of a skeleton encoder from knowledge prompts, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.graph import SkeletonGraph
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream, to_stream
from c2vl.models.views import Draws, draw, train_view
from c2vl.training.curves import Epoch
from c2vl.training.devices import Devices
from c2vl.training.keep import Keep
from c2vl.training.loop import SaveGood, fit
from c2vl.training.objective.chosen import make_objective
from c2vl.training.objective.embeddings import AlignedEncoder, Embeddings, Known
from c2vl.training.objective.oracle import Oracle
from c2vl.training.objective.partition import alpha_at
from c2vl.training.objective.teacher import make_teacher
from c2vl.training.probe import Probe
from c2vl.training.task import Task
from c2vl.training.training_params import PretrainParams


@dataclass(frozen=True)
class Pretrained:
    """The trained network, a row an epoch, and how many clips had no prompt and were left out."""

    network: AlignedEncoder
    curves: list[Epoch]
    left_out: int


class Pretraining(Task):
    """The C²VL objective (or InfoNCE, see `ObjectiveParams`) on clips and their prompts."""

    what = "pretraining"
    advice = (
        "lower `pretrain.learning_rate` or raise `pretrain.objective.temperature` in params.yaml."
    )
    network: AlignedEncoder

    def __init__(
        self,
        skeletons: RaggedSkeletons,
        prompts: Prompts,
        stream: Stream,
        params: PretrainParams,
        labels: Tensor | None = None,
    ) -> None:
        """Draws the network's weights from torch's global generator; `labels` make an oracle."""
        prompts = prompts.swapped(params.swapped, params.seed)
        self.skeletons, self.prompts, self.stream, self.params = skeletons, prompts, stream, params
        self.labels = labels
        self.rows = prompts.usable()
        self.kinds = list(prompts.widths)
        dimension = params.objective.dimension or max(prompts.widths.values())
        encoder = build_encoder(params.encoder, SkeletonGraph.of(skeletons.layout))
        self.network = AlignedEncoder(encoder, prompts.widths, dimension)
        if params.objective.prompt_heads != "trained":
            self._freeze_prompt_heads()
        self.objective = (
            make_objective(params.objective)
            if labels is None
            else Oracle(params.objective.temperature, params.objective.learnable_temperature)
        ).to(skeletons.device)
        self.alpha = 1.0

    def ready(self) -> None:
        """Make the teacher from the network as it will be trained."""
        objective = self.params.objective
        kind = objective.teacher if objective.soft else "self"
        self.teacher = make_teacher(kind, self.network, objective.ema_decay)

    def inputs(self, rows: Tensor, own: slice, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Views (b, C, T, V, M), prompts (b, width) by kind, then second views if it has them."""
        x, *second = [
            self._view(rows[own], draw(len(rows), self.params.view, generator).part(own))
            for _ in range(self.params.objective.views)
        ]
        features = self.prompts.take(rows, self.params.prompts, generator)
        return (x, *(features[kind][own] for kind in self.kinds), *second)

    def outputs(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Embeddings (b, 1 + kinds, d): skeleton, prompts by kind; then those of second views."""
        second = inputs[1 + len(self.kinds) :]
        return _stack(network(inputs[0], self._named(inputs), *second), self.kinds)

    def constants(self, inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        """The teacher's embeddings (b, 1 + kinds, d)."""
        return _stack(
            self.teacher.embed(inputs[0], self._named(inputs), self._split(outputs)), self.kinds
        )

    def loss(
        self, outputs: Tensor, constants: Tensor, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The objective, and the targets' diagonal mass and entropy."""
        teacher = self._known(self._split(constants), rows, generator)
        result = self.objective(self._split(outputs), teacher, self.alpha, generator)
        return result.loss, torch.stack([result.diagonal, result.entropy])

    def groups(self) -> list[dict[str, Any]]:
        """A learnt logarithm of τ has a rate of its own and no weight decay."""
        objective = self.params.objective
        if not objective.learnable_temperature:
            return []
        learnt = [self.objective.temperature.learnt]
        if objective.learns_linearly:
            return [{"params": learnt, "weight_decay": self.params.weight_decay}]
        group = {
            "params": learnt,
            "weight_decay": 0.0,
            "fixed_rate": True,
        }
        return [{**group, "lr": objective.temperature_rate}]

    def begin_epoch(self, epoch: int) -> None:
        """Progressive control of α."""
        self.alpha = alpha_at(epoch, self.params.epochs, self.params.objective)

    def after_step(self) -> None:
        """Keep the temperature within its bounds; let the teacher follow."""
        self.objective.temperature.clamp_()
        self.teacher.after_step(self.network)

    def after_epoch(self) -> None:
        """Let the teacher follow."""
        self.teacher.after_epoch(self.network)

    def row(self, epoch: int, rate: float, means: list[float]) -> Epoch:
        """Loss, α, temperatures, and what tells a collapse of the targets."""
        loss, diagonal, entropy = means
        temperature = float(self.objective.temperature().detach())
        own = self.params.objective.target_temperature
        return Epoch(
            epoch + 1,
            rate,
            loss,
            alpha=self.alpha,
            temperature=temperature,
            target_temperature=temperature if own is None else own,
            diagonal=diagonal,
            entropy=entropy,
        )

    def state(self) -> dict[str, Any]:
        """Temperature and teacher."""
        return {"objective": self.objective.state_dict(), "teacher": self.teacher.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.objective.load_state_dict(state["objective"])
        self.teacher.restore(state["teacher"], self.network)

    def _known(self, teacher: Embeddings, rows: Tensor, generator: torch.Generator) -> Embeddings:
        """The teacher's embeddings, with what else the objective makes its targets from."""
        if self.labels is not None:
            labels = self.labels[rows.to(self.labels.device)]
            return Known(teacher.skeleton, teacher.prompts, labels=labels)
        if not self.params.objective.needs_raw:
            return teacher
        return Known(teacher.skeleton, teacher.prompts, self.prompts.take(rows, "mean", generator))

    def _freeze_prompt_heads(self) -> None:
        widths = self.prompts.widths
        if len({*widths.values()}) > 1:
            raise UserError(
                "params.yaml: `pretrain.objective.prompt_heads` other than trained need prompts of "
                f"one width, not {widths}; train them, or use one kind of `knowledge`."
            )
        every = self.prompts.take(self.rows, "mean", torch.Generator())
        centred = self.params.objective.prompt_heads == "centred"
        self.network.freeze_prompt_heads(
            {kind: x.mean(0).cpu() * centred for kind, x in every.items()}
        )

    def _view(self, rows: Tensor, draws: Draws) -> Tensor:
        view = train_view(self.skeletons, rows, self.params.view, draws)
        return to_stream(view, self.stream, self.skeletons.layout)

    def _named(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return dict(zip(self.kinds, inputs[1:], strict=False))

    def _split(self, stacked: Tensor) -> Embeddings:
        skeleton, *others = stacked.unbind(1)
        prompts = dict(zip(self.kinds, others, strict=False))
        second = others[-1] if len(others) > len(prompts) else None
        return Embeddings(skeleton, prompts, second=second)


def _stack(embeddings: Embeddings, kinds: list[str]) -> Tensor:
    rows = [embeddings.skeleton, *(embeddings.prompts[kind] for kind in kinds)]
    return torch.stack(rows if embeddings.second is None else [*rows, embeddings.second], dim=1)


def pretrain(
    skeletons: RaggedSkeletons,
    prompts: Prompts,
    stream: Stream,
    params: PretrainParams,
    probe: Probe | None = None,
    name: str = "",
    keep: Keep | None = None,
    save_good: SaveGood | None = None,
    labels: Tensor | None = None,
) -> Pretrained:
    """Train an encoder with the C²VL objective (or InfoNCE, see `ObjectiveParams`).

    The same arguments give the same weights on the same machine and device settings; torch's global
    generator is seeded. `probe` only fills a column of the curves. `keep` and `save_good` are those
    of `fit`. `labels` (N,) train the oracle, which is no method, see `Oracle`.

    Raises:
        UserError: the loss is not a number, fewer than two clips have a prompt, or prompts that are
            not projected differ in width.
    """
    torch.manual_seed(params.seed)
    if len(prompts.usable()) < 2:
        raise UserError(
            "Pretraining needs at least two clips with prompts; "
            "look at the `reason` column of data/embed."
        )
    devices = Devices(skeletons.device)
    task = Pretraining(skeletons, prompts, stream, params, labels)
    accuracy = probe.accuracy if probe else None
    network, curves = fit(
        task, params, devices, name or f"pretrain {stream}", keep, save_good, accuracy
    )
    return Pretrained(cast(AlignedEncoder, network), curves, len(skeletons) - len(task.rows))
