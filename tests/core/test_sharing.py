"""`dvc push` uploads pictures and skeletons of real people only after `c2vl share`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from c2vl.cli import main
from c2vl.core.errors import UserError
from c2vl.core.sharing import protected_outputs, share
from c2vl.report.licences import licences

ROOT = Path(__file__).resolve().parents[2]
PICTURES, SKELETONS = (
    {"data/crop", "results/report"},
    {"data/pose", "data/skeleton", "data/targets/${key}/skeleton", "data/video_skeleton"},
)


def pushed() -> set[str]:
    return {one.path for one in protected_outputs() if one.pushed}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's dvc.yaml, parameters and profiles."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_profiles_for_real_data_push_no_recordings_and_the_demo_pushes_all(
    here: Path,
) -> None:
    assert pushed() == PICTURES | SKELETONS == {one.path for one in protected_outputs()}
    main(["profile", "paper"])
    assert pushed() == set()
    main(["profile", "demo"])
    assert (here / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["skeletons"], SKELETONS),
        (["pictures"], PICTURES),
        (["skeletons", "pictures"], SKELETONS | PICTURES),
        (["nothing"], set()),
    ],
)
def test_exactly_the_shared_kinds_are_pushed(
    here: Path, kinds: list[str], expected: set[str]
) -> None:
    main(["share", *kinds])
    assert pushed() == expected


def test_every_output_with_pictures_or_joints_is_marked(here: Path) -> None:
    """The marked folders are all that the stages for crops, skeletons and the report write."""
    found = set()
    for stage in yaml.safe_load((here / "dvc.yaml").read_text())["stages"].values():
        one = stage.get("do", stage)
        if one["cmd"].split()[1] in {
            "stages/pose.py",
            "stages/skeleton.py",
            "stages/target_skeleton.py",
            "stages/video_skeleton.py",
            "stages/crop.py",
            "stages/report.py",
        }:
            found |= {out if isinstance(out, str) else next(iter(out)) for out in one["outs"]}
    assert found == PICTURES | SKELETONS


def test_only_the_flags_change_in_the_pipeline(here: Path) -> None:
    before = yaml.safe_load((here / "dvc.yaml").read_text())
    assert share([]) and not share([])
    after = yaml.safe_load((here / "dvc.yaml").read_text())
    for stage in ("pose", "skeleton", "target_skeleton", "crop", "video_skeleton", "report"):
        one, was = (
            pipeline["stages"][stage].get("do", pipeline["stages"][stage])
            for pipeline in (after, before)
        )
        (out,) = one["outs"]
        assert list(out.values()) == [{"push": False}]
        one["outs"] = was["outs"]
    assert after == before


def test_a_pipeline_without_the_push_lines_says_how_to_restore_them(here: Path) -> None:
    (here / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(UserError, match="git checkout"):
        protected_outputs()


@pytest.mark.slow
def test_dvc_push_leaves_pictures_out_and_a_colleague_can_continue_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same flag works in a small pipeline: crop -> caption, and skeletons."""

    def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=True
        )

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n"
        "  crop:\n    cmd: mkdir -p data/crop && echo face > data/crop/a\n    outs:\n"
        "      - data/crop:\n          push: true  # pictures of people\n"
        "  skeleton:\n    cmd: mkdir -p data/skeleton && echo joints > data/skeleton/a\n    outs:\n"
        "      - data/skeleton:\n          push: true  # skeletons\n"
        "  caption:\n    cmd: mkdir -p data/caption && echo words > data/caption/a\n"
        "    deps: [data/crop]\n    outs: [data/caption]\n"
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


def test_the_report_names_terms_of_models_and_says_which_are_not_known() -> None:
    settings = (
        "crop: {detector: {model: IDEA-Research/grounding-dino-base}}\n"
        "embed: {encoder: {model: somebody/clip}}\n"
    )
    dataset, detector, encoder = licences("ntu60", settings)
    assert "academic research" in dataset
    assert detector == "IDEA-Research/grounding-dino-base: Apache 2.0."
    assert encoder.startswith("somebody/clip") and "not known" in encoder


def test_only_models_that_a_run_used_are_named() -> None:
    params = yaml.safe_load((ROOT / "profiles/paper.yaml").read_text())
    params["caption"]["published"] = "published/answers.json"
    terms = licences("ntu60", yaml.safe_dump(params))
    assert (
        len(terms) == 4
        and "published/answers.json" in terms[-1]
        and not any("llava" in line for line in terms)
    )
    assert not any(
        "grounding" in line for line in licences("ntu60", yaml.safe_dump(params), filmed=False)
    )
    params["caption"] |= {"published": None}
    params["caption"]["captioner"]["server"] = {
        "model": "Qwen/Qwen2.5-VL-7B-Instruct",
        "revision": None,
    }
    terms = licences("ntu60", yaml.safe_dump(params))
    assert len(terms) == 4 and terms[2].startswith(
        "Qwen/Qwen2.5-VL-7B-Instruct: its terms are not known"
    )


@pytest.mark.parametrize(
    "model", ["weights/groundingdino_swint_ogc.pth", "GroundingDINO_SwinB_cogcoor.pth"]
)
def test_files_of_the_original_detector_are_known_by_name(model: str) -> None:
    _, detector = licences("ntu60", f"crop: {{detector: {{model: {model}}}}}")
    assert detector == f"{model}: Apache 2.0 (IDEA-Research/GroundingDINO)."


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_the_terms_of_every_model_of_the_profiles_are_known(name: str) -> None:
    terms = licences("ntu60", (ROOT / f"profiles/{name}.yaml").read_text())
    compares = name == "demo"  # with skeletons that the pose engine finds
    assert len(terms) == 4 + compares and not any("not known" in line for line in terms)
