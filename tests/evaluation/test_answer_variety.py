"""How varied answers are: values worked out by hand, and the command that prints them."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest

from c2vl.core.errors import UserError
from c2vl.datasets.clip_names import labels_and_splits
from c2vl.evaluation.scores.answer_variety import agreement, answer_variety, thinned


def test_agreement_matches_values_computed_by_hand() -> None:
    # Three answers. `red` and `cup` are in two of them, `ball` in one; IDF is ln((1+n)/(1+df)) + 1.
    common, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    first = [common, common]  # red, cup: a unit vector has 1/√2 in each
    second = math.hypot(common, rare)
    expected = first[0] / math.hypot(*first) * common / second
    assert agreement([["red cup", "Red ball."], ["cup"]]) == pytest.approx(expected)
    assert expected == pytest.approx(0.42805, abs=1e-5)


def test_agreement_is_the_mean_over_clips_of_the_mean_over_pairs() -> None:
    # Pairs of the first clip: 1, 0, 0. The second agrees wholly. The third has one answer.
    assert agreement([["sits", "sits", "runs"], ["jumps", "jumps"], ["sits"]]) == pytest.approx(
        (1 / 3 + 1) / 2
    )
    assert agreement([["sits", "..."], ["jumps"]]) == 0  # no word, nothing to agree with
    assert agreement([["sits"], ["jumps"]]) is None
    assert agreement([["...", "..."]]) is None
    assert agreement([]) is None


def test_variety_counts_what_differs_by_more_than_case_and_spaces() -> None:
    labels = {f"{what}{n}": n % 2 for what in ("train", "test") for n in range(8)}
    side = {name: name[:-1] for name in labels}
    said = ("he sits on a chair", "He  stands.")
    answers = {name: [said[label], "Some room"] for name, label in labels.items()}
    found = answer_variety(answers, labels, {"xsub": side})
    assert (found["answers"], found["clips"]) == (32, 16)
    assert found["distinct"] == 3 / 32
    assert found["words"] == (5 * 8 + 2 * 8 + 2 * 16) / 32
    assert found["agreement"] == 0
    # The middle one of two answers is the second, which is the same for both classes.
    assert found["one_answer"]["xsub"] == 0.5
    assert found["all_answers"]["xsub"] == 1.0
    assert found["chance"]["xsub"] == 0.5
    nothing = answer_variety({}, {}, {})
    assert (nothing["distinct"], nothing["words"], nothing["agreement"]) == (None, None, None)


def test_thinning_keeps_both_sides_and_the_same_clips_again() -> None:
    split = {f"clip{n:02}": "train" if n < 12 else "test" for n in range(20)} | {"other": ""}
    answers = {clip: ["x"] for clip in split}
    kept = thinned(answers, split, 5)
    assert [split[clip] for clip in kept] == ["train"] * 5 + ["test"] * 5
    assert thinned(answers, split, 5) == kept != thinned(answers, split, 5, seed=1)


def test_labels_and_splits_follow_from_the_published_names() -> None:
    labels, sides = labels_and_splits(["S001C001P001R001A060", "S001C002P003R001A001"])
    assert labels == {"S001C001P001R001A060": 59, "S001C002P003R001A001": 0}
    # NTU60: subject 1 trains and 3 tests; cameras 2 and 3 train.
    assert list(sides["xsub"].values()) == ["train", "test"]
    assert list(sides["xview"].values()) == ["test", "train"]
    _, sides = labels_and_splits(["S018C001P041R001A061"])
    assert sides == {
        "xsub": {"S018C001P041R001A061": "test"},
        "xset": {"S018C001P041R001A061": "train"},
    }
    names = ["A013N008V002C048L005", "A001N002V003C051L001"]
    labels, sides = labels_and_splits(names)
    assert labels == dict(zip(names, (47, 50), strict=True))
    lists = (Path("c2vl/datasets") / f"pku2_cross_{what}.txt" for what in ("subject", "view"))
    for benchmark, file in zip(("xsub", "xview"), lists, strict=True):
        head, tail = file.read_text().split("Validataion videos:")
        for name, video in zip(names, ("A13N08-M", "A01N02-R"), strict=True):
            assert (video in head) == (sides[benchmark][name] == "train")
            assert (video in tail) == (sides[benchmark][name] == "test")
    for unknown in (["F002V001C048L005"], ["my clip"], ["A013N008V009C048L005"]):
        assert labels_and_splits(unknown) == ({}, {})


def test_the_command_prints_both_columns_for_a_published_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from c2vl.commands import quality

    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"S001C001P001R001A001": ["He sits.", "He sits on a chair."]}))
    quality.run(argparse.Namespace(json=False, file=file))
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["distinct", "answers", "1.000", "0.427"] in told
    assert ["words", "of", "an", "answer", "3.5", "21.4"] in told
    # One clip trains no bag of words.
    assert ["class", "from", "one", "answer,", "xsub", "-", "0.239"] in told
    with pytest.raises(UserError, match="is not there; name a published answers file"):
        quality.run(argparse.Namespace(json=False, file=tmp_path / "missing.json"))
