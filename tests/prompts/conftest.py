"""What the tests of prompts share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained checkpoint of each tiny engine."""
    import torch

    from c2vl.studio.engines.checkpoints import ENGINES, build, save

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained")
    for engine in ENGINES:
        save(engine, build(engine), folder / engine)
    return folder


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Three images of noise, (H, W, 3) uint8; two have the same size."""
    rng = np.random.default_rng(0)
    sizes = [(90, 160), (120, 80), (90, 160)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
