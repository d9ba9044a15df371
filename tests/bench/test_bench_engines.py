"""The benchmark's full-size engines have the size of the published ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("engine", "kind", "millions"),
    # Number of parameters as the hub shows it for the four checkpoints.
    [
        ("detector", "AutoModelForZeroShotObjectDetection", 232),
        ("llava", "AutoModelForImageTextToText", 7063),
        ("qwen3-vl", "AutoModelForImageTextToText", 8767),
        ("encoder", "AutoModel", 428),
    ],
)
def test_full_size_engines_have_the_published_number_of_parameters(
    engine: str, kind: str, millions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "path", [str(Path(__file__).resolve().parents[2] / "bench"), *sys.path]
    )
    import full_size
    import transformers

    full_size.write_checkpoint(engine, tmp_path)
    with full_size.random_weights(torch.device("meta")):
        model = getattr(transformers, kind).from_pretrained(str(tmp_path), dtype=torch.bfloat16)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6) == millions
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
