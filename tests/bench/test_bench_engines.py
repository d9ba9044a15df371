"""The benchmark's full-size engines have the size of the published ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("engine", "millions"),
    # Number of parameters as the hub shows it for the three checkpoints.
    [
        ("detector", 232),
        ("captioner", 7063),
        ("encoder", 428),
    ],
)
def test_full_size_engines_have_the_published_number_of_parameters(
    engine: str, millions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "path", [str(Path(__file__).resolve().parents[2] / "bench"), *sys.path]
    )
    import full_size

    model = full_size.build(engine, torch.device("meta"), torch.bfloat16)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == millions
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
