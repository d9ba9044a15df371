"""Where finetuning starts: the pretrained encoder, or the same one untrained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout
from c2vl.models.encoders.registry import build_encoder
from c2vl.models.graph import SkeletonGraph
from c2vl.training.absent import absent
from c2vl.training.checkpoint import EncoderConfig, load_checkpoint
from c2vl.training.finetuning.finetune_params import Start
from c2vl.training.training_params import PretrainParams


def starts(folder: Path, chosen: Sequence[Start], seed: int) -> Iterator[tuple[Start, nn.Module]]:
    """Yield each of `chosen` with its encoder.

    `c2vl` is the checkpoint in `folder`, `scratch` one of its shape, untrained. A data set of
    skeletons alone has no checkpoint, and starts from scratch only.

    Raises:
        UserError: there is nothing to start from.
    """
    missing = absent(folder)
    if missing is not None and "scratch" not in chosen:
        raise UserError(
            f"{folder} holds no encoder, and `starts` has no `scratch`; add it to params.yaml."
        )
    checkpoint = load_checkpoint(folder) if missing is None else None
    config = missing if checkpoint is None else checkpoint.config
    assert config is not None
    for start in chosen:
        if start == "scratch":
            torch.manual_seed(seed)
            yield start, build_encoder(config.encoder, SkeletonGraph.of(config.layout))
        elif checkpoint is not None:
            yield start, checkpoint.encoder


def config_of(folder: Path, layout: SkeletonLayout) -> tuple[EncoderConfig, PretrainParams]:
    """A checkpoint's config, and the parameters that it was pretrained with.

    Raises:
        UserError: the config does not say them, or it was pretrained on another skeleton.
    """
    config = absent(folder) or load_checkpoint(folder).config
    if not config.layout.fits(layout):
        raise UserError(
            f"{folder} was pretrained on the skeleton {config.layout.name}, but these clips have "
            f"{layout.name}; an encoder can only be finetuned on its own skeleton."
        )
    try:
        return config, PretrainParams.model_validate(config.training)
    except ValidationError:
        raise UserError(
            f"{folder / 'config.json'} is of another version of c2vl; run `dvc repro -f pretrain`."
        ) from None
