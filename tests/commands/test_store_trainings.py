"""`c2vl store` shows, verifies and cleans trainings beside the samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from c2vl.cli import main
from c2vl.core.files import write_json
from c2vl.store.trained import MANIFEST, TrainedStore

FILES = {"encoder.safetensors": bytes(3000)}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedStore:
    """Three results of one training, the oldest of which an output has, and one of another."""
    monkeypatch.chdir(tmp_path)
    found = TrainedStore()
    for number, (key, name) in enumerate({"1a": "x", "2b": "x", "3c": "x", "4d": "y"}.items()):
        found.put(key, FILES, {"name": f"pretrain {name}"})
        os.utime(found.folder / key / MANIFEST, (number, number))
    write_json(Path("results/pretrain/x/trained.json"), {"key": "1a"})
    write_json(Path("results/finetune/semi/x/trained.json"), {"runs": [{"key": "9z"}]})
    Path("results/finetune/semi/y").mkdir()
    Path("results/finetune/semi/y/trained.json").write_text("{")
    return found


def test_show_marks_what_outputs_have(store: TrainedStore, capsys) -> None:
    main(["store"])
    lines = [line for line in capsys.readouterr().out.splitlines() if " pretrain " in line]
    assert [line[0] for line in lines] == [" ", " ", " ", "*"]  # last used first
    assert "1a" in lines[-1] and "KiB" in lines[-1]


def test_clean_removes_what_no_output_has_but_the_last_of_each(store: TrainedStore, capsys) -> None:
    (store.folder / "0.damaged").mkdir()
    main(["store", "clean", "--yes"])
    assert sorted(path.name for path in store.folder.iterdir()) == ["1a", "3c", "4d"]
    main(["store", "clean", "--yes"])
    assert "nothing to remove" in capsys.readouterr().out


def test_verify_names_a_damaged_training(store: TrainedStore, capsys) -> None:
    main(["store", "verify"])
    assert "trainings: 4, no damage" in capsys.readouterr().out
    (store.folder / "2b" / "encoder.safetensors").write_bytes(bytes(2999) + b"1")
    with pytest.raises(SystemExit):
        main(["store", "verify"])
    seen = capsys.readouterr()
    assert "1 damaged" in seen.out and "2b" in seen.err
