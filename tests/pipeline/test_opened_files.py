"""What tells which files a stage reads sees each of them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from opened_files import opened_files


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_a_file_that_is_opened_is_seen(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("read", "sub/read", "not"):
        (tmp_path / name).write_text("text")
    with opened_files(tmp_path) as found:
        (tmp_path / "read").read_text()
        shutil.copy(tmp_path / "sub/read", tmp_path / "written")
    assert found == {"read", "sub/read"}
