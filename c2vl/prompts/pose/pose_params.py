"""Section `pose` of `params.yaml`."""

from __future__ import annotations

from pydantic import Field

from c2vl.core.params import ParamsModel
from c2vl.prompts.engines.pose import PoseEngineParams


class PoseParams(ParamsModel):
    """Section `pose`. The people are found by the detector of section `crop`.

    Attributes:
        compare: also find skeletons in the videos of clips that have one, train an encoder on them
            and show its results beside those on the sensor's skeletons.
        frames: most frames of a clip that get joints; a longer clip is sampled evenly.
        look_every: the detector looks for people in one of so many of these frames. Between two
            looks, the boxes move evenly.
        max_failed: share of failed samples above which the stage fails.
        engine: finds the joints.
    """

    compare: bool = False
    frames: int = Field(default=300, ge=1)
    look_every: int = Field(default=4, ge=1)
    max_failed: float = Field(default=0.1, ge=0, le=1)
    engine: PoseEngineParams
