"""Pictures of real people are not pushed unless somebody says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from c2vl.cli import main
from c2vl.errors import UserError
from c2vl.report.licences import licences
from c2vl.sharing import pictures, share_pictures

ROOT = Path(__file__).resolve().parents[1]
OUTS = {"data/crop", "results/report"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's dvc.yaml, parameters and profiles."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_profiles_for_real_data_keep_pictures_and_the_demo_shares_its_own(here: Path) -> None:
    assert pictures() == dict.fromkeys(OUTS, True)
    main(["profile", "paper"])
    assert pictures() == dict.fromkeys(OUTS, False)
    main(["profile", "demo"])
    assert (here / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def test_only_the_flag_changes_in_the_pipeline(here: Path) -> None:
    before = yaml.safe_load((here / "dvc.yaml").read_text())
    assert share_pictures(False) and not share_pictures(False)
    after = yaml.safe_load((here / "dvc.yaml").read_text())
    for stage in ("crop", "report"):
        (out,) = after["stages"][stage]["outs"]
        assert list(out.values()) == [{"push": False}]
        after["stages"][stage]["outs"] = before["stages"][stage]["outs"]
    assert after == before


def test_a_pipeline_without_the_lines_is_one_sentence(here: Path) -> None:
    (here / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(UserError, match="git checkout"):
        pictures()


@pytest.mark.slow
def test_dvc_push_leaves_pictures_out_and_others_go_on_without_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same flag in a small pipeline of the same shape: crop -> caption."""

    def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=True)

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  crop:\n    cmd: mkdir -p data/crop && echo face > data/crop/a\n    outs:\n"
        "      - data/crop:\n          push: true  # pictures of people\n"
        "  caption:\n    cmd: mkdir -p data/caption && echo words > data/caption/a\n"
        "    deps: [data/crop]\n    outs: [data/caption]\n"
    )
    assert share_pictures(False)
    dvc("init", "--no-scm", "-q")
    dvc("remote", "add", "-d", "lab", str(tmp_path / "remote"))
    dvc("repro", "-q")
    dvc("push", "-q")
    stored = {path.read_text() for path in (tmp_path / "remote").rglob("*") if path.is_file()}
    assert "words\n" in stored and "face\n" not in stored
    for folder in ("data", ".dvc/cache"):
        shutil.rmtree(tmp_path / folder)
    dvc("pull", "--allow-missing", "-q")
    assert (tmp_path / "data/caption/a").is_file() and not (tmp_path / "data/crop").exists()
    assert "Running stage" not in dvc("repro", "--allow-missing").stdout


def test_the_report_names_the_terms_of_what_a_run_used_and_of_what_it_does_not_know() -> None:
    settings = "crop: {detector: {model: IDEA-Research/grounding-dino-base}}\nembed: {encoder: {model: somebody/clip}}\n"
    dataset, detector, encoder = licences("ntu60", settings)
    assert "academic research" in dataset
    assert detector == "IDEA-Research/grounding-dino-base: Apache 2.0."
    assert encoder.startswith("somebody/clip") and "not known" in encoder


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_the_terms_of_every_model_of_the_profiles_are_known(name: str) -> None:
    told = licences("ntu60", (ROOT / f"profiles/{name}.yaml").read_text())
    assert len(told) == 4 and not any("not known" in line for line in told)
