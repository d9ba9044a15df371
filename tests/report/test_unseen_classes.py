"""Tables of zero-shot protocols and of published results: what may stand side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import report_outputs

from c2vl.core.files import write_json
from c2vl.report import unseen_classes
from c2vl.report.packaged import packaged_json
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.published_results import linear_elsewhere
from c2vl.report.result_table import Table
from c2vl.training.zero_shot.protocols import find_split, published

SIZES = {"ntu60": 60, "ntu120": 120, "pku1": 51, "pku2": 51, "studio": 20}
SPLITS = {
    "ntu60": {"xsub": ["synse-55-5", "synse-48-12", "official-55-5", "smie-55-5-1", "smie-55-5-2"]},
    "studio": {"xsub": ["draw-1", "draw-2", "draw-3"]},
}


def settings(dataset: str, splits: list[str] | None = None) -> str:
    named = splits or SPLITS[dataset]["xsub"]
    splits = ", ".join(named)
    return f"data: {{benchmarks: [xsub, xview]}}\nzero_shot: {{splits: [{splits}]}}"


def write_split(root: Path, dataset: str, name: str, top1: float) -> dict[str, Any]:
    split = find_split(name, dataset, "xsub", SIZES[dataset], 5, 0)
    about = {"name": name, "family": split.family, "title": split.title, "dataset": dataset}
    about |= {"unseen": list(split.unseen), "seen": len(split.seen), "benchmark": "xsub"}
    gzsl = {"seen": 0.6, "unseen": top1 / 2, "harmonic": 0.3, "gate": 0.1}
    result: dict[str, Any] = {"split": about}
    for setting, more in (("label_free", 0.0), ("labels", 0.1)):
        result[setting] = {"zsl": {"top1": top1 + more}, "gzsl": gzsl}
    write_json(root / f"results/zero_shot/xsub-{name}/zero_shot.json", result)
    return result


def outputs(root: Path, dataset: str) -> PipelineOutputs:
    report_outputs.write_data(root, dataset=dataset)
    report_outputs.write_results(root, benchmarks=("xsub", "xview"))
    for place, name in enumerate(SPLITS[dataset]["xsub"]):
        write_split(root, dataset, name, 0.4 + place / 10)
    return PipelineOutputs(root)


@pytest.fixture(scope="module")
def ntu(tmp_path_factory: pytest.TempPathFactory) -> PipelineOutputs:
    return outputs(tmp_path_factory.mktemp("ntu"), "ntu60")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> PipelineOutputs:
    return outputs(tmp_path_factory.mktemp("studio"), "studio")


def elsewhere(table: Table) -> dict[str, list[str]]:
    """Cells after the encoder of rows that others published, by the method's name."""
    found: dict[str, list[str]] = {}
    for row in table.rows:
        if row.kind == "elsewhere":
            found.setdefault(row.cells[0].text, []).append(row.cells[4].text)
    return found


def test_families_are_never_mixed(ntu: PipelineOutputs) -> None:
    made = unseen_classes.tables(ntu, unseen_classes.results(ntu, settings("ntu60")))
    assert [table.name for table in made] == [
        "unseen-synse-xsub",
        "unseen-official-xsub",
        "unseen-random-xsub",
    ]
    for table, size in zip(made, ({"55/5", "48/12"}, {"55/5"}, {"55/5"}), strict=True):
        assert {row.cells[3].text.split(",")[0] for row in table.rows} == size
    ours = {row.cells[3].text for row in made[0].rows if row.kind == "ours"}
    assert ours == {"55/5, synse-55-5", "48/12, synse-48-12"}


def test_published_rows_are_of_the_same_family_and_split(ntu: PipelineOutputs) -> None:
    synse, official, random = unseen_classes.tables(
        ntu, unseen_classes.results(ntu, settings("ntu60"))
    )
    found = elsewhere(synse)
    assert found["TDSM (ICCV 2025)"] == ["86.5 ?", "56.0"]
    assert found["PURLS (CVPR 2024)"] == ["79.2", "41.0"] and "could not confirm" in synse.note
    assert elsewhere(official) == {"SkeletonContext (arXiv 2026)": ["78.3"]}
    assert "could not confirm" not in official.note
    assert not elsewhere(random)
    alone = unseen_classes.results(ntu, settings("ntu60", ["synse-55-5"]))
    (table,) = unseen_classes.tables(ntu, alone)
    assert elsewhere(table)["TDSM (ICCV 2025)"] == ["86.5 ?"]


def test_draws_have_a_mean_and_a_sample_deviation(studio: PipelineOutputs) -> None:
    found = unseen_classes.results(studio, settings("studio"))
    (table,) = unseen_classes.tables(studio, found)
    assert not elsewhere(table)
    chance = table.rows[0]
    assert (chance.cells[0].text, chance.cells[4].text) == ("chance", "20.0")
    means = [row for row in table.rows if row.kind == "head"]
    values = np.array([0.4, 0.5, 0.6])
    assert means[0].cells[4].value == pytest.approx(values.mean())
    assert means[0].cells[4].spread == pytest.approx(np.sqrt(((values - 0.5) ** 2).sum() / 2))
    assert means[1].cells[4].value == pytest.approx(0.6)
    assert unseen_classes.sentence(found) == (
        "Among 5 classes that no training has seen, the test clips are recognised correctly: 50 % "
        "without any label and 60 % with an alignment head trained on labels of seen classes "
        "(chance 20 %, mean of 3 draws)."
    )
    assert unseen_classes.sentence([]) == ""


def test_leftovers_and_other_data_do_not_count(studio: PipelineOutputs) -> None:
    kept = unseen_classes.results(studio, settings("studio", ["draw-2"]))
    assert [result["split"]["name"] for result in kept] == ["draw-2"]
    write_split(studio.root, "ntu60", "synse-55-5", 0.9)
    reason = "`zero_shot.splits` names synse-96-24, which is of ntu120"
    folder = studio.root / "results/zero_shot/xsub-synse-96-24"
    write_json(folder / "zero_shot.json", {"absent": reason})
    named = settings("studio", ["synse-55-5", "synse-96-24"])
    assert unseen_classes.results(studio, named) == []
    assert reason in studio.missing
    assert unseen_classes.results(studio, "profile: demo") == []


def test_published_linear_results_stand_beside_their_own_data_only(
    ntu: PipelineOutputs, studio: PipelineOutputs
) -> None:
    table = linear_elsewhere(ntu)
    assert table is not None
    rows = {(row.cells[0].text, row.cells[2].text): row for row in table.rows}
    slim = rows["SLiM", "J"]
    assert slim.kind == "elsewhere" and [cell.text for cell in slim.cells[4:]] == ["87.9", "93.2"]
    assert [cell.text for cell in rows["S-JEPA", "J"].cells[4:]] == ["85.3 ?", "89.8"]
    assert rows["S-JEPA", "J"].cells[4].value == 0.853
    assert rows["C²VL", "J"].kind == "paper" and rows["C²VL, this run", "J"].kind == "ours"
    assert linear_elsewhere(studio) is None


def test_reference_results_name_venue_source_and_an_existing_split() -> None:
    others = packaged_json("reference.json")["others"]
    for entry in others["linear"] + others["zero_shot"]:
        assert entry["method"] and re.search(r"20\d\d$", entry["venue"]) and entry["source"]
        assert entry["dataset"] in SIZES and entry["dataset"] != "studio" and entry["values"]
        flags = [value["verified"] for value in entry["values"].values()]
        assert any(flags) is (entry["checked"] != "no public source found")
        assert all(0 < value["top1"] < 100 for value in entry["values"].values())
    families = published()["families"]
    for entry in others["zero_shot"]:
        for name in entry["values"]:
            split = published()["splits"][name]
            assert split["dataset"] == entry["dataset"]
            assert entry["benchmark"] in families[split["family"]]["benchmarks"][entry["dataset"]]
