"""`c2vl doctor`: a healthy project passes, and every thing that would stop a run is a line that says what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from c2vl.cli import main
from c2vl.doctor import machine, project
from c2vl.doctor.finding import Finding, examine

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with the demo's parameters and the shipped checkpoints."""
    shutil.copy(ROOT / "profiles/demo.yaml", tmp_path / "params.yaml")
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    for name in ("C2VL_DEVICE", "C2VL_STORE", "C2VL_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def change(path: str, value: object) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    *parts, last = path.split(".")
    place = params
    for part in parts:
        place = place[part]
    place[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(params))


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.what: finding.state for finding in findings}


def test_shipped_checkpoints_are_complete(here: Path) -> None:
    assert states(examine("checkpoints", project.checkpoints)) == {"detector": "ok", "captioner": "ok", "encoder": "ok"}


def test_a_checkpoint_without_weights_is_named_and_the_others_are_still_checked(here: Path) -> None:
    half = here / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    change("caption.captioner.model", "half")
    found = examine("checkpoints", project.checkpoints)
    assert states(found) == {"detector": "ok", "captioner": "FAIL", "encoder": "ok"}
    assert "model.safetensors" in found[1].said


def test_a_hub_model_that_is_not_here_is_a_note_without_asking_the_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    change("embed.encoder.model", "nobody/nothing")
    found = {finding.what: finding for finding in examine("checkpoints", project.checkpoints)}
    assert found["encoder"].state == "note" and "hf download nobody/nothing" in found["encoder"].todo


def test_videos_are_read_back_frame_by_frame() -> None:
    assert "FAIL" not in states(examine("video", project.decoders)).values()


def test_missing_raw_data_fails_and_says_where_to_put_it(here: Path) -> None:
    change("data.dataset", "ntu60")
    change("data.raw", "data/raw")
    (finding,) = examine("data", project.data)
    assert finding.state == "FAIL" and "data/raw" in finding.said


def test_samples_are_counted_by_name_alone(here: Path) -> None:
    raw = here / "data" / "studio"
    raw.mkdir(parents=True)
    for name in ("S001C001P001R001A001.skeleton", "S001C001P001R001A001_rgb.avi", "S001C002P001R001A001.skeleton"):
        (raw / name).touch()
    (finding,) = examine("data", project.data)
    assert "2 skeletons and 1 videos of 2 samples" in finding.said


def test_a_device_that_is_not_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_DEVICE", "cuda:77")
    assert states(examine("device", machine.device))["device"] == "FAIL"


def test_a_store_that_cannot_be_written_fails(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    found = examine("disks", machine.disks)
    assert found[0].state == "FAIL" and "Read-only" in found[0].said and "C2VL_STORE" in found[0].todo


@pytest.mark.parametrize(
    ("remote", "state", "said"),
    [(None, "note", "none"), ("remote", "ok", "nothing there yet"), ("ssh://127.0.0.1:1/x", "FAIL", "")],
)
def test_the_remote_is_asked(here: Path, remote: str | None, state: str, said: str) -> None:
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    if remote:
        subprocess.run([*dvc, "remote", "add", "-q", "-d", "lab", remote], check=True)
    (finding,) = examine("DVC remote", project.remote)
    assert finding.state == state and said in finding.said


def test_the_exit_code_tells_whether_a_run_would_stop(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(project, "remote", lambda: iter([Finding("ok", "DVC remote", "answers")]))
    main(["doctor"])
    assert "FAIL" not in capsys.readouterr().out
    change("crop.detector.model", "checkpoints/of/nobody")
    with pytest.raises(SystemExit) as stopped:
        main(["doctor"])
    assert stopped.value.code == 1
    assert "FAIL  detector" in capsys.readouterr().out
