"""The command `c2vl`: its help, profiles, timings, metrics and errors of one sentence."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whole_project import processor_seconds

from c2vl.cli import command_of, main
from c2vl.commands import profile, timings

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [path for path in (ROOT / "c2vl/commands").glob("*.py") if path.stem != "__init__"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles" / "demo.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("C2VL_HOME", raising=False)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence `c2vl` ends with."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert printed.err.startswith("c2vl: ") and printed.err.count("\n") == 1
    return printed.err


def test_help_teaches_at_once() -> None:
    command = [sys.executable, "-m", "c2vl.cli", "--help"]
    subprocess.run(command, capture_output=True, check=True)  # the first run may have to compile
    before = processor_seconds()
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (
        processor_seconds() - before < 0.3
    )  # not by the clock: other tests may keep the machine busy
    assert all(
        word in shown.stdout
        for word in ("profile", "timings", "metrics", "dvc repro caption", "C2VL_DEVICE")
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, c2vl.cli as c; c.parser(); "
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "numpy", "pyarrow", "pydantic", "yaml", "dvc"} & set(
        loaded
    )


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in sorted(command_of(path.stem) for path in COMMANDS))],
    ids=str,
)
def test_help_can_be_printed_in_any_encoding(
    command: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    sys.stdout.flush()
    assert not ended.value.code and b"usage: c2vl" in written.getvalue()


@pytest.mark.parametrize("name", sorted(command_of(path.stem) for path in COMMANDS))
def test_help_of_a_command_fits_a_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert f"c2vl {name}" in text.partition("\n\n")[2], "an example, after the usage line"


def test_switching_writes_the_profile_to_the_letter(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["profile", "paper"])
    assert (project / "params.yaml").read_bytes() == (
        project / "profiles" / "paper.yaml"
    ).read_bytes()
    main(["profile"])
    assert "profile paper in params.yaml, as shipped" in capsys.readouterr().out


def test_values_changed_by_hand_are_shown_and_not_lost(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = project / "params.yaml"
    changed = params.read_text().replace("frames_per_clip: 4", "frames_per_clip: 7")
    params.write_text(changed)
    main(["profile"])
    assert "crop.frames_per_clip: 4 -> 7" in capsys.readouterr().out
    assert "`crop.frames_per_clip`" in fails(capsys, "profile", "small")
    assert params.read_text() == changed
    main(["profile", "small", "--force"])
    assert params.read_bytes() == (project / "profiles" / "small.yaml").read_bytes()


def test_a_profile_that_is_not_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_bytes()
    assert "demo, paper, small" in fails(capsys, "profile", "large")
    assert (project / "params.yaml").read_bytes() == before


def test_the_demo_refuses_to_run_with_another_profile(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["profile", "--require", "demo"])
    main(["profile", "paper"])
    assert "holds the profile `paper`" in fails(capsys, "profile", "--require", "demo")


def test_a_broken_params_file_can_be_replaced(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "params.yaml").write_text("profile: [demo\n")
    assert "not valid YAML" in fails(capsys, "profile")
    main(["profile", "demo"])
    assert (project / "params.yaml").read_bytes() == (
        project / "profiles" / "demo.yaml"
    ).read_bytes()


def test_changes_names_added_and_removed_keys(project: Path) -> None:
    text = (project / "params.yaml").read_text().replace("  jpeg_quality: 92\n", "  quality: 80\n")
    (project / "params.yaml").write_text(text)
    assert profile.changes("demo", Path("params.yaml")) == [
        ("crop.jpeg_quality", 92, profile.ABSENT),
        ("crop.quality", profile.ABSENT, 80),
    ]


def test_timings_of_logged_stages(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["timings"])
    assert "No stage has run here yet" in capsys.readouterr().out
    runs = project / ".c2vl" / "runs"
    runs.mkdir(parents=True)
    crop = {
        "stage": "crop",
        "started": 2.0,
        "seconds": 61.25,
        "peak_memory_mib": 900.4,
        "computed": 12,
        "reused": 3000,
        "failed": 2,
    }
    index = {"stage": "index", "started": 1.0, "seconds": 1.5, "peak_memory_mib": 120.0}
    (runs / "crop.json").write_text(json.dumps(crop))
    (runs / "index.json").write_text(json.dumps(index))
    main(["timings"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["stage", "seconds", "peak", "MiB", "computed", "reused", "failed"]
    assert lines[2] == ["index", "1.5", "120"]
    assert lines[3] == ["crop", "61.2", "900", "12", "3000", "2"]
    assert lines[-1] == ["total", "62.8", "900"]


def test_timings_table_is_aligned() -> None:
    rows = [
        {"stage": "pretrain-xsub-joint", "seconds": 100.0, "peak_memory_mib": 1.0},
        {"stage": "x", "seconds": 1, "peak_memory_mib": 1},
    ]
    assert len({len(line) for line in timings.table(rows).splitlines()}) == 1


def test_metrics_shows_pretrained_beside_scratch() -> None:
    from c2vl.commands import metrics

    found = {
        "finetune": {"xsub": {"joint": {"scratch": {"top1": 0.5}, "c2vl": {"top1": 0.625}}}},
        "semi": {"xsub": {"joint": {"c2vl": {"0.05": {"top1": {"mean": 0.3, "std": 0.012}}}}}},
        "transfer": {"pku2": {"streams": {"joint": {"c2vl": {"top1": 0.675}}}}},
    }
    assert [line.split() for line in metrics.protocol_lines(found)] == [
        ["finetune,", "xsub", "joint", "c2vl", "62.5", "scratch", "50.0"],
        ["5", "%", "of", "labels,", "xsub", "joint", "c2vl", "30.0", "±", "1.2"],
        ["transfer", "to", "pku2,", "joint", "c2vl", "67.5"],
    ]
    zero = {
        "zero_shot": {
            "xsub": {
                "joint": {
                    "infonce": {"top1": 0.2, "chance": 0.05},
                    "c2vl": {"top1": 0.3, "chance": 0.05},
                }
            }
        }
    }
    assert [line.split() for line in metrics.zero_shot_lines(zero)] == [
        ["zero-shot,", "xsub", "joint", "c2vl", "30.0", "infonce", "20.0", "by", "chance", "5.0"]
    ]


def test_metrics_shows_what_is_there(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "`dvc repro`" in fails(capsys, "metrics")
    learnt = {
        "linear": {
            "xsub": {
                "joint": {"c2vl": {"top1": 0.51234}, "random": {"top1": 0.2}},
                "fusion": {"c2vl": {"top1": 0.6}},
            }
        },
        "knn": {"xsub": {"joint": {"c2vl": {"top1": 0.4}, "random": {"top1": 0.1}}}},
    }
    scores = {
        "detector": {"recall": 0.9876, "precision": None, "mean_iou": 0.8},
        "zero_shot": {"top1": 0.3, "chance1": 0.05},
    }
    for folder, name, content in (
        ("evaluate", "metrics.json", learnt),
        ("scores", "scores.json", scores),
    ):
        (project / "results" / folder).mkdir(parents=True)
        (project / "results" / folder / name).write_text(json.dumps(content))
    main(["metrics"])
    shown = capsys.readouterr().out
    assert (
        "recall 0.988   mean IoU 0.800" in shown
        and "precision" not in shown
        and "captioner" not in shown
    )
    table = [line.split() for line in shown.splitlines() if ", joint" in line or ", fusion" in line]
    rows = {" ".join(line[:2]): line[2:] for line in table}
    assert (
        rows["c2vl, joint"] == ["51.2", "40.0"]
        and rows["c2vl, fusion"] == ["60.0"]
        and rows["random, joint"] == ["20.0", "10.0"]
    )
    assert list(rows) == ["c2vl, joint", "random, joint", "c2vl, fusion"]
    assert "no report yet" in shown
    (project / "results" / "evaluate" / "metrics.json").write_text("{")
    assert "results/evaluate/metrics.json" in fails(capsys, "metrics")


def test_a_reader_that_stops_early_is_no_error() -> None:
    program = (
        "from c2vl.core.errors import one_sentence\n"
        "@one_sentence\n"
        "def main():\n"
        "    for number in range(10**6): print(number)\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
