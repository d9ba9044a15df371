"""Section `score` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel


class ScoreParams(ParamsModel):
    """How the engines are scored; nothing here changes what they do.

    Attributes:
        seed: of the retrieval draws.
        iou: least overlap of a detection with a true box that counts as found.
        candidates: frames in one retrieval draw.
        draws: retrieval draws averaged.
        class_template: sentence made of a class name (`{}`) for zero-shot recognition.
        bag_of_words_clips: most clips a side the bag of words is fitted and tested on (seeded
            choice).
    """

    seed: int = 0
    iou: float = Field(0.5, gt=0, le=1)
    candidates: int = Field(100, ge=2)
    draws: int = Field(10, ge=1)
    class_template: str = Field("{}", pattern=r"\{\}")
    bag_of_words_clips: int = Field(20_000, ge=2)
