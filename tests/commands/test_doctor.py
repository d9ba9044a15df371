"""`c2vl doctor`: a working project passes; each fault is a line that says what to do."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from ntu_text import Record, text

from c2vl.cli import main
from c2vl.commands.checks import data, dvc_remote, engines, git, machine, video
from c2vl.commands.checks import run as run_checks
from c2vl.commands.checks.finding import Finding, examine
from c2vl.core import tables
from c2vl.core.sharing import share

ROOT = Path(__file__).resolve().parents[2]


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
    return {finding.topic: finding.state for finding in findings}


def test_shipped_checkpoints_are_complete(here: Path) -> None:
    assert states(examine("engines", engines.engines)) == {
        "detector": "ok",
        "captioner": "ok",
        "encoder": "ok",
        "pose engine": "ok",
    }


def test_a_checkpoint_without_weights_is_named_and_the_others_are_still_checked(here: Path) -> None:
    half = here / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    change("caption.captioner.model", "half")
    found = examine("engines", engines.engines)
    others = {"detector": "ok", "encoder": "ok", "pose engine": "ok"}
    assert states(found) == {**others, "captioner": "FAIL"}
    assert "model.safetensors" in found[1].found


def test_a_hub_model_that_is_not_cached_is_a_note_without_the_network(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    change("embed.encoder.model", "nobody/nothing")
    found = {finding.topic: finding for finding in examine("engines", engines.engines)}
    assert (
        found["encoder"].state == "note" and "hf download nobody/nothing" in found["encoder"].todo
    )


def test_an_old_transformers_fails_although_it_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "5.17.0" if name == "transformers" else installed(name),
    )
    ok, old = machine.packages()
    assert (ok.state, old.state) == (
        "ok",
        "FAIL",
    ) and "transformers 5.17.0 is older than 5.23" in old.found


def test_the_oldest_packages_are_those_of_the_installation() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name, (major, minor) in machine.OLDEST.items():
        assert f"{name}>={major}.{minor}" in needs


def test_videos_are_read_back_frame_by_frame() -> None:
    assert "FAIL" not in states(examine("video", video.decoders)).values()


def test_missing_raw_data_fails_and_names_the_folder(here: Path) -> None:
    change("data.dataset", "ntu60")
    change("data.raw", "data/raw")
    (finding,) = examine("data", data.data)
    assert finding.state == "FAIL" and "data/raw" in finding.found


def test_samples_are_counted_by_file_names(here: Path) -> None:
    raw = here / "data" / "studio"
    raw.mkdir(parents=True)
    for name in (
        "S001C001P001R001A001.skeleton",
        "S001C001P001R001A001_rgb.avi",
        "S001C002P001R001A001.skeleton",
    ):
        (raw / name).touch()
    (finding,) = examine("data", data.data)
    assert "2 skeletons and 1 videos of 2 samples" in finding.found


@pytest.mark.parametrize(("unit", "states"), [(1.0, ["ok"]), (1000.0, ["ok", "note"])])
def test_a_skeleton_in_millimetres_is_noticed(here: Path, unit: float, states: list[str]) -> None:
    raw = here / "data" / "studio"
    raw.mkdir(parents=True)
    joints = np.zeros((25, 3), np.float32)
    joints[20] = (0, 0.5 * unit, 0)
    (raw / "S001C001P001R001A001.skeleton").write_bytes(text(1, [Record(0, "7", joints)]))
    (raw / "S001C001P001R001A001_rgb.avi").touch()
    findings = examine("data", data.data)
    assert [finding.state for finding in findings] == states
    assert ("not in metres" in findings[-1].found) == (unit > 1)


def real(dataset: str, raw: str) -> None:
    change("data.dataset", dataset)
    change("data.benchmarks", ["xsub"])
    change("data.raw", raw)


def test_a_preprocessed_file_needs_published_answers_and_no_detector(
    here: Path,
) -> None:
    real("ntu60", "NTU60_CS.npz")
    joints, labels = np.ones((2, 30, 150), np.float32), np.eye(60)[:2]
    np.savez(here / "NTU60_CS.npz", x_train=joints, y_train=labels, x_test=joints, y_test=labels)
    assert states(examine("data", data.data)) == {"data": "ok"}
    assert states(examine("engines", engines.engines)) == {
        "detector": "ok",
        "captioner": "note",
        "encoder": "ok",
    }
    (here / "answers.json").write_text('{"train_000000": ["He waves.", "He stands."]}')
    change("caption.published", "answers.json")
    found = {finding.topic: finding for finding in examine("engines", engines.engines)}
    assert found["captioner"].state == "ok" and "2 sentences of 1 clips" in found["captioner"].found
    change("data.benchmarks", ["xview"])
    assert states(examine("data", data.data)) == {"data": "FAIL"}


def test_pku_mmd_files_are_counted_by_their_names(here: Path) -> None:
    real("pku1", "raw")
    for name, content in {
        "s/0002-L.txt": "0 " * 150,
        "l/0002-L.txt": "1,2,30,4",
        "v/0002-L.avi": "",
    }.items():
        (here / "raw" / name).parent.mkdir(parents=True)
        (here / "raw" / name).write_text(content + "\n")
    counted, split = examine("data", data.data)
    assert counted.state == "ok" and "1 long skeletons with labels and 1 videos" in counted.found
    assert split.state == "FAIL" and "cross-subject.txt" in split.todo


def test_archives_are_counted_and_skeletons_alone_need_published_answers(here: Path) -> None:
    real("ntu60", "raw")
    (here / "raw").mkdir()
    with zipfile.ZipFile(here / "raw/all.zip", "w") as archive:
        archive.writestr("nturgb+d_skeletons/S001C001P001R001A001.skeleton", "0")
        archive.writestr("nturgb+d_skeletons/S018C001P001R001A061.skeleton", "0")  # of NTU120
    (finding,) = examine("data", data.data)
    assert finding.state == "note" and "caption.published" in finding.todo
    assert "1 skeletons and 0 videos of 1 samples as ntu60, 1 of other data sets" in finding.found


def test_skeletons_with_published_answers_need_the_encoder_only(
    here: Path,
) -> None:
    real("ntu60", "raw")
    (here / "raw").mkdir()
    (here / "raw/S001C001P001R001A001.skeleton").touch()
    (here / "answers.json").write_text('{"S001C001P001R001A001": ["He waves."]}')
    change("caption.published", "answers.json")
    for model in ("crop.detector.model", "caption.captioner.model"):
        change(model, "not/there/at/all")
    assert states(examine("engines", engines.engines)) == {
        "detector": "ok",
        "captioner": "ok",
        "encoder": "ok",
    }
    # With a video there are crops to make, for the vision prompts.
    (here / "raw/S001C001P001R001A001_rgb.avi").touch()
    assert states(examine("engines", engines.engines)) == {
        "detector": "FAIL",
        "captioner": "ok",
        "encoder": "ok",
        "pose engine": "ok",  # with `pose.compare`
    }


# --- what runs died of, each found beforehand ---


def deaths(here: Path) -> list[str]:
    return [
        f"{one.topic}: {one.found} {one.todo}"
        for one in examine("run", run_checks.run)
        if one.state == "FAIL"
    ]


def clips(here: Path, skeletons: int, videos: int) -> None:
    """Skeletons of subjects 1 to …, and videos of the last of them and of others."""
    raw = here / "raw"
    raw.mkdir(exist_ok=True)
    for number in range(1, skeletons + 1):
        (raw / f"S001C00{number % 3 + 1}P{number:03d}R001A001.skeleton").touch()
    for number in range(skeletons, skeletons + videos):
        (raw / f"S001C00{number % 3 + 1}P{number:03d}R001A001_rgb.avi").touch()


def test_more_skeletons_without_a_video_than_crop_allows(here: Path) -> None:
    real("ntu60", "raw")
    clips(here, skeletons=16, videos=7)
    (found,) = deaths(here)
    assert "15 of 16 skeletons have no video" in found and "crop.max_failed" in found
    change("crop.max_failed", 0.95)
    assert deaths(here) == []


def test_a_split_without_clips(here: Path) -> None:
    real("ntu60", "raw")
    clips(here, skeletons=2, videos=0)  # subjects 1 and 2 train
    (found,) = deaths(here)
    assert "xsub has 0 test clips" in found
    change("data.benchmarks", ["xview"])
    clips(here, skeletons=6, videos=0)
    assert deaths(here) == []


def test_a_transfer_target_without_test_clips(here: Path) -> None:
    real("ntu60", "raw")
    clips(here, skeletons=6, videos=6)
    change("data.benchmarks", ["xview"])
    change("crop.max_failed", 1.0)
    target = here / "data/other"
    target.mkdir(parents=True)
    (target / "S001C001P001R001A001.skeleton").touch()
    change("transfer.targets", {"other": {"dataset": "ntu120", "raw": "data/other"}})
    change("transfer.targets.other.benchmark", "xset")
    assert [one.split(" in ")[0] for one in deaths(here)] == ["splits: xset has 0 train clips"]
    change("transfer.targets.other.dataset", "pku2")  # in whose format nothing lies there
    change("transfer.targets.other.benchmark", "xsub")
    assert deaths(here)


def test_published_answers_without_videos_teach_language_alone(here: Path) -> None:
    real("ntu60", "raw")
    clips(here, skeletons=6, videos=0)
    change("data.benchmarks", ["xview"])
    (here / "answers.json").write_text('{"S001C001P001R001A001": ["He waves."]}')
    change("caption.published", "answers.json")
    (found,) = deaths(here)
    assert "pretrain.objective.knowledge" in found and "language" in found
    change("pretrain.objective.knowledge", "language")
    assert deaths(here) == []


def test_skeletons_alone_have_no_other_start_than_scratch(here: Path) -> None:
    real("ntu60", "raw")
    clips(here, skeletons=6, videos=0)
    change("data.benchmarks", ["xview"])
    change("semi.starts", ["c2vl"])
    (found,) = deaths(here)
    assert "semi.starts" in found


def test_what_the_index_has_too_few_of(here: Path) -> None:
    rows = [
        {"sample": f"S001C001P00{n}R001A001", "label": 0, "action": 1, "dataset": "studio"}
        | {"xsub": "train", "xview": "", "status": "ok", "reason": "", "video_frames": n}
        for n in range(1, 5)
    ]
    schema = tables.schemas.index(["xsub", "xview"])
    tables.write(here / "data/index/index.parquet", tables.table_of(rows, schema))
    found = deaths(here)
    assert [one.split(" in ")[0] for one in found] == [
        "splits: xsub has 0 test clips",
        "splits: xview has 0 train clips",
        "splits: xview has 0 test clips",
    ]
    notes = [one.found for one in examine("run", run_checks.run) if one.state == "note"]
    assert "`pretrain.batch` 32 is more than the 4 training clips of xsub" in notes[0]
    assert "3 videos have fewer frames than `crop.frames_per_clip`" in notes[1]


def test_a_folder_without_git_is_said_with_what_to_do(here: Path) -> None:
    dvc = [sys.executable, "-m", "dvc"]
    (finding,) = examine("git", git.git)
    assert finding.state == "FAIL" and "git init" in finding.todo and "no_scm" in finding.todo
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    (finding,) = examine("git", git.git)
    assert finding.state == "ok"
    (here / ".dvc/config").write_text("")
    assert examine("DVC remote", dvc_remote.remote) == []  # no advice on credentials
    (here / ".git").mkdir()
    (finding,) = examine("git", git.git)
    assert finding.state == "ok"


def test_data_of_real_people_that_would_be_pushed_are_reported(here: Path) -> None:
    shutil.copy(ROOT / "dvc.yaml", here)
    real("ntu60", "raw")
    (here / "raw").mkdir()
    (here / "raw/S001C001P001R001A001.skeleton").touch()
    share(["skeletons"])
    assert states(examine("data", data.data))["sharing"] == "note"
    share([])
    assert "sharing" not in states(examine("data", data.data))


def test_a_captioning_server_is_asked_and_needs_no_checkpoint(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change("caption.captioner.model", "not/there/at/all")
    change("caption.captioner.server", {"model": "llava", "revision": None})
    monkeypatch.delenv("C2VL_CAPTION_URL", raising=False)

    def captioner() -> Finding:
        return examine("engines", engines.engines)[1]

    assert captioner().state == "FAIL" and "C2VL_CAPTION_URL" in captioner().found
    monkeypatch.setenv("C2VL_CAPTION_URL", "http://127.0.0.1:8000/v1")
    monkeypatch.setattr(
        "c2vl.prompts.engines.server.connection.Connection.get",
        lambda *_: {"data": [{"id": "llava"}]},
    )
    assert captioner() == Finding(
        "ok", "captioner", "the server http://127.0.0.1:8000/v1 lists llava"
    )


def test_the_backend_skeleton_needs_no_weights(here: Path) -> None:
    change("crop.detector.backend", "skeleton")
    change("crop.detector.model", None)
    detector = examine("engines", engines.engines)[0]
    assert detector.state == "ok" and "not needed" in detector.found


def test_groundingdino_needs_its_file_and_its_own_environment(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change("crop.detector.backend", "groundingdino")
    change("crop.detector.model", "weights/swint.pth")  # which looks like a hub id, too
    monkeypatch.delenv("C2VL_GROUNDINGDINO_PYTHON", raising=False)
    assert "wants an original .pth" in examine("engines", engines.engines)[0].found
    (here / "weights").mkdir()
    (here / "weights/swint.pth").write_bytes(b"tensors")
    assert "C2VL_GROUNDINGDINO_PYTHON" in examine("engines", engines.engines)[0].found
    monkeypatch.setenv("C2VL_GROUNDINGDINO_PYTHON", sys.executable)
    _, environment, *_ = examine("engines", engines.engines)
    assert environment.state == "FAIL" and "make groundingdino" in environment.todo


def test_a_wrong_parameter_is_named_and_the_others_are_still_checked(here: Path) -> None:
    change("crop.margin", 7)
    detector, *others = examine("engines", engines.engines)
    assert (
        detector.state == "FAIL"
        and "`crop.margin`" in detector.found
        and {other.state for other in others} == {"ok"}
    )


def test_a_missing_device_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_DEVICE", "cuda:77")
    assert states(examine("device", machine.device))["device"] == "FAIL"


def test_a_store_that_cannot_be_written_fails(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refuse)
    found = examine("disks", machine.disks)
    assert (
        found[0].state == "FAIL" and "Read-only" in found[0].found and "C2VL_STORE" in found[0].todo
    )


def test_a_store_folder_that_does_not_exist_fails(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_STORE", str(here / "not mounted"))
    found = states(examine("disks", machine.disks))
    assert found["store"] == "FAIL" and found["project"] != "FAIL"


@pytest.mark.parametrize(
    ("remote", "state", "found"),
    [
        (None, "note", "none"),
        ("remote", "ok", "nothing there yet"),
        ("ssh://127.0.0.1:1/x", "FAIL", ""),
    ],
)
def test_the_remote_is_checked(here: Path, remote: str | None, state: str, found: str) -> None:
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    if remote:
        subprocess.run([*dvc, "remote", "add", "-q", "-d", "lab", remote], check=True)
        unverified = examine("DVC remote", dvc_remote.remote)[0]
        assert (unverified.state, unverified.todo) == (
            "note",
            "`dvc remote modify lab verify true`",
        )
        subprocess.run([*dvc, "remote", "modify", "-q", "lab", "verify", "true"], check=True)
    (finding,) = examine("DVC remote", dvc_remote.remote)
    assert finding.state == state and found in finding.found


def test_the_exit_code_tells_whether_a_run_would_stop(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        dvc_remote, "remote", lambda: iter([Finding("ok", "DVC remote", "answers")])
    )
    (here / ".git").mkdir()
    main(["doctor"])
    assert "FAIL" not in capsys.readouterr().out
    change("crop.detector.model", "checkpoints/of/nobody")
    with pytest.raises(SystemExit) as stopped:
        main(["doctor"])
    assert stopped.value.code == 1
    assert "FAIL  detector" in capsys.readouterr().out


def test_a_captioner_of_clips_is_asked_whether_it_takes_their_crops(here: Path) -> None:
    change("caption.per", "clip")
    found = [one for one in examine("engines", engines.engines) if one.topic == "captioner"]
    assert [one.state for one in found] == ["ok", "ok"]
    assert found[1].found == "its processor takes the 4 crops of a clip in a question"
    change("crop.frames_per_clip", 16)
    found = [one for one in examine("engines", engines.engines) if one.topic == "captioner"]
    assert found[-1].state == "FAIL" and "A question about 16 images" in found[-1].found
    Path("answers.json").write_text('{"S001C001P001R001A001": ["He stands.", "He sits."]}')
    change("caption.published", "answers.json")
    (found,) = [one for one in examine("engines", engines.engines) if one.topic == "captioner"]
    assert found.state == "FAIL" and "holds up to 2 sentences of a clip" in found.found
