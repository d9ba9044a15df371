"""Section `embed` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.prompts.engines.encoder import EncoderParams


class EmbedParams(ParamsModel):
    """Section `embed`.

    Attributes:
        max_failed: share of failed rows above which the stage fails.
        encoder: the engine.
    """

    max_failed: float = Field(ge=0, le=1)
    encoder: EncoderParams
