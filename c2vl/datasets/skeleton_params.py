"""Section `skeleton` of `params.yaml`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from c2vl.core.params import ParamsModel

Rules = Literal["ctrgcn", "aligned"]
Solo = Literal["zeros", "copy"]


class SkeletonParams(ParamsModel):
    """How skeletons are denoised, see `c2vl.datasets.skeletons.denoise`."""

    rules: Rules = Field(
        description="`ctrgcn`: the published rules, oddities included; `aligned`: a body stays at "
        "its own frames after a gap."
    )
    solo: Solo | None = Field(
        default=None,
        description="Second slot of one-person clips; empty: NTU60 zeros, NTU120 copy.",
    )
    max_failed: float = Field(
        ge=0, le=1, description="Share of failed samples above which the stage fails."
    )

    def solo_of(self, dataset: str) -> Solo:
        """`solo`, or what the field's published files of `dataset` hold."""
        return self.solo or ("copy" if dataset == "ntu120" else "zeros")
