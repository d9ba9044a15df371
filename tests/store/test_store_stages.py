"""The stages on six clips of the studio, and the commands that look at the store, in this order."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from c2vl.cli import main
from c2vl.commands.pipeline import dvc_status
from c2vl.commands.pipeline.store_stages import STAGES
from c2vl.core import tables
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.index import build_index
from c2vl.store import inventory
from c2vl.store.run import run
from c2vl.store.status import status_of
from c2vl.studio.dataset import simulate
from c2vl.studio.studio_params import StudioParams

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
K = 2
FOLDERS = len(STAGES)  # of the store: one for the detections, none for pose, which has no samples
NOTHING = {stage.name: 0 for stage in STAGES}


class Project:
    """A folder with two rooms' clips, of which `data/raw` shows some."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params: dict[str, Any] = yaml.safe_load(
            (ROOT / "profiles" / "demo.yaml").read_text(encoding="utf-8")
        )
        self.params["crop"]["frames_per_clip"] = K
        self.params["data"]["raw"] = "data/raw"
        world = {
            "seed": 3,
            "setups": 2,
            "subjects": 2,
            "repetitions": 1,
            "height": 108,
            "frames_per_second": 15,
            "broken": 0,
        }
        simulate(StudioParams(**world, actions=["drink water"]), Path("all"), Path("truth"))

    def show(self, setup: str) -> None:
        """Put the files of a setup into the raw folder."""
        for path in sorted(Path("all").rglob("*")):
            if path.is_file() and (path.name.startswith(setup) or not path.name.startswith("S0")):
                target = Path(self.params["data"]["raw"]) / path.relative_to("all")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)

    def run(self) -> dict[str, int]:
        """Index and run all stages; how many units each computed, as `c2vl why` foretold."""
        Path("params.yaml").write_text(yaml.safe_dump(self.params), encoding="utf-8")
        tables.write(
            Path("data/index/index.parquet"), build_index(load_section("data", DataParams)).table
        )
        computed = {}
        for stage in STAGES:
            foretold = status_of(stage.open(), stage.out).count()
            notes: dict[str, Any] = {}
            run(stage.open(), stage.out, notes)
            computed[stage.name] = notes["computed"]
            assert notes["computed"] <= foretold <= notes["computed"] + notes["failed"]
        return computed

    def shards(self, setup: str = "") -> dict[str, bytes]:
        """The bytes of all outputs' shards."""
        found = sorted(path for stage in STAGES for path in stage.out.glob(f"{setup}*.parquet"))
        return {str(path): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("stages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("C2VL_HOME", str(folder / "home"))
        patch.delenv("C2VL_STORE", raising=False)
        patch.setenv("C2VL_WORKERS", "1")
        patch.setenv("C2VL_DEVICE", "cpu")
        patch.chdir(folder)
        (folder / "checkpoints").symlink_to(ROOT / "checkpoints")
        made = Project(folder)
        made.show("S001")
        first = made.run()
        assert (first["skeleton"], first["crop"], first["caption"]) == (3, 3 * K, 3 * K)
        yield made


def test_a_new_setup_costs_its_own_clips_and_leaves_the_other_shards_as_they_are(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.shards()
    project.show("S002")
    computed = project.run()
    assert (computed["skeleton"], computed["crop"], computed["caption"]) == (3, 3 * K, 3 * K)
    assert before == {path: data for path, data in project.shards().items() if path in before}
    assert (
        "captioned 6 · reused 6 · failed 0 · why: 6 new (setup S002)"
        in capsys.readouterr().out.splitlines()
    )


def test_a_renamed_raw_folder_costs_nothing(project: Project) -> None:
    before = project.shards()
    Path("data/raw").rename("data/moved")
    project.params["data"]["raw"] = "data/moved"
    assert project.run() == NOTHING
    assert project.shards() == before


def test_another_margin_detects_nothing_anew(project: Project) -> None:
    kept = project.params["crop"]["margin"]
    project.params["crop"]["margin"] = 0.3
    detections = [path.stat().st_mtime_ns for path in Path("home/store/detect").rglob("*.arrow")]
    assert project.run()["crop"] == 6 * K
    assert [
        path.stat().st_mtime_ns for path in Path("home/store/detect").rglob("*.arrow")
    ] == detections
    project.params["crop"]["margin"] = kept
    assert project.run() == NOTHING  # the way back is free


def test_another_question_costs_answers_and_their_features_alone(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.params["caption"]["captioner"] |= {
        "question": "Is he/she standing or sitting?",
        "max_new_tokens": 6,
    }
    Path("params.yaml").write_text(yaml.safe_dump(project.params), encoding="utf-8")
    main(["why", "caption"])
    printed = capsys.readouterr().out
    assert f"caption: computes {6 * K} · has 0 of {6 * K}" in printed
    assert "captioner.question: Is he/she or are they holding anything" in printed
    assert "may become more" not in printed
    assert "→ Is he/she standing or sitting?" in printed
    assert "captioner.max_new_tokens: 48 → 6" in printed
    computed = project.run()
    answers = {
        row["answer"] for row in tables.rows_of(tables.read(Path("data/caption"), ["answer"]))
    }
    assert computed == NOTHING | {"caption": 6 * K, "embed-language": len(answers)}
    main(["why"])
    assert capsys.readouterr().out.count("computes 0 · has") == len(STAGES)


def test_why_says_what_has_to_come_first(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data/crop").rename("data/aside")
    try:
        main(["why"])
        printed = capsys.readouterr().out
    finally:
        Path("data/aside").rename("data/crop")
    assert "caption: not known yet: data/crop holds no table; run `dvc repro`" in printed
    assert "crop: computes 0" in printed


def test_why_of_one_stage_knows_whether_those_before_it_are_up_to_date(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines() -> list[str]:
        main(["why", "caption"])
        return capsys.readouterr().out.splitlines()

    usual = f"caption: computes 0 · has {6 * K} of {6 * K}"
    assert lines() == [usual]
    Path("params.yaml").write_text(
        yaml.safe_dump(project.params | {"crop": project.params["crop"] | {"margin": 0.7}})
    )
    assert lines() == [usual, "  may become more: crop runs first; this counts what is here now"]
    Path("params.yaml").write_text(yaml.safe_dump(project.params))
    shard = next(Path("data/skeleton").glob("*.parquet"))
    before = shard.read_bytes()
    tables.write(shard, tables.read(shard).slice(1))
    assert "  may become more: crop runs first; this counts what is here now" in lines()
    shard.write_bytes(before)
    monkeypatch.setattr(
        dvc_status, "changed_before", lambda target: {target: ["data/moved (modified)"]}
    )
    assert lines() == [
        "index: out of date: data/moved (modified)",
        "  run `dvc repro index`, then `c2vl why` again",
        usual,
        "  may become more: crop runs first; this counts what is here now",
    ]
    monkeypatch.setattr(dvc_status, "changed_before", lambda target: None)
    assert lines()[0].startswith("index: DVC does not know whether it is up to date")


def test_failures_are_listed_from_the_out_and_without_it_from_the_store(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = "S001C001P001R001A001"
    path = next(Path(project.params["data"]["raw"]).rglob(f"{clip}*.avi"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    project.params["crop"]["max_failed"] = project.params["caption"]["max_failed"] = 0.5
    project.run()
    capsys.readouterr()
    main(["failures", "--json"])
    rows = json.loads(capsys.readouterr().out)
    own = [row for row in rows if row["stage"] == "crop"]
    assert [(row["sample"], row["k"], row["status"]) for row in own] == [
        (clip, K - 1, "missing_frame")
    ]
    assert {(row["stage"], row["status"]) for row in rows if row not in own} == {
        ("caption", "no_crop"),
        ("embed-vision", "no_crop"),
        ("embed-language", "no_answer"),
    }
    main(["why"])
    printed = capsys.readouterr().out
    assert (
        "  1 failed before: the video ends before this frame" in printed
        and "`c2vl failures crop --retry` tries them now" in printed
    )
    assert "may become more" not in printed  # it has been tried, and DVC need not run the stage
    commands: list[list[str]] = []
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: commands.append(command) or subprocess.CompletedProcess([], 0),
    )
    main(["failures", "crop", "--retry"])
    assert [command[1:] for command in commands] == [
        ["-m", "dvc", "repro", "--force", "--single-item", "crop"]
    ]
    assert "trying 1 again" in capsys.readouterr().out
    Path("params.yaml").write_text(
        yaml.safe_dump(project.params | {"crop": project.params["crop"] | {"margin": 0.9}})
    )
    with pytest.raises(SystemExit):  # not of failures alone
        main(["failures", "crop", "--retry"])
    assert (
        "rows that did not fail are missing too" in capsys.readouterr().err and len(commands) == 1
    )
    Path("params.yaml").write_text(yaml.safe_dump(project.params))
    main(["failures", "crop", "--reason", "nothing like it"])
    assert capsys.readouterr().out == "crop: 0 rows without a result\n"
    shutil.rmtree("data/crop")
    shutil.rmtree("data/caption")
    main(["failures"])
    printed = capsys.readouterr()
    assert "the failures the store noted" in printed.err
    assert "caption: not known yet: data/caption holds no table" in printed.err
    assert f"{clip}   {K - 1}  missing_frame: the video ends before this frame" in printed.out
    path.write_bytes(whole)
    assert project.run()["crop"] == 0  # it has been computed before it was cut


def test_clean_removes_what_params_do_not_need_and_verify_finds_what_is_damaged(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["store"])
    shown = capsys.readouterr().out
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("*")] == [
        *("caption", "crop", "detect", "embed-language", "embed-vision", "skeleton"),
        "video_skeleton",
    ]
    assert "differs in captioner.max_new_tokens (48, now 6), captioner.question" in shown
    monkeypatch.setattr(inventory, "FRESH_SECONDS", 0)
    with pytest.raises(SystemExit):  # nobody is there to be asked
        main(["store", "clean"])
    assert "--yes" in capsys.readouterr().err
    before, count = project.shards(), len(list(Path("home/store").glob("*/*")))
    shutil.copy("params.yaml", "other.yaml")
    spared = yaml.safe_load(Path("other.yaml").read_text())
    spared["caption"]["captioner"] = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text())[
        "caption"
    ]["captioner"]
    Path("other.yaml").write_text(yaml.safe_dump(spared))
    main(["store", "clean", "--yes", "--keep", "other.yaml"])
    assert len(list(Path("home/store").glob("caption/*"))) == 2
    spared["crop"]["detector"] |= {"prompt": "people.", "model": "checkpoints/tiny/not-here"}
    Path("other.yaml").write_text(yaml.safe_dump(spared))
    for name in ("crop", "detect"):
        shutil.copytree(
            next(Path("home/store", name).iterdir()), Path("home/store", name, "0" * 32)
        )
    main(["store", "clean", "--yes", "--keep", "other.yaml"])
    assert (
        "crop: nothing is removed, because it is not known what it needs: The checkpoint folder "
        "'checkpoints/tiny/not-here'" in (capsys.readouterr().out)
    )
    assert all(Path("home/store", name, "0" * 32).is_dir() for name in ("crop", "detect"))
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    main(["store", "clean"])  # Ctrl-D
    assert (
        "removed nothing" in capsys.readouterr().out
        and Path("home/store/detect", "0" * 32).is_dir()
    )
    main(["store", "clean", "--yes"])
    assert len(list(Path("home/store").glob("*/*"))) == FOLDERS < count
    for stage in STAGES:
        shutil.rmtree(stage.out)
    assert project.run() == NOTHING
    assert project.shards() == before

    capsys.readouterr()
    main(["store", "verify"])
    assert capsys.readouterr().out.count(", no damage") == FOLDERS
    segment = next(Path("home/store/caption").rglob("*.arrow"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    with pytest.raises(SystemExit):
        main(["store", "verify"])
    printed = capsys.readouterr().err
    assert "1 files of the store are damaged" in printed and str(segment) in printed
    shutil.rmtree("data/caption")  # else the rows would come from there
    caption, notes = next(stage for stage in STAGES if stage.name == "caption"), dict[str, Any]()
    run(caption.open(), caption.out, notes)
    assert notes["computed"] > 0
    assert project.shards() == before
    assert time.time() - segment.with_suffix(".damaged").stat().st_mtime < 3600
