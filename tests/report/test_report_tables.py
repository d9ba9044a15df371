"""The paper's tables: numbers and layout as in the paper, its rows only on the same data, LaTeX."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import report_outputs

from c2vl.core.files import read_json, write_json
from c2vl.core.params import load_section
from c2vl.experiments.ablation.declared import applied, read_ablations
from c2vl.report import extra_tables, sweeps
from c2vl.report.method_tables import streams_table
from c2vl.report.packaged import packaged_json
from c2vl.report.page import write_report
from c2vl.report.paper_tables import (
    knn_table,
    linear_table,
    paper_numbers,
    paper_tables,
    semi_table,
    transfer_table,
)
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.report_params import ReportParams
from c2vl.report.result_table import Row, Table, escaped, percent, words
from c2vl.training.training_params import PretrainParams

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["table-1-linear", "table-2-finetune", "table-3-semi", "table-4-knn", "table-5-transfer"]
SWEPT = ["table-6-knowledge", "table-7-components", "table-8-encoders"]


def outputs(root: Path, dataset: str, target: str) -> PipelineOutputs:
    """Outputs of every stage for the data set `dataset`, and a transfer to `target`."""
    report_outputs.write_data(root, dataset=dataset)
    report_outputs.write_results(root, benchmarks=("xsub", "xview"))
    report_outputs.write_protocols(root, {"target": target})
    report_outputs.write_ablations(root)
    (root / "results/evaluate/features.parquet").unlink()  # t-SNE is slow
    return PipelineOutputs(root)


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> PipelineOutputs:
    return outputs(tmp_path_factory.mktemp("ntu"), "ntu60", "pku2")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> PipelineOutputs:
    return outputs(tmp_path_factory.mktemp("studio"), "studio", "studio")


def printed(table: Table) -> list[list[str]]:
    return [
        [cell.text for cell in row.cells if not cell.left]
        for row in table.rows
        if row.kind == "paper"
    ]


def test_the_papers_rows_stand_beside_ours_on_its_own_data(ntu: PipelineOutputs) -> None:
    found = {table.name: printed(table) for table in paper_tables(ntu)}
    assert found == {  # from the Tables I to V of the paper
        "table-1-linear": [["84.4", "89.8"], ["88.3", "92.8"]],
        "table-2-finetune": [["88.9"], ["91.8"]],
        "table-3-semi": [["69.3", "81.8"]],
        "table-4-knn": [["78.0", "88.8"]],
        "table-5-transfer": [["67.5"]],
    }


def test_no_number_of_the_paper_reaches_the_studios_page_or_files(
    studio: PipelineOutputs, tmp_path: Path
) -> None:
    write_report(
        studio, studio.root / "data/studio", ReportParams(gallery=0, failures=0), [], "", tmp_path
    )
    assert [table.name for table in paper_tables(studio)] == NAMES
    written = sorted(path.name for path in (tmp_path / "tables").glob("table-*"))
    assert written == sorted(
        f"{name}.{kind}" for name in NAMES + SWEPT for kind in ("csv", "md", "tex")
    )
    for path in (tmp_path / "tables").iterdir():
        assert not re.search(
            r"\bpaper\b(?!')", path.read_text().replace("What the paper leaves open", "")
        ) or path.stem in {"words-alone"}, path.name
        assert not re.search(r"84\.4|89\.8|78\.0|0\.844", path.read_text()), path.name
    assert "The paper has no numbers for the studio" in (tmp_path / "index.html").read_text()


def test_our_numbers_are_those_of_the_outputs_unrounded(
    ntu: PipelineOutputs, tmp_path: Path
) -> None:
    linear = ntu.metrics["linear"]["xview"]
    table = linear_table(ntu)
    assert table is not None
    table.write(tmp_path)
    with (tmp_path / "table-1-linear.csv").open(newline="") as file:
        rows = {(row["method"], row["modality"], row["kind"]): row for row in csv.DictReader(file)}
    assert float(rows["C²VL", "J+M+B", "ours"]["xview"]) == linear["fusion"]["c2vl"]["top1"]
    assert float(rows["untrained", "J", "baseline"]["xview"]) == linear["joint"]["random"]["top1"]
    assert float(rows["C²VL", "J+M+B", "paper"]["xview"]) == 0.928


def copy_with(found: PipelineOutputs, root: Path, name: str, content: Any) -> PipelineOutputs:
    """A copy of the outputs in the folder `root`, with other content in the JSON file `name`."""
    shutil.copytree(found.root, root)
    write_json(root / name, content)
    return PipelineOutputs(root)


def test_notes_name_the_settings_behind_the_numbers(ntu: PipelineOutputs, tmp_path: Path) -> None:
    settings = {"knn_neighbours": 5, "fusion": {"joint": 1.0, "bone": 0.5, "motion": 0.25}}
    metrics = {**ntu.metrics, "settings": settings}
    other = copy_with(ntu, tmp_path / "copy", "results/evaluate/metrics.json", metrics)
    knn, streams = knn_table(other), streams_table(other, other.benchmarks)
    assert knn is not None and streams is not None
    assert "the 5 nearest training clips by cosine vote" in knn.note and "(k = 1)" not in knn.note
    assert "with weights 1 joint, 0.5 bone, 0.25 motion" in streams.note


def test_semi_and_transfer_show_spread_labels_and_chance(ntu: PipelineOutputs) -> None:
    semi, transfer = semi_table(ntu), transfer_table(ntu)
    assert semi is not None and transfer is not None
    assert semi.columns == ("method", "modality", "xsub 1 %", "xsub 10 %")
    assert [cell.text for cell in semi.rows[1].cells] == ["C²VL", "J", "37.5 ± 1.2", "37.5 ± 1.2"]
    assert "xsub 1 %: 4; xsub 10 %: 40" in semi.note
    raw = {
        row["method"]: row
        for row in csv.DictReader(io.StringIO(semi.csv()))
        if row["kind"] != "paper"
    }
    assert (float(raw["C²VL"]["xsub 1 %"]), float(raw["C²VL"]["xsub 1 % std"])) == (0.375, 0.0125)
    assert [row.cells[-1].text for row in transfer.rows] == ["12.5", "50.0", "62.5", "67.5"]


def test_the_papers_transfer_row_needs_its_own_source_and_target(
    ntu: PipelineOutputs, tmp_path: Path
) -> None:
    name = "results/protocols/metrics.json"
    for change in ({"source": "xview"}, {"dataset": "pku1"}, {"benchmark": "xview"}):
        found = read_json(ntu.root / name)
        found["transfer"]["target"] |= change
        other = copy_with(ntu, tmp_path / next(iter(change)), name, found)
        table = transfer_table(other)
        assert table is not None and printed(table) == [], change


def test_data_sets_of_the_paper_have_the_names_that_the_index_uses() -> None:
    from typing import get_args

    from c2vl.datasets.data_params import DataParams

    names = set(get_args(DataParams.model_fields["dataset"].annotation))
    assert set(packaged_json("reference.json")["top1"]) == {"ntu60", "ntu120", "pku2"} <= names
    assert set(packaged_json("licences.json")["datasets"]) == names
    assert (
        paper_numbers("pku2")["xsub"]["linear"] == {"joint": 52.6, "fusion": 60.0}
        and paper_numbers("pku1") == {}
    )


def test_sweeps_are_numbered_as_the_paper_and_follow_the_data_set(
    ntu: PipelineOutputs, studio: PipelineOutputs
) -> None:
    ours, theirs = sweeps.sweep_tables(studio), sweeps.sweep_tables(ntu)
    assert [table.name for table in ours] == [*SWEPT, "sweep-batch", "sweep-unknowns"]
    assert [table.number for table in ours[:3]] == ["Table VI", "Table VII", "Table VIII"]
    assert not any("paper" in column for table in ours for column in table.columns)
    assert [row.cells[-1].text for row in theirs[1].rows] == [
        "82.0",
        "82.8",
        "83.0",
        "83.4",
        "81.9",
        "84.0",
        "84.4",
    ]
    assert "held-out training subjects" in ours[-1].note and "test clips" in ours[0].note
    assert [plot.name for plot in sweeps.sweep_plots(ntu)] == ["figure-6a-alpha", "figure-6b-beta"]


def test_ticks_match_what_a_setting_switches() -> None:
    declared = read_ablations(ROOT / "ablations.yaml")
    base = load_section("pretrain", PretrainParams, ROOT / "profiles/demo.yaml")
    marks = packaged_json("ablation_marks.json")
    for name in marks:
        assert set(marks[name]["rows"]) == {
            setting.name for setting in declared.sweeps[name].settings
        }
    for setting in declared.sweeps["components"].settings:
        objective = applied(base, setting.set, "").objective
        # With only one of them there is nothing to partition or to schedule.
        both = objective.intra and objective.inter
        truth = (
            objective.intra,
            objective.inter,
            both and objective.partition,
            both and objective.progressive,
        )
        assert tuple(mark == "✓" for mark in marks["components"]["rows"][setting.name]) == truth, (
            setting.name
        )
    for setting in declared.sweeps["knowledge"].settings:
        kinds = applied(base, setting.set, "").objective.kinds
        assert [mark == "✓" for mark in marks["knowledge"]["rows"][setting.name]] == [
            kind in kinds for kind in ("vision", "language")
        ]


HOSTILE = r"50 % & a_b #1 {x} $y$ ~ ^ \input{/etc/passwd} <α ± β>"


def every_table(ntu: PipelineOutputs) -> list[Table]:
    """All kinds of tables, and one of special characters only."""
    made = [
        extra_tables.zero_shot_table(ntu),
        extra_tables.retrieval_table(ntu),
        extra_tables.calibration_table(ntu),
    ]
    bad = Table(
        "t", HOSTILE, (HOSTILE, "n"), (Row((words(HOSTILE), percent(0.5, "best", 0.01))),), HOSTILE
    )
    return [*paper_tables(ntu), *sweeps.sweep_tables(ntu), *filter(None, made), bad]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX here")
def test_latex_compiles(ntu: PipelineOutputs, tmp_path: Path) -> None:
    body = "\n".join(table.latex() for table in every_table(ntu))
    packages = r"\documentclass{article}\usepackage{booktabs,amssymb}"
    (tmp_path / "all.tex").write_text(
        packages + "\n\\begin{document}\n" + body + "\n\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_latex_escapes_everything_special_and_every_row_has_every_column(
    ntu: PipelineOutputs,
) -> None:
    every = every_table(ntu)
    assert len(every) == 14
    for table in every:
        text = table.latex()
        assert text.count(r"\begin{") == text.count(r"\end{") == 2
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        lines = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(lines) == 1 + len(table.rows)
        assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {len(table.columns) - 1}
        layout = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
        assert layout is not None and len(layout[1]) == len(table.columns)
        bare = re.sub(r"\\[a-z]+|\\[&%$#_{}]", "", text)  # without commands and escaped characters
        assert not re.search(r"[%#_\\~^]", bare.replace(r" \\", "").replace("\\\\", ""))
        assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
        assert re.sub(r"[^\x00-\x7f]", "", bare) == bare, "a sign that pdflatex does not know"
    assert escaped("a\\b") == r"a\textbackslash{}b" and escaped("5 %\n&") == r"5 \% \&"


def test_zero_shot_and_retrieval_stand_beside_chance(studio: PipelineOutputs) -> None:
    zero, found = extra_tables.zero_shot_table(studio), extra_tables.retrieval_table(studio)
    assert zero is not None and found is not None
    # 4 classes have no top 5.
    assert [cell.text for cell in zero.rows[0].cells] == [
        "chance",
        "",
        "25.0",
        "–",
        "25.0",
        "–",
    ]
    assert [cell.text for cell in found.rows[1].cells[2:]] == [
        "InfoNCE",
        "30.0",
        "30.0",
        "30.0",
        "2.5",
        "40.0",
    ]
    assert len(found.rows) == 2 * 2 * 3  # benchmarks × ways × (chance, InfoNCE, C²VL)
    assert (
        extra_tables.reliability_plot(studio, "xsub") is not None
        and extra_tables.reliability_plot(studio, "nowhere") is None
    )


def test_without_protocols_and_sweeps_the_page_says_how_to_run_them(tmp_path: Path) -> None:
    report_outputs.write_data(tmp_path)
    report_outputs.write_results(tmp_path, benchmarks=("xsub",))
    metrics = read_json(tmp_path / "results/evaluate/metrics.json")
    write_json(
        tmp_path / "results/evaluate/metrics.json",
        {key: metrics[key] for key in ("linear", "knn", "samples")},
    )
    bare = PipelineOutputs(tmp_path)
    assert [table.name for table in paper_tables(bare)] == ["table-1-linear", "table-4-knn"]
    assert sweeps.sweep_tables(bare) == [] and "`make ablations`" in sweeps.missing(bare)
    assert (
        any("`dvc repro protocols`" in sentence for sentence in bare.missing)
        and "" not in bare.missing
    )
    assert extra_tables.zero_shot_table(bare) is extra_tables.retrieval_table(bare) is None
