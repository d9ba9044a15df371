"""Pictures and skeletons of real people are not pushed unless somebody says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from c2vl.cli import main
from c2vl.core.errors import UserError
from c2vl.core.sharing import kept, share
from c2vl.report.licences import licences

ROOT = Path(__file__).resolve().parents[2]
PICTURES, SKELETONS = (
    {"data/crop", "results/report"},
    {"data/skeleton", "data/targets/${key}/skeleton"},
)


def pushed() -> set[str]:
    return {one.out for one in kept() if one.pushed}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's dvc.yaml, parameters and profiles."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_profiles_for_real_data_keep_what_is_its_own_and_the_demo_shares_its_own(
    here: Path,
) -> None:
    assert pushed() == PICTURES | SKELETONS == {one.out for one in kept()}
    main(["profile", "paper"])
    assert pushed() == set()
    main(["profile", "demo"])
    assert (here / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        (["skeletons"], SKELETONS),
        (["pictures"], PICTURES),
        (["skeletons", "pictures"], SKELETONS | PICTURES),
        (["nothing"], set()),
    ],
)
def test_exactly_what_is_asked_for_is_pushed(here: Path, asked: list[str], goes: set[str]) -> None:
    main(["share", *asked])
    assert pushed() == goes


def test_every_out_that_holds_pictures_or_joints_is_marked(here: Path) -> None:
    """All folders that the crop's and the skeleton's stages write, whatever they are called."""
    found = set()
    for stage in yaml.safe_load((here / "dvc.yaml").read_text())["stages"].values():
        one = stage.get("do", stage)
        if one["cmd"].split()[1] in {
            "stages/skeleton.py",
            "stages/target_skeleton.py",
            "stages/crop.py",
            "stages/report.py",
        }:
            found |= {out if isinstance(out, str) else next(iter(out)) for out in one["outs"]}
    assert found == PICTURES | SKELETONS


def test_only_the_flags_change_in_the_pipeline(here: Path) -> None:
    before = yaml.safe_load((here / "dvc.yaml").read_text())
    assert share([]) and not share([])
    after = yaml.safe_load((here / "dvc.yaml").read_text())
    for stage in ("skeleton", "target_skeleton", "crop", "report"):
        one, was = (
            told["stages"][stage].get("do", told["stages"][stage]) for told in (after, before)
        )
        (out,) = one["outs"]
        assert list(out.values()) == [{"push": False}]
        one["outs"] = was["outs"]
    assert after == before


def test_a_pipeline_without_the_lines_is_one_sentence(here: Path) -> None:
    (here / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(UserError, match="git checkout"):
        kept()


@pytest.mark.slow
def test_dvc_push_leaves_pictures_out_and_others_go_on_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same flag in a small pipeline of the same shape: crop -> caption, and skeletons."""

    def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=True
        )

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  crop:\n    cmd: mkdir -p data/crop && echo face > data/crop/a\n    outputs:\n"
        "      - data/crop:\n          push: true  # pictures of people\n"
        "  skeleton:\n    cmd: mkdir -p data/skeleton && echo joints > data/skeleton/a\n    outputs:\n"
        "      - data/skeleton:\n          push: true  # skeletons\n"
        "  caption:\n    cmd: mkdir -p data/caption && echo words > data/caption/a\n"
        "    deps: [data/crop]\n    outputs: [data/caption]\n"
    )
    assert share([])
    dvc("init", "--no-scm", "-q")
    dvc("remote", "add", "-d", "lab", str(tmp_path / "remote"))
    dvc("repro", "-q")
    dvc("push", "-q")
    stored = {path.read_text() for path in (tmp_path / "remote").rglob("*") if path.is_file()}
    assert "words\n" in stored and not stored & {"face\n", "joints\n"}
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


def test_only_models_that_a_run_used_are_named() -> None:
    params = yaml.safe_load((ROOT / "profiles/paper.yaml").read_text())
    params["caption"]["published"] = "published/answers.json"
    told = licences("ntu60", yaml.safe_dump(params))
    assert (
        len(told) == 4
        and "published/answers.json" in told[-1]
        and not any("llava" in line for line in told)
    )
    assert not any(
        "grounding" in line for line in licences("ntu60", yaml.safe_dump(params), filmed=False)
    )
    params["caption"] |= {"published": None}
    params["caption"]["captioner"]["server"] = {
        "model": "Qwen/Qwen2.5-VL-7B-Instruct",
        "revision": None,
    }
    told = licences("ntu60", yaml.safe_dump(params))
    assert len(told) == 4 and told[2].startswith(
        "Qwen/Qwen2.5-VL-7B-Instruct: its terms are not known"
    )


@pytest.mark.parametrize(
    "model", ["weights/groundingdino_swint_ogc.pth", "GroundingDINO_SwinB_cogcoor.pth"]
)
def test_the_original_detector_s_files_are_known_by_their_names(model: str) -> None:
    _, detector = licences("ntu60", f"crop: {{detector: {{model: {model}}}}}")
    assert detector == f"{model}: Apache 2.0 (IDEA-Research/GroundingDINO)."


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_the_terms_of_every_model_of_the_profiles_are_known(name: str) -> None:
    told = licences("ntu60", (ROOT / f"profiles/{name}.yaml").read_text())
    assert len(told) == 4 and not any("not known" in line for line in told)
