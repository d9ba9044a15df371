"""The benchmark's full-size engines are those of the published configurations."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("engine", "millions"),
    # As the hub counts the three checkpoints' parameters.
    [
        ("detector", 232),
        ("captioner", 7063),
        ("encoder", 428),
    ],
)
def test_full_size_is_full_size(
    engine: str, millions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "path", [str(Path(__file__).resolve().parents[2] / "bench"), *sys.path]
    )
    import full_size

    model = full_size.build(engine, torch.device("meta"), torch.bfloat16)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == millions
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
