"""What the tests of data sets share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project; stages run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    return tmp_path
