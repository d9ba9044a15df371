"""Sections of params.yaml are typed and frozen; errors name the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel, faults_of, load_section, read_params


class Inner(ParamsModel):
    rate: float = Field(gt=0)


class Outer(ParamsModel):
    name: str
    inner: Inner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "params.yaml"


def test_a_section_is_read_and_cannot_be_changed(path: Path) -> None:
    path.write_text("one: {name: a, inner: {rate: 0.5}}\ntwo: {}\n")
    section = load_section("one", Outer, path)
    assert (section.name, section.inner.rate) == ("a", 0.5)
    with pytest.raises(ValidationError):
        section.name = "b"


def test_what_is_read_follows_the_file_and_is_the_reader_s_own(path: Path) -> None:
    """The parsed text is kept, but neither shared nor used for another text."""
    path.write_text("one: {name: a}")
    read_params(path)["one"]["name"] = "changed"
    assert read_params(path) == {"one": {"name": "a"}}
    path.write_text("one: {name: b}")
    assert read_params(path) == {"one": {"name": "b"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one: {name: a, inner: {rate: 0.5, rat: 1}}", "no parameter `one.inner.rat`"),
        ("one: {name: a, inner: {rate: -1}}", "`one.inner.rate`: input should be greater than 0"),
        ("one: {name: a}", "`one.inner`: field required"),
        ("two: {}", "no section `one`"),
        ("- 1", "must contain named sections"),
        ("a: [1", "not valid YAML"),
        ("a: 2026-13-01", "not valid YAML (month must be in 1..12)"),
        ("a: !!timestamp foo", "not valid YAML"),
        ("a: !!int x", "not valid YAML"),
        ("a: &a [*a]", "not valid YAML"),
        ("[" * 3000, "not valid YAML"),
        (None, "is missing"),
    ],
)
def test_an_error_is_one_sentence_that_names_file_and_key(
    path: Path, text: str | None, expected: str
) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_section("one", Outer, path)
    message = str(caught.value)
    assert (
        expected in message
        and "params.yaml" in message
        and "\n" not in message
        and message.endswith(".")
    )


class CropLike(ParamsModel):
    margin: float


def test_a_misspelt_key_is_named_before_the_key_that_is_missing() -> None:
    faults = faults_of("crop", {"margim": 0.1}, CropLike)
    assert [fault.split("`")[1] for fault in faults] == ["crop.margim", "crop.margin"]
