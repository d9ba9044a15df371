"""The four ways to get an encoder that a comparison needs, behind one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError
from c2vl.models.clips import Clips
from c2vl.models.encode import BATCH
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream, to_stream
from c2vl.models.views import test_view
from c2vl.training.checkpoint import (
    BareEncoder,
    EncoderConfig,
    EncoderNetwork,
    Method,
    save_checkpoint,
)
from c2vl.training.curves import Epoch
from c2vl.training.keep import LAST_GOOD, Keep, training_key
from c2vl.training.loop import SaveGood
from c2vl.training.pretrain import pretrain
from c2vl.training.probe import Probe
from c2vl.training.supervised import train_supervised
from c2vl.training.training_params import BaselinesParams, PretrainParams


@dataclass(frozen=True)
class Trained:
    """A network, the config to save it with, and its curves (empty for a random encoder)."""

    network: EncoderNetwork
    config: EncoderConfig
    curves: list[Epoch]


def train(
    method: Method,
    clips: Clips,
    prompts: Prompts | None,
    classes: int,
    benchmark: str,
    stream: Stream,
    params: PretrainParams,
    baselines: BaselinesParams,
    folder: Path | None = None,
) -> Trained:
    """Train an encoder on a train split by one of the methods.

    `c2vl` is the objective of `params`; `infonce` the same with hard targets; `supervised` the same encoder on labels;
    `random` an untrained one. Labels reach the first two only through the probe, which changes nothing.

    Args:
        folder: where the state of this training is kept, so that it goes on after a kill (see `Keep`); None: nowhere.

    Raises:
        UserError: the method needs prompts and there are none, or training diverged.
    """
    name = f"{method} {benchmark}-{stream}"
    config = EncoderConfig(
        method=method,
        benchmark=benchmark,
        stream=stream,
        seed=params.seed,
        encoder=params.encoder,
        frames=params.view.frames,
        clips=len(clips),
    )
    if method == "random":
        return Trained(
            BareEncoder(random_encoder(clips.skeletons, stream, params)),
            config.model_copy(update={"clips": 0}),
            [],
        )
    if method == "supervised":
        params = baselines.supervised_schedule(params)
        config = config.model_copy(update={"classes": classes, "training": params.model_dump()})
        data = [
            clips.skeletons.joints.tensor,
            clips.skeletons.lengths,
            torch.from_numpy(clips.labels),
        ]
        keep, save_good = _kept(folder, config, data)
        network, curves = train_supervised(
            clips.skeletons, clips.labels, classes, stream, params, name, keep, save_good
        )
        return Trained(network, config, curves)
    if method == "infonce":
        params = params.model_copy(update={"objective": params.objective.as_infonce()})
    if prompts is None:
        raise UserError(f"Pretraining by {method} needs knowledge prompts; run `dvc repro embed`.")
    probe = Probe(clips.skeletons, clips.labels, stream, params.view.frames, params.seed)
    usable = len(prompts.usable())
    update = {
        "prompts": prompts.widths,
        "dimension": params.objective.dimension or max(prompts.widths.values()),
        "clips": usable,
        "left_out": len(clips) - usable,
        "training": params.model_dump(),
    }
    config = config.model_copy(update=update)
    data = [
        clips.skeletons.joints.tensor,
        clips.skeletons.lengths,
        torch.from_numpy(clips.labels),
        prompts.valid,
    ]
    keep, save_good = _kept(
        folder, config, [*data, *(features.tensor for features in prompts.features.values())]
    )
    result = pretrain(clips.skeletons, prompts, stream, params, probe, name, keep, save_good)
    return Trained(result.network, config, result.curves)


def _kept(
    folder: Path | None, config: EncoderConfig, data: list[Tensor]
) -> tuple[Keep | None, SaveGood | None]:
    """Where a training's state is kept, and how the last good network is."""
    if folder is None:
        return None, None

    def save_good(network: nn.Module, curves: list[Epoch]) -> Path:
        save_checkpoint(folder / LAST_GOOD, cast(EncoderNetwork, network), config, curves)
        return folder / LAST_GOOD

    return Keep(folder, training_key(config.model_dump(mode="json"), data)), save_good


@torch.no_grad()
def random_encoder(clips: RaggedSkeletons, stream: Stream, params: PretrainParams) -> nn.Module:
    """A freshly initialised encoder whose BatchNorm statistics are the training clips' (no weight is trained).

    With the initial statistics (mean 0, variance 1) ten blocks shrink every input to almost the same feature, and the
    baseline would say more about that than about random weights.
    """
    torch.manual_seed(params.seed)
    encoder = build_encoder(params.encoder).to(clips.device).train()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    for rows in torch.arange(len(clips)).split(BATCH):
        encoder(to_stream(test_view(clips, rows, params.view.frames), stream))
    return encoder.eval()
