"""What the tests of prompts share."""

from __future__ import annotations

from pathlib import Path

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
