"""Section `studio` of `params.yaml`: how large the synthetic world is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from c2vl.core.params import ParamsModel


class StudioParams(ParamsModel):
    """Size and seed of the world; samples = actions x subjects x repetitions x 3 cameras."""

    seed: int = Field(ge=0, description="Everything in the world follows from it.")
    setups: int = Field(ge=1, le=32, description="Rooms; subjects are spread over them.")
    subjects: int = Field(
        ge=2, le=106, description="People; two are needed for two-person actions."
    )
    repetitions: int = Field(ge=1, le=99, description="Times each subject performs each action.")
    height: int = Field(
        ge=72, le=1080, description="Pixels of the videos; the width follows from 16:9."
    )
    frames_per_second: int = Field(ge=5, le=60)
    broken: int = Field(
        ge=0, description="Samples broken on purpose (missing skeleton, truncated video, no body)."
    )
    actions: list[str] | Literal["all"] | None = Field(
        default=None, description="Only these classes; null: the demo's 20; all: 32."
    )
