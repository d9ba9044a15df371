"""The store of trainings: complete or absent, damage is noticed, size is bounded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from c2vl.core.errors import UserError
from c2vl.store import trained
from c2vl.store.trained import MANIFEST, TrainedStore, previous_files

FILES = {"encoder.safetensors": bytes(range(256)), "curves.csv": b"epoch,loss\n1,0.5\n"}
ABOUT = {"name": "pretrain xsub-joint", "params": {"beta": 0.2}}


@pytest.fixture
def store(tmp_path: Path) -> TrainedStore:
    return TrainedStore(tmp_path / "trained", 10_000)


def test_what_was_put_is_taken_byte_for_byte(store: TrainedStore) -> None:
    assert store.take("aa") is None and not store.has("aa")
    store.put("aa", FILES, ABOUT)
    assert store.take("aa") == FILES
    assert [(entry.key, entry.about) for entry in store.entries()] == [("aa", ABOUT)]
    assert store.left_over() == store.damaged() == []


def test_every_flipped_byte_is_noticed_and_the_entry_set_aside(store: TrainedStore, capsys) -> None:
    store.put("aa", FILES, ABOUT)
    folder = store.folder / "aa"
    for name in (*FILES, MANIFEST):
        whole = (folder / name).read_bytes()
        for place in range(0, len(whole), 7):
            bent = bytearray(whole)
            bent[place] ^= 1
            (folder / name).write_bytes(bent)
            if name != MANIFEST or json.loads(whole) != _read(bytes(bent)):  # else only formatting
                assert store.take("aa") is None, (name, place)
                assert "damaged" in capsys.readouterr().err
                (store.folder / "aa.damaged").rename(folder)
            (folder / name).write_bytes(whole)
    assert store.take("aa") == FILES
    (folder / "curves.csv").unlink()
    assert store.take("aa") is None
    store.put("aa", FILES, ABOUT)
    assert store.take("aa") == FILES
    assert store.left_over() == [store.folder / "aa.damaged"]
    assert [entry.key for entry in store.entries()] == ["aa"]


def _read(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


@pytest.mark.parametrize("step", range(4))
def test_a_writer_killed_at_any_step_leaves_no_entry(
    step: int, store: TrainedStore, monkeypatch
) -> None:
    """Before each of the three files, and before the folder gets its name."""
    calls = iter(range(100))
    real = {name: getattr(trained, name) for name in ("write_bytes", "write_json")}

    def killed(name):
        def write(*arguments):
            if next(calls) == step:
                raise KeyboardInterrupt
            return real[name](*arguments)

        return write

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(trained, name, killed(name))
        if step == 3:
            patch.setattr(Path, "rename", killed("write_bytes"))
        patch.setattr(trained.shutil, "rmtree", lambda *_, **__: None)  # nothing is tidied up
        with pytest.raises(KeyboardInterrupt):
            store.put("aa", FILES, ABOUT)
    assert store.take("aa") is None and store.entries() == []
    parts = list(store.folder.iterdir())
    assert len(parts) == 1
    assert store.left_over() == []  # its writer may be alive
    os.utime(parts[0], (0, 0))
    assert store.left_over() == parts
    store.put("aa", FILES, ABOUT)
    assert store.take("aa") == FILES


def test_the_entries_unused_for_longest_give_way(tmp_path: Path) -> None:
    store = TrainedStore(tmp_path, 10_000)
    for number, key in enumerate("abcd"):
        store.put(key, {"weights": bytes(2000)}, {"name": key})
        os.utime(store.folder / key / MANIFEST, (number, number))
    store.take("a")
    store.put("e", {"weights": bytes(4000)}, {"name": "e"})
    assert sorted(entry.key for entry in store.entries()) == ["a", "d", "e"]
    store.put("f", {"weights": bytes(20_000)}, {"name": "f"})  # larger than the bound by itself
    assert [entry.key for entry in store.entries()] == ["f"]


def test_clean_spares_what_outputs_name_and_the_last_of_each_training(store: TrainedStore) -> None:
    for number, (key, name) in enumerate({"a": "x", "b": "x", "c": "x", "d": "y"}.items()):
        store.put(key, FILES, {"name": name})
        os.utime(store.folder / key / MANIFEST, (number, number))
    goes = store.superfluous({"a"})
    assert [entry.key for entry in goes] == ["b"]
    store.remove(goes[0].folder)
    assert sorted(path.name for path in store.folder.iterdir()) == ["a", "c", "d"]


def test_a_disk_that_takes_nothing_is_a_sentence_and_no_error(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    TrainedStore(tmp_path / "file" / "trained", 10).put("aa", FILES, ABOUT)
    assert "pretrain xsub-joint" in capsys.readouterr().err


def test_the_bound_is_a_number(monkeypatch) -> None:
    for wrong in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv("C2VL_TRAINED_GB", wrong)
        with pytest.raises(UserError, match="C2VL_TRAINED_GB"):
            TrainedStore(Path("nowhere"))
    monkeypatch.setenv("C2VL_TRAINED_GB", "0.5")
    assert TrainedStore(Path("nowhere")).most_bytes == 500_000_000


def test_an_output_that_dvc_removed_is_found_in_its_cache(tmp_path: Path, monkeypatch) -> None:
    out = Path("results/baselines/xsub")
    cache = {"infonce/curves.csv": (tmp_path / "1f", "1f"), "random/x": (tmp_path / "2e", "2e")}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained, "cached_files", lambda path: cache if path == out else {})
    assert previous_files(out / "infonce") == {"curves.csv": tmp_path / "1f"}
    assert set(previous_files(out)) == set(cache)
    (out / "infonce").mkdir(parents=True)
    (out / "infonce/curves.csv").write_text("there")
    assert previous_files(out / "infonce") == {"curves.csv": out / "infonce/curves.csv"}
