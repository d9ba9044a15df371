"""Where finetuning starts: the pretrained encoder, or the same one untrained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from c2vl.errors import UserError
from c2vl.finetuning.params import Start
from c2vl.models.registry import build_encoder
from c2vl.skeletons.views import ViewParams
from c2vl.training.checkpoint import EncoderConfig, load_checkpoint


def starts(folder: Path, chosen: Sequence[Start], seed: int) -> Iterator[tuple[Start, nn.Module]]:
    """Yield each of `chosen` with its encoder: `c2vl` is the checkpoint in `folder`, `scratch` one of its shape, untrained."""
    checkpoint = load_checkpoint(folder)
    for start in chosen:
        if start == "c2vl":
            yield start, checkpoint.encoder
        else:
            torch.manual_seed(seed)
            yield start, build_encoder(checkpoint.config.encoder)


def config_of(folder: Path) -> tuple[EncoderConfig, ViewParams]:
    """A checkpoint's config, and the view that it was pretrained on.

    Raises:
        UserError: the config does not say it.
    """
    config = load_checkpoint(folder).config
    if "view" not in config.training:
        raise UserError(f"{folder / 'config.json'} does not hold the view of pretraining; run `dvc repro -f pretrain`.")
    return config, ViewParams.model_validate(config.training["view"])
