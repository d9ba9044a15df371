"""Train an encoder by c2vl, infonce, supervised, random; or an oracle, for experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError
from c2vl.models.clips import Clips
from c2vl.models.encode import BATCH
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.graph import SkeletonGraph
from c2vl.models.prompt_features import Prompts
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream, to_stream
from c2vl.models.views import test_view
from c2vl.training.advice import warn_of_collapse, warn_of_large_batch
from c2vl.training.checkpoint import (
    CURVES,
    WEIGHTS,
    BareEncoder,
    EncoderConfig,
    EncoderNetwork,
    Method,
    save_checkpoint,
)
from c2vl.training.curves import Epoch, from_csv, to_csv
from c2vl.training.devices import Devices
from c2vl.training.keep import LAST_GOOD, Keep
from c2vl.training.key import (
    Description,
    data_hash,
    machine_of,
    pretraining_params,
    supervised_params,
)
from c2vl.training.loop import SaveGood
from c2vl.training.pretrain import pretrain
from c2vl.training.probe import Probe
from c2vl.training.reuse import TAKEN, Reuse, previous_checkpoint, record_of
from c2vl.training.supervised import train_supervised
from c2vl.training.training_params import BaselinesParams, PretrainParams
from c2vl.training.weights import weights_of, with_weights


@dataclass(frozen=True)
class Trained:
    """A network, its config, and its curves (empty for a random encoder).

    `record` goes into `trained.json`: the key of the training, if it has one.
    """

    network: EncoderNetwork
    config: EncoderConfig
    curves: list[Epoch]
    record: dict[str, Any] | None = None


Result = tuple[nn.Module, list[Epoch]]
Run = Callable[[Keep | None, SaveGood | None], Result]
"""Trains, given where to save its state and its last good network."""


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
    reuse: Reuse | None = None,
) -> Trained:
    """Train an encoder on a train split by one of the methods.

    `c2vl` is the objective of `params`; `infonce` the same with hard targets; `supervised` the same
    encoder on labels; `random` an untrained one. Labels reach the first two only through the probe,
    which changes nothing. `oracle` has soft targets from the true labels: it says how much better
    targets could be, and is no method.

    Args:
        method: one of these.
        clips: of the train split.
        prompts: their knowledge prompts; only c2vl and infonce need them.
        classes: how many labels there are.
        benchmark: for the config and for messages.
        stream: joint, bone or motion.
        params: section `pretrain`.
        baselines: section `baselines`.
        folder: where the state of this training is saved, so that it resumes; None: nowhere.
        reuse: where a known result is taken from; None: train in any case.

    Raises:
        UserError: the method needs prompts and there are none, the encoder cannot use this
            skeleton, or training diverged.
    """
    layout = clips.skeletons.layout
    params = params.on(layout)
    config = EncoderConfig(
        method=method,
        benchmark=benchmark,
        stream=stream,
        seed=params.seed,
        encoder=params.encoder,
        frames=params.view.frames,
        clips=len(clips),
    ).on(layout)
    if method == "random":
        network = BareEncoder(random_encoder(clips.skeletons, stream, params))
        return Trained(network, config.model_copy(update={"clips": 0}), [])
    if method == "supervised":
        return _supervised(clips, classes, stream, params, baselines, config, folder, reuse)
    if prompts is None:
        raise UserError(f"Pretraining by {method} needs knowledge prompts; run `dvc repro embed`.")
    params = params_of(method, params, baselines)
    return _pretrained(clips, prompts, stream, params, config, folder, reuse)


def params_of(method: Method, params: PretrainParams, baselines: BaselinesParams) -> PretrainParams:
    """Return the parameters that a method trains with."""
    if method == "infonce":
        return params.model_copy(update={"objective": params.objective.as_infonce()})
    return baselines.supervised_schedule(params) if method == "supervised" else params


def described(config: EncoderConfig, params: PretrainParams, data: str, device: str) -> Description:
    """Return what a training depends on.

    Args:
        config: its method, benchmark, stream and number of classes.
        params: of `params_of`.
        data: `data_hash` of the data that it reads.
        device: `cpu` or `cuda`.
    """
    method = config.method
    name = f"{'pretrain' if method == 'c2vl' else method} {config.benchmark}-{config.stream}"
    if method == "supervised":
        used = {**supervised_params(params, config.stream), "classes": config.classes}
        return Description(name, "supervised", used, data, machine_of(device))
    used = pretraining_params(params, config.stream)
    used |= {"oracle": True} if method == "oracle" else {}
    return Description(name, "pretraining", used, data, machine_of(device))


def _supervised(
    clips: Clips,
    classes: int,
    stream: Stream,
    params: PretrainParams,
    baselines: BaselinesParams,
    config: EncoderConfig,
    folder: Path | None,
    reuse: Reuse | None,
) -> Trained:
    params = params_of(config.method, params, baselines)
    config = config.model_copy(update={"classes": classes, "training": params.model_dump()})

    def description() -> Description:
        data = data_hash(_tensors(clips))
        return described(config, params, data, clips.skeletons.device.type)

    def run(keep: Keep | None, save_good: SaveGood | None) -> Result:
        name = f"{config.method} {config.benchmark}-{stream}"
        return train_supervised(
            clips.skeletons, clips.labels, classes, stream, params, name, keep, save_good
        )

    trained = _taken_or_trained(run, description, config, clips.skeletons.device, folder, reuse)
    _warn(trained, "supervised", params.batch, clips)
    return trained


def _pretrained(
    clips: Clips,
    prompts: Prompts,
    stream: Stream,
    params: PretrainParams,
    config: EncoderConfig,
    folder: Path | None,
    reuse: Reuse | None,
) -> Trained:
    usable = len(prompts.usable())
    update = {
        "prompts": prompts.widths,
        "dimension": params.objective.dimension or max(prompts.widths.values()),
        "clips": usable,
        "left_out": len(clips) - usable,
        "training": params.model_dump(),
    }
    config = config.model_copy(update=update)

    def description() -> Description:
        features = [features.tensor for features in prompts.features.values()]
        data = data_hash([*_tensors(clips), prompts.valid, *features])
        return described(config, params, data, clips.skeletons.device.type)

    def run(keep: Keep | None, save_good: SaveGood | None) -> Result:
        probe = Probe(clips.skeletons, clips.labels, stream, params.view.frames, params.seed)
        name = f"{config.method} {config.benchmark}-{stream}"
        labels = torch.from_numpy(clips.labels) if config.method == "oracle" else None
        done = pretrain(
            clips.skeletons, prompts, stream, params, probe, name, keep, save_good, labels
        )
        return done.network, done.curves

    trained = _taken_or_trained(run, description, config, clips.skeletons.device, folder, reuse)
    _warn(trained, "pretraining", params.batch, clips)
    return trained


def _warn(trained: Trained, kind: str, batch: int, clips: Clips) -> None:
    """Say what went wrong without stopping the training."""
    config = trained.config
    if Devices(clips.skeletons.device).main:
        name = f"{config.method} {config.benchmark}-{config.stream}"
        warn_of_large_batch(name, batch, config.clips)
        warn_of_collapse(name, kind, trained.curves, clips.labels)


def _taken_or_trained(
    run: Run,
    description: Callable[[], Description],
    config: EncoderConfig,
    device: torch.device,
    folder: Path | None,
    reuse: Reuse | None,
) -> Trained:
    """Take the result from the store, or train with `run` and store it."""
    if folder is None and reuse is None:
        return Trained(*_network_first(run(None, None), config))
    known = description()
    if reuse:
        previous = partial(previous_checkpoint, reuse.out)
        files = reuse.take(known, (WEIGHTS, CURVES), previous)
        if files is not None:
            network = with_weights(config.build(), files[WEIGHTS], device)
            curves = from_csv(files[CURVES].decode())
            reuse.say(f"{known.name.replace('-', ' ')}: {TAKEN}.")
            record = record_of(known, files)
            return Trained(cast(EncoderNetwork, network), config, curves, record)
    keep, save_good = _kept(folder, config, known.key) if folder else (None, None)
    result = run(keep, save_good)
    if reuse is None:
        return Trained(*_network_first(result, config))
    files = {WEIGHTS: weights_of(result[0]), CURVES: to_csv(result[1]).encode()}
    reuse.keep(known, files)
    return Trained(*_network_first(result, config), record_of(known, files))


def _network_first(
    result: Result, config: EncoderConfig
) -> tuple[EncoderNetwork, EncoderConfig, list[Epoch]]:
    network, curves = result
    return cast(EncoderNetwork, network), config, curves


def _tensors(clips: Clips) -> list[Tensor]:
    """Return the tensors that a training on clips and labels reads."""
    return [*clips.skeletons.content(), torch.from_numpy(clips.labels)]


def _kept(folder: Path, config: EncoderConfig, key: str) -> tuple[Keep, SaveGood]:
    """Return where a training's state is saved, and a function that saves the last good network."""

    def save_good(network: nn.Module, curves: list[Epoch]) -> Path:
        save_checkpoint(folder / LAST_GOOD, cast(EncoderNetwork, network), config, curves)
        return folder / LAST_GOOD

    return Keep(folder, key), save_good


@torch.no_grad()
def random_encoder(clips: RaggedSkeletons, stream: Stream, params: PretrainParams) -> nn.Module:
    """A new encoder whose BatchNorm statistics are the training clips' (no weight is trained).

    With the initial statistics (mean 0, variance 1), ten blocks map every input to almost the same
    feature. The baseline would then measure this, and not random weights.
    """
    torch.manual_seed(params.seed)
    encoder = build_encoder(params.encoder, SkeletonGraph.of(clips.layout)).to(clips.device).train()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    for rows in torch.arange(len(clips)).split(BATCH):
        encoder(to_stream(test_view(clips, rows, params.view.frames), stream, clips.layout))
    return encoder.eval()
