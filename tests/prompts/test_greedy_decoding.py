"""Answers come from greedy decoding alone, whatever generation settings a checkpoint ships."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.prompts.engines.captioner import Captioner, CaptionerParams

pytest.importorskip("torch")
TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny/captioner"
# What a generation_config.json may hold of token ids, and of facts that change no answer.
HARMLESS = {
    "_from_model_config",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "output_attentions",
    "output_hidden_states",
    "transformers_version",
    "use_cache",
}
SETTINGS: list[dict[str, Any]] = [
    {"no_repeat_ngram_size": 3},
    {"encoder_no_repeat_ngram_size": 2},
    {"repetition_penalty": 1.05},
    {"repetition_penalty": 10.0},
    {"min_new_tokens": 30},
    {"min_length": 300},
    {"max_length": 100},
    {"do_sample": True, "temperature": 5.0, "top_k": 0},
    {"num_beams": 3, "length_penalty": 2.0},
    {"suppress_tokens": list(range(10, 60))},
    {"begin_suppress_tokens": list(range(10, 200))},
    {"bad_words_ids": [[token] for token in range(10, 60)]},
    {"forced_bos_token_id": 7, "forced_eos_token_id": 7},
    {"sequence_bias": [[[20], 50.0]]},
    {"guidance_scale": 3.0},
    {"watermarking_config": {"bias": 20.0}},
    {"exponential_decay_length_penalty": [1, 5.0]},
    {"assistant_early_exit": 1},
    {"prompt_lookup_num_tokens": 3},
]


def answers(folder: Path) -> list[tuple[str, bool]]:
    params = CaptionerParams(model=str(folder), pad_to_square=False, max_new_tokens=40)
    random = np.random.default_rng(0)
    images = [np.full((120, 60, 3), 128, np.uint8)]
    images += [random.integers(0, 256, (90, 50, 3), dtype=np.uint8) for _ in range(3)]
    return [(one.text, one.finished) for one in Captioner.load(params, "cpu")(images)]


@pytest.fixture(scope="module")
def greedy() -> list[tuple[str, bool]]:
    return answers(TINY)


def with_settings(folder: Path, settings: dict[str, Any]) -> Path:
    shutil.copytree(TINY, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(settings))
def test_a_checkpoints_generation_settings_change_no_answer(
    settings: dict[str, Any], greedy: list[tuple[str, bool]], tmp_path: Path
) -> None:
    assert answers(with_settings(tmp_path / "captioner", settings)) == greedy


def test_a_checkpoint_without_generation_settings_gives_the_same_answers(
    greedy: list[tuple[str, bool]], tmp_path: Path
) -> None:
    """Its token ids are then those of the model's config."""
    shutil.copytree(TINY, tmp_path / "captioner")
    (tmp_path / "captioner" / "generation_config.json").unlink()
    assert answers(tmp_path / "captioner") == greedy
    assert all(text and finished for text, finished in greedy)


def test_the_shipped_captioner_holds_no_setting_that_could_leak() -> None:
    """So its answers, and the keys they are stored under, are those of greedy decoding."""
    assert json.loads((TINY / "generation_config.json").read_text()).keys() <= HARMLESS


def test_other_end_tokens_of_a_checkpoint_are_respected(tmp_path: Path) -> None:
    """Token ids are facts about the checkpoint, not settings."""
    params = CaptionerParams(model=str(TINY), pad_to_square=False)
    captioner = Captioner.load(params, "cpu")
    image = np.full((120, 60, 3), 128, np.uint8)
    whole = captioner([image])[0].text
    last = captioner._processor.tokenizer(whole, add_special_tokens=False)["input_ids"][2]
    folder = with_settings(tmp_path / "captioner", {"eos_token_id": [2, last]})
    cut = Captioner.load(params.model_copy(update={"model": str(folder)}), "cpu")([image])[0]
    assert cut.finished and len(cut.text) < len(whole) and whole.startswith(cut.text)
