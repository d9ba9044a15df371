"""Random generators named by their purpose, so that any part of the world can be made alone."""

from __future__ import annotations

import zlib

import numpy as np


def generator(*purpose: int | str) -> np.random.Generator:
    """The random generator of one purpose, such as `generator("room", world_seed, setup)`."""
    return np.random.default_rng(
        [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in purpose]
    )
