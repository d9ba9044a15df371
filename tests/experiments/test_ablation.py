"""Sweeps run as declared, choose defaults without test clips, and write correct tables."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from synthetic import BENCHMARK, write_data

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.params import load_section
from c2vl.datasets.data_params import DataParams
from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.evaluation.features import Features
from c2vl.evaluation.protocol import evaluate
from c2vl.experiments.ablation.ablation_files import summary, table_csv, write_outputs
from c2vl.experiments.ablation.declared import (
    Ablations,
    Setting,
    Sweep,
    applied,
    jobs,
    read_ablations,
)
from c2vl.experiments.ablation.planned import planned
from c2vl.experiments.ablation.runs import attempt, key_of, run_all, run_one
from c2vl.experiments.ablation.three_streams import of_three_streams
from c2vl.experiments.ablation.validation import validation_data
from c2vl.experiments.compare import Run, interval_of
from c2vl.models.clips import load_clips
from c2vl.models.encoders.settings import PUBLISHED, TWO_CORES
from c2vl.report.ablation_tables import table
from c2vl.report.figures.gains import gains
from c2vl.report.sweeps_page import write_page
from c2vl.training.training_params import PretrainParams

ROOT = Path(__file__).resolve().parents[2]
TINY = PretrainParams.model_validate(
    {
        "encoder": {"name": "stgcn", "width": 4, "blocks": 3, "persons": "present"},
        "view": {"frames": 8, "shortest": 8},
        "batch": 16,
        "epochs": 2,
        "warmup_epochs": 0,
        "milestones": [],
        "probe_every": 0,
    }
)


def run_of(linear: float, knn: float) -> Run:
    return Run({"linear": {"top1": linear}, "knn": {"top1": knn}})


def declared_for(profile: str) -> tuple[Ablations, PretrainParams]:
    """The sweeps that `stages/ablations.py` runs under a profile, and their base parameters."""
    params = ROOT / "profiles" / f"{profile}.yaml"
    declared = read_ablations(ROOT / "ablations.yaml").of(load_section("data", DataParams, params))
    return declared, applied(
        load_section("pretrain", PretrainParams, params), declared.base, "base"
    )


@pytest.mark.parametrize("profile", ["demo", "small", "paper"])
def test_every_declared_setting_changes_a_parameter_of_the_profile(profile: str) -> None:
    declared, base = declared_for(profile)
    assert declared.sweeps.keys() == read_ablations(ROOT / "ablations.yaml").sweeps.keys()
    for name, sweep in declared.sweeps.items():
        every = [applied(base, setting.set, name).model_dump_json() for setting in sweep.settings]
        if profile == "demo":  # other profiles already have some of these values
            assert len(set(every)) == len(every), f"two settings of {name} are the same"
        assert len({setting.name for setting in sweep.settings}) == len(every)


def test_sweeps_use_published_encoders_on_real_data_and_small_ones_on_the_studio() -> None:
    for profile, sizes in (("demo", TWO_CORES), ("paper", PUBLISHED)):
        declared, base = declared_for(profile)
        swept = [applied(base, row.set, "").encoder for row in declared.sweeps["encoders"].settings]
        assert {encoder.name: encoder for encoder in swept} == sizes
        assert (
            base.epochs
            == load_section("pretrain", PretrainParams, ROOT / f"profiles/{profile}.yaml").epochs
        ) == (profile == "paper")
        assert ("two cores" in declared.sweeps["encoders"].title) == (profile == "demo")


def test_sweeps_run_on_the_benchmarks_that_the_data_set_has() -> None:
    declared = read_ablations(ROOT / "ablations.yaml")
    ntu120 = DataParams.model_validate(
        {"dataset": "ntu120", "raw": "data/raw", "benchmarks": ["xsub", "xset"]}
    )
    assert {tuple(sweep.benchmarks) for sweep in declared.of(ntu120).sweeps.values()} == {("xsub",)}
    assert not declared.of(ntu120.model_copy(update={"benchmarks": ["xset"]})).sweeps


def test_the_papers_tables_are_declared_with_its_numbers() -> None:
    sweeps = read_ablations(ROOT / "ablations.yaml").sweeps
    assert [row.paper.get("xsub") for row in sweeps["components"].settings] == [
        82.0,
        82.8,
        83.0,
        83.4,
        81.9,
        84.0,
        84.4,
    ]
    assert [row.paper.get("xview") for row in sweeps["knowledge"].settings] == [81.9, 88.6, 89.8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective.gamma": 1}, "pretrain.objective.gamma"),
        ({"nothing.beta": 1}, "nothing.beta"),
        ({"objective.beta": 2}, "beta"),
    ],
)
def test_a_setting_that_is_not_a_parameter_is_named(
    changes: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        applied(TINY, changes, "ablations.yaml")


def test_a_setting_changes_only_what_it_names() -> None:
    changed = applied(TINY, {"objective.beta": 0.5}, "").model_dump()
    assert changed["objective"].pop("beta") == 0.5
    before = TINY.model_dump()
    before["objective"].pop("beta")
    assert changed == before


def test_validation_holds_out_training_subjects_and_hides_every_test_clip(tmp_path: Path) -> None:
    write_data(tmp_path / "data", clips=64)
    path = tmp_path / "data/index/index.parquet"
    index = tables.read(path)
    subjects = [int(sample[9:12]) for sample in index["sample"].to_pylist()]
    place = index.schema.get_field_index("subject")
    tables.write(
        path, index.set_column(place, index.schema.field(place), pa.array(subjects, pa.int16()))
    )
    subject_of = dict(zip(index["sample"].to_pylist(), subjects, strict=True))
    real_test = set(load_clips(tmp_path / "data", BENCHMARK, "test", "cpu").samples)
    seen = set()
    for seed in range(3):
        folder = validation_data(tmp_path / "data", BENCHMARK, seed, tmp_path / f"held-out-{seed}")
        train, held_out = (
            load_clips(folder, BENCHMARK, split, "cpu") for split in ("train", "test")
        )
        assert not real_test & {*train.samples, *held_out.samples}
        of_train, of_held_out = (
            {subject_of[sample] for sample in clips.samples} for clips in (train, held_out)
        )
        assert of_train and of_held_out and not of_train & of_held_out
        seen.add(frozenset(of_held_out))
    assert len(seen) > 1, "every seed held out the same subject"


def test_finished_runs_are_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    write_data(data)
    protocols = EvaluateParams()
    sweep = Sweep(
        title="",
        settings=[
            Setting(name="a"),
            Setting(name="b", set={"objective.beta": 0.5}),
            Setting(name="a again"),
        ],
    )
    todo = {
        key_of(job, "", "joint", protocols): job
        for s in sweep.settings
        for job in jobs(sweep, s, TINY, 1, "")
    }
    assert len(todo) == 2, "the same setting under two names is one run"
    first = run_all(todo, data, "joint", protocols, tmp_path / "runs", again=False)
    assert set(first) == set(todo) and all(
        0 <= run.metrics["linear"]["top1"] <= 1 for run in first.values()
    )
    capsys.readouterr()
    assert run_all(todo, data, "joint", protocols, tmp_path / "runs", again=False) == first
    assert "2 kept from before, 0 to do" in capsys.readouterr().out


def test_tables_show_mean_and_deviation_over_seeds() -> None:
    sweep = Sweep(
        title="T", benchmarks=["xsub"], settings=[Setting(name="α 50 %", paper={"xsub": 80.0})]
    )
    values = [0.5, 0.6, 0.7]
    part = summary(sweep, {("α 50 %", "xsub"): [run_of(value, 0.25) for value in values]})
    found = part["rows"][0]["results"]["xsub"]["linear"]
    assert found["mean"] == pytest.approx(0.6) and found["std"] == pytest.approx(np.sqrt(0.02 / 2))
    assert "| α 50 % | 60.0 ± 10.0 | 25.0 ± 0.0 | 80.0 |" in table(part, "t").markdown()
    assert (
        r"$\alpha$ 50 \% & 60.0 $\pm$ 10.0 & 25.0 $\pm$ 0.0 & 80.0 \\" in table(part, "t").latex()
    )
    rows = list(csv.DictReader(io.StringIO(table_csv({"t": part}))))
    assert [(row["protocol"], row["mean"], row["paper"]) for row in rows] == [
        ("linear", "0.600000", "80.0"),
        ("knn", "0.250000", ""),
    ]


def test_differences_are_paired_with_the_setting_that_the_sweep_names() -> None:
    """The second is right where the first is, and on one more person: a difference of a third."""
    people = [1, 1, 2, 2, 3, 3]
    rights = {"hard": [1, 0, 1, 0, 0, 0], "soft": [1, 0, 1, 0, 1, 1]}
    settings = [Setting(name=name) for name in rights]

    def runs(name: str) -> list[Run]:
        right = np.array(rights[name], bool)
        correct = {"linear": right, "knn": right}
        metrics = {protocol: {"top1": float(right.mean())} for protocol in correct}
        return [Run.of(metrics, correct, people)] * 3

    sweep = Sweep(title="T", against="hard", settings=settings)
    part = summary(sweep, {(name, "xsub"): runs(name) for name in rights})
    hard, soft = (row["results"]["xsub"]["linear"] for row in part["rows"])
    low, high = soft["gain"]["interval"]
    assert hard["gain"] is None and soft["gain"]["mean"] == pytest.approx(1 / 3) and low < 1 / 3
    text = table(part, "t").markdown()
    assert f"| +33.3 [{low * 100:.1f}, {high * 100:.1f}] |" in text and "Δ xsub KNN" in text
    with pytest.raises(ValueError, match="against"):
        Sweep(title="T", against="none", settings=settings)


def test_where_each_seed_holds_out_other_people_the_seeds_alone_are_drawn() -> None:
    def runs(values: list[float]) -> list[Run]:
        """Each seed with ten people of its own."""
        found = []
        for seed, value in enumerate(values):
            right = np.arange(10) < 10 * value
            people = [10 * seed + k for k in range(10)]
            found.append(Run.of({"linear": {"top1": value}}, {"linear": right}, people))
        return found

    found = interval_of(runs([0.5, 0.6, 0.7]), "linear", runs([0.4, 0.4, 0.4]))
    half = 4.302653 * 0.1 / 3**0.5  # Student's t of two degrees of freedom
    assert found == pytest.approx([0.2 - half, 0.2 + half])


def test_the_study_s_settings_are_parameters_and_no_run_is_done_twice() -> None:
    """Hard targets and the oracle do not read θ or γ, so a sweep over these repeats neither."""
    path = ROOT / "profiles/study.yaml"
    data = load_section("data", DataParams, path)
    declared = read_ablations(ROOT / "study.yaml").of(data)
    base = load_section("pretrain", PretrainParams, path)
    plan = planned(declared.sweeps, declared, base, "", EvaluateParams(), "study.yaml")
    for name, sweep in declared.sweeps.items():
        assert len({setting.name for setting in sweep.settings}) == len(sweep.settings), name
        beside = {setting.method for setting in sweep.settings}
        if name in ("noise", "batch", "logits", "targets", "identity", "teacher", "prompts"):
            assert beside >= {"infonce", "oracle"}, f"{name} has no baseline or no oracle"
    for line in ("hard InfoNCE", "oracle (true labels)"):
        runs = [plan.keys["targets", f"{line}, θ {theta}", "xsub"] for theta in (0.03, 0.1, 0.376)]
        assert runs[0] == runs[1] == runs[2]
    other = [plan.keys["targets", f"C²VL, θ {theta}", "xsub"] for theta in (0.03, 0.1, 0.376)]
    assert len({tuple(keys) for keys in other}) == 3
    fused = plan.keys["main", "C²VL", "xsub"]
    assert fused == plan.keys["room", "C²VL", "xsub"] and all(plan.jobs[key].fused for key in fused)


def test_lines_and_points_make_settings() -> None:
    sweep = Sweep.model_validate(
        {
            "title": "T",
            "axis": "share",
            "lines": [{"name": "hard", "method": "infonce"}, {"name": "soft", "set": {"batch": 8}}],
            "points": [{"name": "0", "x": 0}, {"name": "half", "x": 0.5, "set": {"swapped": 0.5}}],
        }
    )
    assert [(row.name, row.x, row.line, row.method, row.set) for row in sweep.settings] == [
        ("hard, 0", 0, "hard", "infonce", {}),
        ("soft, 0", 0, "soft", "c2vl", {"batch": 8}),
        ("hard, half", 0.5, "hard", "infonce", {"swapped": 0.5}),
        ("soft, half", 0.5, "soft", "c2vl", {"batch": 8, "swapped": 0.5}),
    ]


def test_three_streams_are_fused_and_answer_for_the_joint_stream(tmp_path: Path) -> None:
    data, protocols = tmp_path / "data", EvaluateParams()
    write_data(data)
    sweeps = {
        "fused": Sweep(title="", fused=True, settings=[Setting(name="a")]),
        "joint": Sweep(title="", settings=[Setting(name="a")]),
    }
    declared = Ablations(seeds=1, sweeps=sweeps)
    plan = planned(sweeps, declared, TINY, "", protocols, "")
    assert len(plan.jobs) == 1
    runs = run_all(plan.jobs, data, "joint", protocols, tmp_path / "runs", again=False)
    (key,) = plan.keys["joint", "a", "xsub"]
    alone = next(jobs(sweeps["joint"], sweeps["joint"].settings[0], TINY, 1, ""))
    joint = run_one(alone, data, "joint", protocols)
    assert runs[key].correct["linear"] == joint.correct["linear"]
    assert set(runs[key].correct) == {"linear", "knn", "fused_linear", "fused_knn"}
    part = summary(sweeps["fused"], {("a", "xsub"): [runs[key]]})
    assert "xsub 3 streams KNN" in table(part, "t").columns


def test_streams_that_agree_are_answered_as_one() -> None:
    rng = np.random.default_rng(0)
    one = Features(
        rng.normal(size=(40, 5)).astype(np.float32), rng.integers(0, 3, 40),
        rng.normal(size=(20, 5)).astype(np.float32), rng.integers(0, 3, 20),
    )  # fmt: skip
    result = evaluate(one, 3, EvaluateParams())
    three = dict.fromkeys(("joint", "motion", "bone"), one)
    found = of_three_streams(three, dict.fromkeys(three, result), EvaluateParams())
    assert (found["fused_linear"] == result.correct()["linear"]).all()
    assert (found["fused_knn"] == result.correct()["knn"]).all()


def test_a_run_that_fails_is_left_out_by_name(tmp_path: Path) -> None:
    data, protocols = tmp_path / "data", EvaluateParams()
    write_data(data)
    job = next(jobs(Sweep(title="", settings=[Setting(name="a")]), Setting(name="a"), TINY, 1, ""))
    hopeless = job._replace(params=applied(TINY, {"learning_rate": 1e30}, ""))
    reason = attempt(hopeless, data, "joint", protocols)
    assert isinstance(reason, str) and "learning_rate" in reason
    sweep = Sweep(title="", against="b", settings=[Setting(name="a"), Setting(name="b")])
    left = sweep.without({"b"})
    assert left is not None and left.compared_with == "a" and sweep.without({"a", "b"}) is None


def test_the_page_has_a_figure_for_each_axis_and_names_what_is_left_out(tmp_path: Path) -> None:
    lines = [{"name": "hard", "method": "infonce"}, {"name": "oracle", "method": "oracle"}]
    points = [{"name": str(x), "x": x} for x in (0, 1)]
    sweep = Sweep.model_validate({"title": "T <i>", "axis": "x", "lines": lines, "points": points})
    runs = {(row.name, "xsub"): [run_of(0.5, 0.4)] * 2 for row in sweep.settings}
    head = {"dataset": "studio", "seeds": [0, 1]}
    write_page(tmp_path, {"noise": summary(sweep, runs)}, head, ["batch, C²VL"])
    text = (tmp_path / "index.html").read_text()
    assert "T &lt;i&gt;" in text and "batch, C²VL" in text and "oracle, 1" in text
    assert "<svg" in text and (tmp_path / "plots/noise.png").is_file()


def test_a_line_is_compared_with_another_one_at_its_own_point() -> None:
    lines = [{"name": "hard", "method": "infonce"}, {"name": "soft"}]
    points = [{"name": str(x), "x": x} for x in (0, 1)]
    given = {"title": "T", "axis": "x", "lines": lines, "points": points}
    sweep = Sweep.model_validate({**given, "against": "hard"})
    linear = {"hard, 0": 0.5, "soft, 0": 0.6, "hard, 1": 0.3, "soft, 1": 0.7}
    runs = {(name, "xsub"): [run_of(value, 0.1)] * 2 for name, value in linear.items()}
    part = summary(sweep, runs)
    gained = {row["name"]: row["results"]["xsub"]["linear"]["gain"] for row in part["rows"]}
    assert gained["hard, 0"] is gained["hard, 1"] is None
    assert gained["soft, 0"]["mean"] == pytest.approx(0.1)
    assert gained["soft, 1"]["mean"] == pytest.approx(0.4)
    assert "difference from “hard” at the same place of the axis" in table(part, "t").note
    left = sweep.without({"hard, 0"})
    assert left is not None and left.compared(left.settings[0]) == "soft, 0"
    with pytest.raises(ValueError, match="names no setting or line"):
        Sweep.model_validate({**given, "against": "other"})


def test_a_sweep_without_an_axis_is_drawn_as_differences() -> None:
    settings = [
        Setting(name="hard"),
        Setting(name="soft"),
        Setting(name="oracle, x", method="oracle"),
    ]
    sweep = Sweep(title="T", against="hard", settings=settings)
    rng = np.random.default_rng(0)
    people = [number % 6 for number in range(60)]

    def tested() -> Run:
        right = {name: "".join(map(str, rng.integers(0, 2, 60))) for name in ("linear", "knn")}
        means = {name: {"top1": each.count("1") / 60} for name, each in right.items()}
        return Run(means, right, people)

    runs = {(row.name, "xsub"): [tested(), tested()] for row in settings}
    plot = gains(summary(sweep, runs), "t", "T")
    assert plot is not None and "“hard”" in plot.caption and "95 % intervals" in plot.caption
    shown = re.findall(r"<text [^>]*>([^<]+)</text>", plot.svg)
    assert {"soft", "oracle, x", "xsub, linear", "xsub, KNN"} <= {*shown} and "hard" not in shown
    one_seed = {place: of[:1] for place, of in runs.items()}
    assert gains(summary(sweep, one_seed), "t", "T") is None


@pytest.mark.parametrize(("dataset", "shown"), [("ntu60", True), ("studio", False)])
def test_the_papers_numbers_appear_only_on_its_own_data(
    tmp_path: Path, dataset: str, shown: bool
) -> None:
    sweep = Sweep(title="T", settings=[Setting(name="a", paper={"xsub": 81.9})])
    part = summary(sweep, {("a", "xsub"): [run_of(0.5, 0.25)]})
    text = write_outputs(tmp_path, {"t": part}, {"dataset": dataset})
    assert ("81.9" in text) is ("81.9" in (tmp_path / "ablations.tex").read_text()) is shown
