"""The four ways to get an encoder that a comparison needs, behind one call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from c2vl.errors import UserError
from c2vl.models.encode import BATCH
from c2vl.models.registry import build_encoder
from c2vl.skeletons.ragged import RaggedSkeletons
from c2vl.skeletons.streams import Stream, to_stream
from c2vl.skeletons.views import test_view
from c2vl.training.checkpoint import BareEncoder, EncoderConfig, EncoderNetwork, Method
from c2vl.training.clips import Clips
from c2vl.training.curves import Epoch
from c2vl.training.params import BaselinesParams, PretrainParams
from c2vl.training.pretrain import pretrain
from c2vl.training.probe import Probe
from c2vl.training.prompts import Prompts
from c2vl.training.supervised import train_supervised


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
) -> Trained:
    """Train an encoder on a train split by one of the methods.

    `c2vl` is the objective of `params`; `infonce` the same with hard targets; `supervised` the same encoder on labels;
    `random` an untrained one. Labels reach the first two only through the probe, which changes nothing.

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
        return Trained(BareEncoder(random_encoder(clips.skeletons, stream, params)), config.model_copy(update={"clips": 0}), [])
    if method == "supervised":
        params = baselines.supervised_schedule(params)
        network, curves = train_supervised(clips.skeletons, clips.labels, classes, stream, params, name)
        return Trained(network, config.model_copy(update={"classes": classes, "training": params.model_dump()}), curves)
    if method == "infonce":
        params = params.model_copy(update={"objective": params.objective.as_infonce()})
    if prompts is None:
        raise UserError(f"Pretraining by {method} needs knowledge prompts; run `dvc repro embed`.")
    probe = Probe(clips.skeletons, clips.labels, stream, params.view.frames, params.seed)
    result = pretrain(clips.skeletons, prompts, stream, params, probe, name)
    dimension = result.network.skeleton_head.out_features
    update = {
        "prompts": prompts.widths,
        "dimension": dimension,
        "clips": len(clips) - result.left_out,
        "left_out": result.left_out,
        "training": params.model_dump(),
    }
    return Trained(result.network, config.model_copy(update=update), result.curves)


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
    for rows in torch.arange(len(clips), device=clips.device).split(BATCH):
        encoder(to_stream(test_view(clips, rows, params.view.frames), stream))
    return encoder.eval()
