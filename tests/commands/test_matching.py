"""`c2vl search` says when nothing matches: senseless sentences, real ones, the studio's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import BENCHMARK
from trained_project import write_project

from c2vl.cli import main
from c2vl.commands.recognition.matching import is_far, stems, telling, why_nothing_matches
from c2vl.commands.recognition.nearest_samples import load_streams
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.engines.encoder import Encoder
from c2vl.studio.vocabulary import ACTIONS, PHRASES

ROOT = Path(__file__).resolve().parents[2]
SENSELESS = (
    "qwertz uiop",
    "asdf",
    "xyzzy plugh",
    "1234 5678",
    "!!!",
    "the",
    "a person flurbs",
    "quantum chromodynamics",
    "the stock market fell",
    "photosynthesis in plants",
)
GOOD = (
    "a person drinks from a cup",
    "someone sits down",
    "two people shake hands",
    "kicking",
    "a person claps",
    "she is typing on her phone",
    "standing up from a chair",
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """The demo's text encoder."""
    params = {"model": str(ROOT / "checkpoints/tiny/encoder"), "dtype": "float32"}
    section = EmbedParams.model_validate({"max_failed": 0.1, "encoder": params})
    return Encoder.load(section.encoder, "cpu")


@pytest.mark.parametrize("sentence", SENSELESS)
def test_a_senseless_sentence_matches_nothing(
    sentence: str, encoder: Encoder, tmp_path: Path
) -> None:
    why = why_nothing_matches(sentence, encoder, ACTIONS, tmp_path, [])
    assert why is not None and ("knows" in why or "says nothing" in why)


@pytest.mark.parametrize("sentence", [*GOOD, *PHRASES.values()])
def test_a_good_sentence_may_match(sentence: str, encoder: Encoder, tmp_path: Path) -> None:
    assert why_nothing_matches(sentence, encoder, ACTIONS, tmp_path, []) is None


def test_endings_and_function_words_do_not_count() -> None:
    assert telling("The person is clapping (2 times).") == ["clapping", "times"]
    for word in ("drinks", "drinking", "drink"):
        assert "drink" in stems([word])
    assert stems(["claps"]) & stems(["clapping"]) == {"clap"}
    assert not stems(["red"]) & stems(["reading"])


def test_a_sentence_is_far_where_every_training_sentence_comes_nearer(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    streams = load_streams(project / "results", BENCHMARK, "joint")
    weights = {"joint": 1.0}
    rng = np.random.default_rng(0)
    width = streams["joint"].heads["prompt_heads.language.weight"].shape[1]
    found = {is_far(rng.normal(size=width), streams, weights, project / "data") for _ in range(40)}
    assert found <= {True, False} and False in found
    assert not is_far(rng.normal(size=width), streams, weights, tmp_path / "nowhere")


def test_the_command_says_so_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = write_project(tmp_path)
    width = load_streams(project / "results", BENCHMARK, "joint")["joint"].prompts["language"]

    class Fixed:
        @staticmethod
        def texts(sentences: list[str]) -> tuple[np.ndarray, list[bool]]:
            return np.ones((1, width), np.float16), [False]

        @staticmethod
        def known_words(words: list[str]) -> set[str]:
            return set()

    monkeypatch.setattr("c2vl.prompts.engines.encoder.Encoder.load", lambda params, device: Fixed)
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as end:
        main(["search", "qwertz uiop", "--json"])
    out, error = capsys.readouterr()
    assert end.value.code == 1 and out == "[]\n"
    assert "Nothing matches: neither" in error and "--anyway" in error
    main(["search", "qwertz uiop", "--anyway", "--top", "3"])
    assert len(capsys.readouterr().out.splitlines()) == 3
