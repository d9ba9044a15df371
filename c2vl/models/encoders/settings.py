"""Width and depth of the encoders of the paper's Table VIII: as published, and for the demo."""

from __future__ import annotations

from c2vl.models.encoders.registry import (
    CTRGCNParams,
    GRUParams,
    MSG3DParams,
    SkeletonEncoderParams,
    STGCNParams,
    TransformerParams,
)

PUBLISHED: dict[str, SkeletonEncoderParams] = {
    "stgcn": STGCNParams(partition="published", init="published"),
    "ctrgcn": CTRGCNParams(),
    "msg3d": MSG3DParams(),
    "gru": GRUParams(),
    "transformer": TransformerParams(),
}
"""The authors' settings, sources in docs/encoders.md."""

TWO_CORES: dict[str, SkeletonEncoderParams] = {
    "stgcn": STGCNParams(width=8, blocks=6, persons="present"),
    "ctrgcn": CTRGCNParams(width=8, blocks=4, persons="present"),
    "msg3d": MSG3DParams(width=12, blocks=2, spatial_scales=6, window_scales=3, persons="present"),
    "gru": GRUParams(width=96),
    "transformer": TransformerParams(width=160, frames=16),
}
"""For the demo's clips of 16 frames: an epoch takes one to four seconds of one core.

`python bench/encoders.py --demo` measures it.
"""
