"""Looking at a store changes nothing in it, finds every damage, and says which file it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from c2vl.commands import store as command
from c2vl.core.errors import UserError
from c2vl.core.runlog import records
from c2vl.store.inventory import damaged, holdings
from c2vl.store.keys import KEY, content_key
from c2vl.store.store import Store
from c2vl.store.trained import TrainedStore

ROWS = pa.schema([pa.field("answer", pa.string()), KEY])


def filled(root: Path) -> Path:
    """A store with one segment of 20 rows; returns the segment."""
    keys = [content_key("f", number) for number in range(20)]
    rows = pa.table([[key.hex() for key in keys], pa.array(keys, KEY.type)], schema=ROWS)
    store = Store(root, "s", "f")
    return store.folder / f"{store.publish(rows)}.arrow"


def harms(whole: bytes) -> dict[str, bytes]:
    """Every kind of damage: cuts anywhere, flips anywhere, nothing at all, and one byte more."""
    cuts = {f"cut at {at}": whole[:at] for at in range(0, len(whole), max(1, len(whole) // 40))}
    flips = {
        f"flip at {at}": whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        for at in range(0, len(whole), max(1, len(whole) // 80))
    }
    footer = {
        f"footer {at}": whole[:-at] + b"\xff" + whole[len(whole) - at + 1 :] for at in range(1, 60)
    }
    return {**cuts, **flips, **footer, "empty": b"", "grown": whole + b"\0"}


def listing(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_verify_names_every_damaged_file_and_nothing_is_renamed_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("C2VL_STORE", str(tmp_path))
    segment = filled(tmp_path)
    whole = segment.read_bytes()
    for what, content in harms(whole).items():
        if content == whole:
            continue
        segment.write_bytes(content)
        before = listing(tmp_path)
        trainings = TrainedStore(tmp_path / "trained")
        (holding,) = holdings(tmp_path)
        assert list(damaged(holding)) == [segment], what
        assert holding.files == 1, what
        command.show([holding], trainings)
        with pytest.raises(UserError, match=segment.name):
            command.verify([holding], trainings)
        assert listing(tmp_path) == before, what
    capsys.readouterr()


def test_a_store_that_is_looked_at_counts_what_can_be_read_and_a_run_sets_the_rest_aside(
    tmp_path: Path,
) -> None:
    segment = filled(tmp_path)
    segment.write_bytes(segment.read_bytes()[:-40])
    looked = Store(tmp_path, "s", "f", verify=False, look=True)
    assert (looked.count(), looked.damaged, segment.exists()) == (0, 1, True)
    assert Store(tmp_path, "s", "f").damaged == 1
    assert not segment.exists() and segment.with_suffix(".damaged").exists()


def test_a_store_that_may_not_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of mode 000; root, as whom tests may run, reads it all the same."""
    segment = filled(tmp_path)
    refused = PermissionError(errno.EACCES, "Permission denied")
    scandir, listdir = os.scandir, os.listdir

    def refusing(path: str | Path = ".") -> None:
        if str(path).startswith(str(tmp_path)):
            raise refused
        return (scandir if path == "." else listdir)(path)  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refusing)
        patch.setattr(os, "scandir", refusing)
        for looking in (lambda: [*holdings(tmp_path)], lambda: Store(tmp_path, "s", "f")):
            with pytest.raises(UserError, match="does not permit you to read or write; change"):
                looking()
    if os.geteuid():
        segment.parent.chmod(0)
        try:
            with pytest.raises(UserError, match="does not permit you to read or write; change"):
                Store(tmp_path, "s", "f")
        finally:
            segment.parent.chmod(0o755)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stage": "crop"}', b"\xff"])
def test_a_damaged_run_log_is_a_sentence_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "crop.json").write_bytes(content)
    with pytest.raises(UserError, match=r"The run log .*crop\.json cannot be read .*`rm "):
        records()
