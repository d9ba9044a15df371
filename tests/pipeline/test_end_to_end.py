"""The whole pipeline on a small world in its own repository: run, rerun, change, share, fail."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from resolved_pipeline import lies_in, readable, resolved
from whole_project import Project, commit, copy_of_the_working_tree, processor_seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each stage that ran: which files the stage opened (Linux only)."""
    return tmp_path_factory.mktemp("opened")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, python: Path, opened: Path) -> Project:
    """A project in which `dvc repro` has run every stage once."""
    made = copy_of_the_working_tree(tmp_path_factory.mktemp("whole") / "project")
    made.starts_quickly(python)
    if sys.platform == "linux":
        made.environment["OPENED_FILES"] = str(opened)
    ran = made.repro()
    made.environment.pop("OPENED_FILES", None)
    stages = [
        "check",
        "simulate@studio",
        "index",
        "pose",
        "skeleton",
        "crop",
        "video_skeleton",
        "caption",
        "embed@vision",
        "embed@language",
        "baselines@xsub",
    ]
    stages += [
        f"{name}@xsub-{stream}"
        for name in ("pretrain", "features")
        for stream in ("joint", "motion", "bone")
    ]
    stages += ["baseline_features@xsub", "class_names", "evaluate", "score", "report"]
    stages += ["finetune@xsub-joint", "semi@xsub-joint", "target_world@studio-b", "protocols"]
    stages += [f"{name}@draw-1" for name in ("zero_shot_pretrain", "zero_shot")]
    stages += [f"{name}@studio-b" for name in ("target_index", "target_skeleton", "transfer")]
    assert sorted(ran) == sorted(stages)
    return made


@pytest.fixture
def params_kept(project: Project) -> Iterator[None]:
    """Undoes whatever the test writes to params.yaml."""
    before = project.params()
    yield
    project.write_params(before)


def test_report_and_metrics_exist_and_are_plausible(project: Project) -> None:
    page = (project.folder / "results/report/index.html").read_text(encoding="utf-8")
    assert (
        len(page) > 20_000
        and 'src="http' not in page
        and 'href="http' not in page.replace('href="https://doi', "")
    )
    assert list((project.folder / "results/report/plots").glob("*.png"))
    metrics = json.loads((project.folder / "results/evaluate/metrics.json").read_text())
    for protocol in ("linear", "knn"):
        for method in ("c2vl", "infonce", "random", "supervised", "video"):
            assert 0 <= metrics[protocol]["xsub"]["joint"][method]["top1"] <= 1
    scores = json.loads((project.folder / "results/scores/scores.json").read_text())
    assert scores["truth"] is True and all(
        0 <= scores["detector"][name] <= 1 for name in ("recall", "precision")
    )
    assert math.isfinite(scores["zero_shot"]["top1"])
    assert scores["pose"]["pck"] > 0.8 and scores["pose"]["unbroken"] > 0.8
    shown = project.works("c2vl", "metrics")
    assert "c2vl, joint" in shown and "detector" in shown and "results/report/index.html" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_stages_read_their_dependencies_alone(
    project: Project, opened: Path, tmp_path: Path
) -> None:
    """Every file that a stage reads is a dependency, or one whose hash the index holds."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    with Repo(str(tmp_path)) as repo:
        stages = resolved(repo, project.params())
    assert {note.name for note in opened.iterdir()} == set(stages)
    found = {name: json.loads((opened / name).read_text(encoding="utf-8")) for name in stages}
    assert all(found.values())
    unseen = {
        name: [path for path in paths if not lies_in(path, readable(name, stages[name]))]
        for name, paths in found.items()
    }
    assert not any(unseen.values()), "stages read what they do not depend on"


def test_timings_list_every_stage(project: Project) -> None:
    shown = project.works("c2vl", "timings")
    assert all(
        name in shown
        for name in (
            "simulate",
            "index",
            "skeleton",
            "crop",
            "caption",
            "embed",
            "pretrain",
            "evaluate",
            "report",
            "total",
        )
    )


def test_dvc_repro_runs_nothing_if_nothing_changed(project: Project) -> None:
    before = processor_seconds()
    output = project.works("dvc", "repro")
    assert "up to date" in output and "Running stage" not in output
    # It waits for nothing, so on an idle machine this is also the wall time.
    assert processor_seconds() - before <= 3


def test_git_sees_nothing_but_the_lock(project: Project) -> None:
    assert {line[3:] for line in project.works("git", "status", "--short").splitlines()} <= {
        "dvc.lock"
    }


def test_metrics_are_declared(project: Project) -> None:
    shown = json.loads(project.works("dvc", "metrics", "show", "--json"))
    found = shown[""]["data"]
    assert "results/metrics.json" in found and len(found) == 4, "the headlines, and a probe a cell"
    assert found["results/metrics.json"]["data"]["linear"]["xsub"].keys() >= {"joint", "fusion"}
    probes = {path: each["data"] for path, each in found.items() if "probe" in path}
    assert all(each["loss"] > 0 for each in probes.values())
    for path in ("results/evaluate/metrics.json", "results/scores/scores.json"):
        assert json.loads(project.works("dvc", "metrics", "show", path, "--json"))[""]["data"]


def test_curves_are_declared_plots(project: Project) -> None:
    found = json.loads(project.works("dvc", "plots", "show", "--json"))["data"]
    curves = [name for name in found if name.startswith("results/curves/")]
    assert len(curves) == 3 and all(found[name] for name in curves)


def test_a_change_to_the_report_reruns_the_report_alone(
    project: Project, params_kept: None
) -> None:
    params = project.params()
    params["report"]["gallery"] = 1
    project.write_params(params)
    assert project.repro() == ["check", "report"]


def test_code_of_the_report_does_not_rerun_captioning(project: Project) -> None:
    source = project.folder / "stages/report.py"
    text = source.read_text(encoding="utf-8")
    source.write_text(text + "# changed\n", encoding="utf-8")
    try:
        stale = project.works("dvc", "status")
        assert "report:" in stale and "caption:" not in stale and "pretrain" not in stale
    finally:
        source.write_text(text, encoding="utf-8")


def test_a_lost_output_is_written_again_from_the_sample_store_with_equal_bytes(
    project: Project,
) -> None:
    out = project.folder / "data/caption"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    shutil.rmtree(out)
    assert project.repro("-f", "-s", "caption") == ["caption"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    record = json.loads((project.folder / ".c2vl/runs/caption.json").read_text())
    assert record["computed"] == 0 and record["reused"] > 0


def test_after_push_clone_and_pull_nothing_runs_elsewhere(project: Project, tmp_path: Path) -> None:
    project.repro()
    project.works("dvc", "remote", "add", "-f", "-d", "lab", str(tmp_path / "remote"))
    commit(project, "results")
    project.works("dvc", "push")
    project.works("git", "clone", "-q", str(project.folder), str(tmp_path / "elsewhere"))
    elsewhere = Project(tmp_path / "elsewhere")
    elsewhere.works("dvc", "pull")
    output = elsewhere.works("dvc", "repro")
    assert "up to date" in output and "Running stage" not in output
    for name in ("results/report/index.html", "results/evaluate/metrics.json"):
        assert (elsewhere.folder / name).read_bytes() == (project.folder / name).read_bytes()
    # A colleague who gets features and skeletons, but no pictures and no raw files.
    training = Project(tmp_path / "training")
    project.works("git", "clone", "-q", str(project.folder), str(training.folder))
    training.works("dvc", "pull", "index", "skeleton", "embed")
    assert (
        not (training.folder / "data/studio").exists()
        and not (training.folder / "data/crop").exists()
    )
    params = training.params()
    params["pretrain"]["learning_rate"] = 0.05
    training.write_params(params)
    assert training.repro("--allow-missing", "pretrain@xsub-joint") == [
        "check",
        "pretrain@xsub-joint",
    ]


# --- bad input: one sentence, a non-zero exit status, no traceback ---


def sentence(project: Project, *command: str, seconds: float = 90, **environment: str) -> str:
    """Run a command that must fail with exactly one message of ours; return the message."""
    began = time.perf_counter()
    done = project.run(*command, **environment)
    assert time.perf_counter() - began < seconds
    messages = [line for line in done.stderr.splitlines() if line.startswith("c2vl: ")]
    assert done.returncode != 0 and "Traceback" not in done.stderr + done.stdout, done.stderr[
        -3000:
    ]
    assert len(messages) == 1, done.stderr[-3000:]
    return messages[0]


def test_missing_raw_data(project: Project, params_kept: None) -> None:
    params = project.params()
    params["data"]["raw"] = "data/raw"
    project.write_params(params)
    assert "data/raw" in sentence(project, "python", "stages/index.py")
    done = project.run("dvc", "repro", "index")
    assert done.returncode != 0 and "data/raw" in done.stderr and "Traceback" not in done.stderr
    # DVC removed the index before it looked for the raw files.
    project.works("dvc", "checkout")


@pytest.mark.parametrize("stage", ["skeleton", "crop", "caption", "evaluate"])
def test_unreadable_params(project: Project, stage: str) -> None:
    path = project.folder / "params.yaml"
    kept = path.read_text(encoding="utf-8")
    try:
        path.write_text(kept + "\n  crop: [\n", encoding="utf-8")
        assert "params.yaml" in sentence(project, "python", f"stages/{stage}.py")
    finally:
        path.write_text(kept, encoding="utf-8")


@pytest.mark.parametrize(
    "command", [("crop.py",), ("features.py", "xsub", "joint"), ("pretrain.py", "xsub", "joint")]
)
def test_a_device_that_does_not_exist(
    project: Project, tmp_path: Path, command: tuple[str, ...]
) -> None:
    nothing_stored = str(tmp_path)  # with all samples in the store, a stage needs no device
    message = sentence(
        project,
        sys.executable,
        f"stages/{command[0]}",
        *command[1:],
        C2VL_DEVICE="cuda:77",
        C2VL_STORE=nothing_stored,
    )
    assert "cuda:77" in message


@pytest.mark.parametrize(
    ("section", "engine", "command"),
    [
        ("crop", "detector", ("crop.py",)),
        ("caption", "captioner", ("caption.py",)),
        ("embed", "encoder", ("embed.py", "vision")),
    ],
)
def test_a_hub_model_without_network(
    project: Project,
    params_kept: None,
    tmp_path: Path,
    section: str,
    engine: str,
    command: tuple[str, ...],
) -> None:
    params = project.params()
    params[section][engine]["model"] = "somebody/some-model"
    project.write_params(params)
    # An address that drops all packets.
    nowhere = {
        name: "http://192.0.2.1:9"
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    }
    message = sentence(
        project,
        sys.executable,  # another HF_HOME than the warm process had
        f"stages/{command[0]}",
        *command[1:],
        HF_HOME=str(tmp_path / "hub"),
        **nowhere,
    )
    assert "somebody/some-model" in message


def test_unknown_arguments_are_named(project: Project) -> None:
    assert "nowhere" in sentence(project, "python", "stages/pretrain.py", "nowhere", "joint")
    done = project.run("python", "stages/embed.py", "smell")
    assert done.returncode != 0 and "'smell' (choose from 'vision', 'language')" in done.stderr
