"""The report on a small synthetic set of outputs: complete, self-contained, escaped, honest."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import report_outputs

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.core.layout_file import shipped_layout
from c2vl.core.tables import schemas
from c2vl.evaluation.scores import ScoreParams, read_truth
from c2vl.evaluation.scores import gather as score_gather
from c2vl.evaluation.scores.frame_scores import FRAMES
from c2vl.report import engine_tables, method_tables, seed_tables
from c2vl.report.figures.confusion import counts, worst
from c2vl.report.figures.similarity import separation
from c2vl.report.figures.timings import clock
from c2vl.report.gallery import marked
from c2vl.report.gallery_choice import failures, typical
from c2vl.report.page import write_report
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.report_params import ReportParams
from c2vl.report.result_table import Row, Table, percent, words
from c2vl.report.skeleton_drawing import moments, over_frame
from c2vl.training.metrics import spread

HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} "
    "The person is standing and holding a cup."
)
RECORDS = [
    {
        "stage": "crop",
        "started": 1.0,
        "seconds": 75.2,
        "peak_memory_mib": 812.0,
        "computed": 60,
        "reused": 3,
        "failed": 1,
    },
    {"stage": "evaluate", "started": 2.0, "seconds": 4.0, "peak_memory_mib": 512.0},
]
PARAMS = ReportParams(gallery=4, failures=2, tsne_classes=3)
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Collects ids, links and tags of a page; fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        assert not any(name.startswith("on") for name in named), f"an event handler on <{tag}>"
        if tag == "a":
            self.targets.append(named["href"])
        else:
            self.loads += [
                named[name]
                for name in ("src", "href", "xlink:href", "srcset", "data")
                if named.get(name)
            ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


NTU = shipped_layout("ntu25")


def score(root: Path) -> None:
    """Do the work of stage `score`, with a text encoder that knows only the four sentences."""
    outputs, truth, params = (
        score_gather.PromptTables.read(root / "data"),
        read_truth(root / "truth/studio"),
        ScoreParams(draws=2),
    )
    scores = {"truth": True, "prompts": score_gather.without_truth(outputs, params)}
    scores["zero_shot"] = score_gather.zero_shot_from_names(outputs, np.eye(4, 8))
    found, scored, confusions = score_gather.against_truth(outputs, truth, params)

    def encode(texts):
        return np.eye(4, 8)[[report_outputs.SENTENCES.index(text) for text in texts]]

    scores |= found | score_gather.true_sentences(outputs, scored, encode, params)
    write_json(root / "results/scores/scores.json", scores)
    write_json(root / "results/scores/confusions.json", confusions)
    tables.write(
        root / "results/scores/frames.parquet",
        tables.table_of((frame.row() for frame in scored), FRAMES),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with all outputs, and the report written from them."""
    root = tmp_path_factory.mktemp("world")
    report_outputs.write_data(root)
    report_outputs.write_truth(root / "truth/studio")
    report_outputs.write_results(root, benchmarks=("xsub",))
    report_outputs.write_compare(root)
    report_outputs.write_protocols(root, {"studio-b": "studio"})
    report_outputs.write_ablations(root)
    score(root)
    notes = write_report(
        PipelineOutputs(root),
        root / "data/studio",
        PARAMS,
        RECORDS,
        "profile: demo # <b>",
        root / "out",
    )
    return root, notes, (root / "out/index.html").read_text(encoding="utf-8")


def test_scores_of_a_small_world_match_values_computed_by_hand(world):
    scores = read_json(world[0] / "results/scores/scores.json")
    # 31 usable clips × 2 frames, one of them without a crop. Every box is exact. Only the first
    # answer of a clip names its object and posture.
    assert (
        scores["detector"]["frames"],
        scores["detector"]["recall"],
        scores["detector"]["precision"],
    ) == (61, 1.0, 1.0)
    assert scores["detector"]["mean_iou"] == pytest.approx(1.0)
    # The second answer of each clip is another class's.
    assert scores["captioner"]["phrase"] == pytest.approx(31 / 61)
    assert scores["zero_shot"]["top1"] == 1.0
    assert scores["retrieval_distinct"]["image_to_text"]["top1"] == 1.0
    assert scores["retrieval_distinct"]["candidates"] == 4
    # Here the class determines the answer.
    assert scores["prompts"]["bag_of_words"]["xsub"]["all"] > 0.9
    assert scores["bag_of_words_of_truth"]["xview"]["middle"] == 1.0
    assert [(s["sample"], s["noticed"]) for s in scores["broken"]] == [
        (report_outputs.BROKEN, "index")
    ]
    confusion = read_json(world[0] / "results/scores/confusions.json")["phrase"]
    assert np.trace(np.array(confusion["counts"])[:, :4]) == 31


def test_the_page_is_complete_and_loads_nothing(world):
    _, notes, text = world
    page = Page(text)
    assert {
        "data",
        "engines",
        "results",
        "paper",
        "beyond",
        "cost",
        "table-engines",
        "table-methods",
    } <= set(page.ids)
    assert {
        "table-streams",
        "table-compare",
        "table-splits",
        "table-words-alone",
        "table-broken",
    } <= set(page.ids)
    assert {
        "table-stages",
        "table-1-linear",
        "table-8-encoders",
        "table-zero-shot",
        "table-prompts",
    } <= set(page.ids)
    assert {
        f"figure-{figure}-xsub" for figure in ("4-5-similarity", "7-tsne", "8-confusion")
    } <= set(page.ids)
    assert {
        "curves-xsub",
        "per-class-xsub",
        "confusion-finetuned-xsub",
        "versus",
        "seeds",
        "reliability-xsub",
        "figure-6b-beta",
    } <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.loads and all(load.startswith(("data:image/", "#")) for load in page.loads)
    assert all(target.startswith("#") and target[1:] in page.ids for target in page.targets)
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "prefers-color-scheme: dark" in text
    assert text.count('class="card"') == notes["cards"] == 6
    assert notes["bytes"] < 1_500_000
    used = set(re.findall(r"(?:href=\"#|url\(#)([\w-]+)", text))
    assert used <= set(page.ids)
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= {*re.findall(r"--([\w-]+):", text)}


def test_the_page_shows_reasons_numbers_and_marks(world):
    text = re.sub(r"\s+", " ", world[2])
    assert "no skeleton &lt;file&gt;" in text and "frame 9 cannot be decoded" in text
    assert "better in 4 of 5 seeds" in text
    assert "profile: demo # &lt;b&gt;" in text
    assert (
        "1 min 19 s" in text and "The people, rooms and clips on this page are procedural" in text
    )
    # The paper has no numbers for the studio.
    assert "84.4" not in text and 'class="tag"' not in text
    assert '<mark class="right"' in text and '<mark class="wrong"' in text
    assert "0.95" not in "".join(re.findall(r"<span class=\"sign\".*?</span>", text))


def test_plots_and_tables_lie_beside_the_page(world):
    out = world[0] / "out"
    pictures = sorted(path.name for path in (out / "plots").iterdir())
    assert {
        "versus.png",
        "timings.png",
        "figure-7-tsne-xsub.png",
        "figure-6a-alpha.png",
        "answers-object.png",
    } <= set(pictures)
    assert all((out / "plots" / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    with (out / "tables/methods.csv").open(newline="") as file:
        rows = {row["joint stream"]: row for row in csv.DictReader(file)}
    metrics = read_json(world[0] / "results/evaluate/metrics.json")
    assert float(rows["C²VL"]["xsub linear"]) == metrics["linear"]["xsub"]["joint"]["c2vl"]["top1"]
    assert (
        float(rows["untrained encoder"]["xsub KNN"])
        == metrics["knn"]["xsub"]["joint"]["random"]["top1"]
    )
    assert (out / "tables/engines.md").read_text().startswith("### Engine scores")


def test_the_same_outputs_give_the_same_bytes(world, tmp_path):
    root = world[0]
    write_report(
        PipelineOutputs(root),
        root / "data/studio",
        PARAMS,
        RECORDS,
        "profile: demo # <b>",
        tmp_path,
    )
    for path in sorted(path for path in (root / "out").rglob("*") if path.is_file()):
        assert (tmp_path / path.relative_to(root / "out")).read_bytes() == path.read_bytes(), (
            path.name
        )


def test_hostile_answers_are_escaped_and_absent_outputs_are_named(tmp_path):
    report_outputs.write_data(tmp_path, dataset="ntu60")
    report_outputs.write_results(tmp_path, benchmarks=("xsub",))
    for shard in tables.shard_paths(tmp_path / "data/caption"):
        rows = [{**row, "answer": HOSTILE} for row in tables.rows_of(tables.read(shard))]
        tables.write(shard, tables.table_of(rows, schemas.CAPTION))
    for name in ("features.parquet", "similarity.parquet", "per_class.csv"):
        (tmp_path / "results/evaluate" / name).unlink()
    params = ReportParams(gallery=4, failures=1)
    write_report(
        PipelineOutputs(tmp_path), tmp_path / "nowhere", params, [], HOSTILE, tmp_path / "out"
    )
    text = (tmp_path / "out/index.html").read_text(encoding="utf-8")
    assert not {"script", "link"} & set(Page(text).tags)  # Page also fails on event handlers
    # The gallery and the settings show it as text.
    assert text.count("&lt;script&gt;alert(1)") >= 2 and "{{ 7*7 }}" in text
    assert "The engines were not scored" in text and "The table of features is missing" in text
    assert "This machine has no record of any stage" in text and "no frame to show" in text
    # On the same data set the paper's numbers appear with a tag.
    assert '<span class="tag">paper</span>' in text and "84.4" in text
    assert "<code>make ablations</code>" in text and "<code>dvc repro protocols</code>" in text
    assert "do not publish this page" in text


def test_marked_pieces_join_to_the_whole_answer():
    # The last span overlaps the first one.
    pieces = marked(HOSTILE, [((8, 13), True), ((0, 8), False), ((10, 20), True)])
    assert "".join(piece for piece, _ in pieces) == HOSTILE
    assert pieces[:2] == (("<script>", "wrong"), ("alert", "right")) and len(pieces) == 3


def test_missing_metrics_or_index_raise_one_clear_sentence(tmp_path):
    report_outputs.write_data(tmp_path)
    with pytest.raises(
        UserError, match=r"metrics\.json is missing; make it with `dvc repro evaluate`"
    ):
        write_report(PipelineOutputs(tmp_path), tmp_path, PARAMS, [], "", tmp_path / "out")
    write_json(tmp_path / "results/evaluate/metrics.json", {})
    (tmp_path / "data/index/index.parquet").unlink()
    with pytest.raises(UserError, match=r"index\.parquet"):
        write_report(PipelineOutputs(tmp_path), tmp_path, PARAMS, [], "", tmp_path / "out")


def test_the_page_says_when_the_objective_is_not_the_papers():
    sentence = method_tables.other_objective
    assert sentence("pretrain: {objective: {name: c2vl}}") == sentence("pretrain: {}") == []
    (found,) = sentence("pretrain: {objective: {name: two_views}}")
    assert "says C²VL, it shows two_views" in found


def test_verdicts_say_who_leads_and_when_it_may_be_chance(tmp_path):
    def verdict(ours, hard):
        linear = {"xsub": {"joint": {"c2vl": {"top1": ours}, "infonce": {"top1": hard}}}}
        metrics = {"linear": linear, "samples": {"xsub": {"test": 400}}}
        write_json(tmp_path / "results/evaluate/metrics.json", metrics)
        return method_tables.verdict(PipelineOutputs(tmp_path), "xsub")

    assert "C²VL leads InfoNCE by 20.0 points" in verdict(0.8, 0.6)
    assert "C²VL trails InfoNCE by 20.0 points" in verdict(0.6, 0.8)
    assert "may be chance" in verdict(0.61, 0.6)
    gain = {"linear": {"top1": {"mean": -0.02, "std": 0.01, "values": [-0.03, -0.01]}}}
    cell = {"benchmark": "xsub", "stream": "joint", "methods": {}, "gain": gain}
    (sentence,) = seed_tables.verdicts({"seeds": [0, 1], "cells": [cell]})
    assert "2.0 ± 1.0 points below InfoNCE" in sentence and "better in 0 of 2 seeds" in sentence
    cell["gain"] = {"linear": {"top1": spread([0.05])}}
    assert (
        "C²VL is 5.0 points above InfoNCE"
        in seed_tables.verdicts({"seeds": [0], "cells": [cell]})[0]
    ), "one seed has no deviation"


def test_targets_are_marked_only_with_ground_truth():
    scores = {"truth": True, "detector": {"recall": 0.951, "precision": 0.949, "mean_iou": 0.8}}
    marks = {
        row.cells[1].text: row.cells[2].mark for row in engine_tables.engine_table(scores).rows
    }
    assert list(marks.values()) == ["reached", "missed", "reached"]
    scores = {"truth": False, "zero_shot": {"top1": 0.3, "chance1": 0.05}}
    assert [row.cells[2].mark for row in engine_tables.engine_table(scores).rows] == [""]
    assert engine_tables.engine_table({}) is None


def test_confusions_separation_and_durations_match_values_computed_by_hand():
    found = counts([0, 0, 0, 1], [0, 1, 1, 1], 3)
    assert found.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    assert worst(found, "abc", "abc") == [("a", "b", pytest.approx(2 / 3), 2)]
    assert separation(np.array([0.9, 0.5]), np.array([0.5, 0.1])) == pytest.approx(
        (1 + 1 + 0.5 + 1) / 4
    )
    assert [clock(s) for s in (0.04, 9.96, 59.4, 59.6, 3725)] == [
        "0.0 s",
        "10.0 s",
        "59 s",
        "1 min 00 s",
        "1 h 02 min",
    ]


def test_a_table_is_unrounded_in_csv_and_rounded_in_markdown():
    table = Table("t", "T", ("a|b", "n"), (Row((words("x | y"), percent(0.12345, "best", 0.01))),))
    assert table.csv() == "a|b,n,n std,kind\nx | y,0.12345,0.01,ours\n"
    assert "| x \\| y | **12.3 ± 1.0** |" in table.markdown()
    assert percent(None).text == "–"


def test_the_gallery_covers_all_classes_and_all_kinds_of_failure():
    labels = {f"S{i:03}": i % 5 for i in range(50)}
    chosen = typical(labels, 4, 5, seed=1)
    assert sorted(labels[choice.sample] for choice in chosen) == [0, 1, 2, 3, 4]
    assert chosen == typical(labels, 4, 5, seed=1) != typical(labels, 4, 5, seed=2)
    assert len(typical(labels, 4, 99, seed=1)) == 5 and typical({}, 4, 3, 0) == []
    parts = {
        f"{part}_{side}": "x"
        for part in ("posture", "object", "phrase")
        for side in ("said", "true")
    }
    frame = {"k": 0, "matched": 1, "people": 1, "detections": 1, "answer": "…", **parts}
    frames = [
        {**frame, "sample": "A", "people": 2},
        {**frame, "sample": "B", "posture_said": None},
        {**frame, "sample": "C"},
    ]
    picked = failures(frames, [("D", 1, "cannot be decoded")], {"Z"}, 9, seed=0)
    assert {(choice.sample, choice.why) for choice in picked} == {
        ("A", "a person was missed"),
        ("B", "the posture is wrong"),
        ("D", "cannot be decoded"),
    }


def test_colour_joints_scale_with_the_size_of_the_video():
    colour = np.full((2, 25, 2), np.nan)
    colour[0] = (960, 540)  # the middle of NTU's frame
    for width, height in ((384, 216), (640, 480)):
        drawn = over_frame(colour, NTU, (1920, 1080), width, height)
        assert set(re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn)) == {
            (f"{width / 2:.1f}", f"{height / 2:.1f}")
        }
    assert over_frame(np.full((2, 25, 2), np.nan), NTU, (1920, 1080), 384, 216) == ""


def test_two_skeletons_are_drawn_at_each_moment_inside_the_strip():
    joints = np.random.default_rng(0).normal(size=(40, 2, 25, 3)).astype(np.float32)
    drawn = moments(joints, NTU, 2, count=5)
    assert drawn.count('class="body0"') == drawn.count('class="body1"') == 5
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups())
    points = np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn), dtype=float)
    assert (points >= 0).all() and (points <= (width, height)).all()
    joints[:, 1] = 0
    assert 'class="body1"' not in moments(joints, NTU, 2, 5)
    assert moments(np.zeros((0, 2, 25, 3)), NTU, 1, 5) == ""
