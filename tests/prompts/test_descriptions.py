"""Texts about the classes: names alone, several templates, and a user's own file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.prompts.class_names import ClassNamesParams, write_class_names
from c2vl.prompts.descriptions import read_descriptions

NAMES = ["clap", "kick", "bow"]


def encode(sentences: list[str]) -> np.ndarray:
    """Features that tell sentences apart: counts of letters."""
    counts = [[sentence.count(letter) + 1 for letter in "abcdehkloprtw"] for sentence in sentences]
    return np.array(counts, np.float16)


def features(folder: Path, **params: object) -> np.ndarray:
    write_class_names(folder, NAMES, ClassNamesParams.model_validate(params), encode)
    table = tables.read(folder / "class_names.parquet")
    assert table["name"].to_pylist() == NAMES
    return np.array(table["feature"].to_pylist())


def by_hand(sentences: list[str]) -> np.ndarray:
    unit = [row / np.sqrt(row @ row) for row in encode(sentences).astype(np.float64)]
    mean = sum(unit) / len(unit)
    return mean / np.sqrt(mean @ mean)


def test_names_templates_and_descriptions(tmp_path: Path) -> None:
    alone = features(tmp_path / "a", templates=["{}"])
    assert np.allclose(alone, [by_hand([name]) for name in NAMES])
    several = features(tmp_path / "b", templates=["{}", "they {} here"])
    assert np.allclose(several, [by_hand([name, f"they {name} here"]) for name in NAMES])
    own = {"kick": ["a leg", "a foot up"], "bow": "head down", "clap": ["both hands"]}
    (tmp_path / "own.json").write_text(json.dumps(own), encoding="utf-8")
    read = features(tmp_path / "c", templates=["{}"], descriptions=str(tmp_path / "own.json"))
    expected = [["both hands"], ["a leg", "a foot up"], ["head down"]]
    assert np.allclose(read, [by_hand(texts) for texts in expected])


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("clap: a\nkick: [b, ' c ']\nbow: d\n", encoding="utf-8")
    assert read_descriptions(tmp_path / "own.yaml", NAMES) == [["a"], ["b", "c"], ["d"]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"clap": "a"}', r"lacks 2 of the 3 classes \('kick', 'bow'\)"),
        ('{"clap": "a", "kick": "b", "bowe": "c"}', r"'bowe', .* \(do you mean 'bow'\?\)"),
        ('{"clap": "a", "kick": [], "bow": "c"}', "'kick' needs a description"),
        ('{"clap": "a", "kick": [" "], "bow": "c"}', "'kick' needs a description"),
        ('{"clap": "a", "kick": 3, "bow": "c"}', "'kick' needs a description"),
        ("[1]", "must hold class names"),
        ("{", "not valid JSON or YAML"),
    ],
)
def test_what_does_not_fit_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=sentence) as caught:
        read_descriptions(tmp_path / "own.json", NAMES)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is not there; put the file there"):
        read_descriptions(tmp_path / "other.json", NAMES)


def test_templates_still_need_a_place_for_the_name() -> None:
    with pytest.raises(ValidationError, match=r"must hold \{\} once"):
        ClassNamesParams(templates=["a person"])
