"""Every image-text type of transformers, tiny and with random weights, as a captioner.

Each type answers a batch of crops of different sizes, or stands below with the reason why not. A
type that is new, or that works now though it stands there, fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vlms

from c2vl.core.errors import UserError
from c2vl.prompts.engines import Captioner, CaptionerParams
from c2vl.prompts.engines.clip_captioner import ClipCaptioner

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.usefixtures("one_thread")
FIRST = [
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "llava_onevision",
    "llava_next",
    "smolvlm",
    "gemma3",
    "paligemma",
    "idefics3",
    "llava",
]
TORCHVISION = [
    "cohere2_vision",
    "gemma4_unified",
    "inkling2",
    "inkling_mm_model",
    "kimi_k25",
    "lfm2_vl",
    "llama4",
    "minicpm_ocr",
    "minimax_m3_vl",
    "mistral3",
    "mistral_large4",
    "molmo2",
    "muse_glimmer",
    "muse_spark",
    "nemotron_h_omni",
    "perception_lm",
    "pi0",
    "pp_formulanet",
    "step3p7",
    "unlimited_ocr",
]
# What the sentence says, of types whose processor or model does not load.
NOT_LOADED = {kind: "needs torchvision" for kind in TORCHVISION} | {
    "evolla": "Unrecognized configuration class",  # it reads proteins
    "fast_vlm": "image processor",  # transformers names none for the type
    "gemma3n": "timm",
    "instructblipvideo": "",  # it answers about videos
    "mistral4": "image processor",  # it reads text alone
    "vision-encoder-decoder": "image processor",  # it is asked nothing
}
# The same, of types that have weights and cannot answer.
NOT_ANSWERING = {
    "cosmos3_edge": "`mm_token_type_ids` is missing",  # its processor leaves it out
    "diffusion_gemma": "DiffusionGemmaGenerationConfig",  # it does not decode word by word
    "fuyu": "transpose()",  # its image processor on Pillow fails
    "pp_chart2table": "tokens: 1, features: 256",  # only its chat template has enough tokens
    "shieldgemma2": "lacks",  # transformers saves it under names that it does not read
    "udop": "PyTesseract",  # its image processor reads text in images
}
ANSWERING = [kind for kind in tiny_vlms.TYPES if kind not in NOT_LOADED | NOT_ANSWERING]
SLOW = {"aria", "deepseek_ocr2", "emu3", "glm5_next", "got_ocr2", "kosmos-2.5", "pix2struct"}
SHAPES = [(150, 50), (80, 120), (100, 100), (170, 60), (60, 40), (130, 90)]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Token ids of the answers, in the order in which they are decoded."""
    rows: list[list[int]] = []
    kind = transformers.PreTrainedTokenizerBase
    original = kind.batch_decode

    def batch_decode(self: Any, ids: Any, *args: Any, **options: Any) -> Any:
        rows.extend(ids.tolist())
        return original(self, ids, *args, **options)

    monkeypatch.setattr(kind, "batch_decode", batch_decode)
    return rows


def params_of(kind: str, folder: Path, **more: Any) -> CaptionerParams:
    return CaptionerParams(
        model=str(folder),
        question="is he standing",
        max_new_tokens=4,
        **{"pad_to_square": False, **tiny_vlms.template_of(kind), **more},
    )


def crops() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]


def test_every_type_is_listed_once() -> None:
    assert (NOT_LOADED | NOT_ANSWERING).keys() <= set(tiny_vlms.TYPES)
    assert not NOT_LOADED.keys() & NOT_ANSWERING.keys()
    assert set(FIRST) <= set(ANSWERING)


@pytest.mark.parametrize("kind", FIRST)
def test_answers(kind: str, tmp_path: Path, answered: list[list[int]]) -> None:
    captioner = answers_together_as_alone(kind, tmp_path, answered)
    assert len(captioner.groups(captioner.prepare(crops()))) <= 2


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.recipes if kind in SLOW else ())
        for kind in ANSWERING
        if kind not in FIRST
    ],
)
def test_other_type_answers(kind: str, tmp_path: Path, answered: list[list[int]]) -> None:
    answers_together_as_alone(kind, tmp_path, answered)


def answers_together_as_alone(kind: str, folder: Path, answered: list[list[int]]) -> Captioner:
    tiny_vlms.build(kind, folder)
    captioner = Captioner.load(params_of(kind, folder), "cpu")
    ready = captioner.prepare(crops())
    order = [index for group in captioner.groups(ready) for index in group]
    answered.clear()
    texts = captioner.answer(ready)
    together = {index: row for index, row in zip(order, answered, strict=True)}
    answered.clear()
    assert texts == [captioner.answer([item])[0] for item in ready]
    for index, alone in enumerate(answered):
        row = together[index]
        assert row[: len(alone)] == alone
        assert len(set(row[len(alone) :])) <= 1  # padding behind an answer that has ended
    return captioner


@pytest.mark.parametrize("kind", ["qwen2_vl", "internvl", "llava_next", "idefics3"])
def test_clips_of_different_sizes_share_a_batch(kind: str, tmp_path: Path) -> None:
    tiny_vlms.build(kind, tmp_path)
    captioner = ClipCaptioner.of_clips(params_of(kind, tmp_path), "cpu", 3)
    one, two, three, *others = crops()
    ready = captioner.prepare([[one, two, three], [three, two], others])
    assert len(captioner.groups(ready)) < 3
    assert captioner.answer(ready) == [captioner.answer([item])[0] for item in ready]


def test_a_model_that_sees_one_image_of_a_clip_is_refused(tmp_path: Path) -> None:
    tiny_vlms.build("blip-2", tmp_path)
    with pytest.raises(UserError, match=r"3 images of a clip .* \(the model leaves images out\)"):
        ClipCaptioner.of_clips(params_of("blip-2", tmp_path), "cpu", 3)


@pytest.mark.parametrize("kind", NOT_LOADED)
def test_a_type_that_does_not_load_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    tiny_vlms.build_all_but_weights(kind, tmp_path)
    refused(kind, tmp_path, NOT_LOADED[kind])


@pytest.mark.parametrize("kind", NOT_ANSWERING)
def test_a_type_that_cannot_answer_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    tiny_vlms.build(kind, tmp_path)
    refused(kind, tmp_path, NOT_ANSWERING[kind])


def refused(kind: str, folder: Path, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        Captioner.load(params_of(kind, folder), "cpu")
    sentence = str(caught.value)
    print(f"{kind}: {sentence}")
    assert "\n" not in sentence and sentence.endswith(".")
    assert tiny_vlms.class_of(kind) in sentence
    assert reason.lower() in sentence.lower()


@pytest.mark.parametrize("kind", ["qwen2_vl", "llava_next", "internvl", "smolvlm"])
def test_max_pixels_costs_fewer_tokens(kind: str, tmp_path: Path) -> None:
    tiny_vlms.build(kind, tmp_path)
    crop = np.zeros((150, 140, 3), np.uint8)
    (whole,), (scaled,) = (
        Captioner.load(params_of(kind, tmp_path, max_pixels=budget), "cpu").prepare([crop])
        for budget in (None, 4096)
    )
    assert scaled["input_ids"].shape[1] < whole["input_ids"].shape[1]


def test_max_pixels_is_in_the_key_only_if_set() -> None:
    params = CaptionerParams(model="any")
    assert "max_pixels" not in params.in_key()
    assert params.model_copy(update={"max_pixels": 4096}).in_key()["max_pixels"] == 4096


def test_max_pixels_is_checked() -> None:
    with pytest.raises(ValueError, match="max_pixels"):
        CaptionerParams(model="any", max_pixels=10)
