"""Where finetuning starts: the pretrained encoder, or the same one untrained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from c2vl.core.errors import UserError
from c2vl.models.encoders.registry import build_encoder
from c2vl.training.checkpoint import EncoderConfig, load_checkpoint
from c2vl.training.finetuning.finetune_params import Start
from c2vl.training.training_params import PretrainParams


def starts(folder: Path, chosen: Sequence[Start], seed: int) -> Iterator[tuple[Start, nn.Module]]:
    """Yield each of `chosen` with its encoder.

    `c2vl` is the checkpoint in `folder`; `scratch` has its shape and is untrained.
    """
    checkpoint = load_checkpoint(folder)
    for start in chosen:
        if start == "c2vl":
            yield start, checkpoint.encoder
        else:
            torch.manual_seed(seed)
            yield start, build_encoder(checkpoint.config.encoder)


def config_of(folder: Path) -> tuple[EncoderConfig, PretrainParams]:
    """A checkpoint's config, and the parameters that it was pretrained with.

    Raises:
        UserError: the config does not say them.
    """
    config = load_checkpoint(folder).config
    try:
        return config, PretrainParams.model_validate(config.training)
    except ValidationError:
        raise UserError(
            f"{folder / 'config.json'} is of another version of c2vl; run `dvc repro -f pretrain`."
        ) from None
