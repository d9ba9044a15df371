"""The engine adapters, on tiny untrained checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.prompts.engines import (
    Answer,
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
)
from c2vl.prompts.engines.captioner import QUESTION
from c2vl.prompts.engines.pad_to_square import pad_to_square

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [(90, 160), (120, 80), (90, 160), (64, 64)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture(scope="module")
def detector(checkpoints: Path) -> Detector:
    return Detector.load(
        DetectorParams(model=str(checkpoints / "detector"), box_threshold=0.0), "cpu"
    )


@pytest.fixture(scope="module")
def captioner(checkpoints: Path) -> Captioner:
    return Captioner.load(
        CaptionerParams(model=str(checkpoints / "captioner"), max_new_tokens=6), "cpu"
    )


@pytest.fixture(scope="module")
def encoder(checkpoints: Path) -> Encoder:
    return Encoder.load(EncoderParams(model=str(checkpoints / "encoder")), "cpu")


# --- detector


def test_boxes_are_inside_the_image_they_were_found_in(
    detector: Detector, images: list[np.ndarray]
) -> None:
    found = detector(images)
    assert len(found) == len(images)
    for detections, image in zip(found, images, strict=True):
        height, width = image.shape[:2]
        assert detections.boxes.dtype == detections.scores.dtype == np.float32
        assert detections.boxes.shape == (len(detections.scores), 4)
        assert len(detections.scores) > 0  # threshold 0 keeps every query
        x0, y0, x1, y1 = detections.boxes.T
        assert (x0 >= 0).all() and (y0 >= 0).all() and (x1 <= width).all() and (y1 <= height).all()
        assert (x0 < x1).all() and (y0 < y1).all()
        assert (np.diff(detections.scores) <= 0).all()


def test_detections_do_not_depend_on_the_other_images(
    detector: Detector, images: list[np.ndarray]
) -> None:
    together = detector(images)
    for image, expected in zip(images, together, strict=True):
        alone = detector([image])[0]
        np.testing.assert_allclose(alone.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(alone.boxes, expected.boxes, atol=1e-2)


def test_the_detector_is_deterministic_and_accepts_no_images(
    detector: Detector, images: list[np.ndarray]
) -> None:
    first, second = detector(images), detector(images)
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(first, second, strict=True))
    assert detector([]) == []


def test_threshold_drops_exactly_the_lower_scores(
    checkpoints: Path, detector: Detector, images: list[np.ndarray]
) -> None:
    every = detector(images[:1])[0]
    threshold = float(np.median(every.scores))
    some = Detector.load(
        DetectorParams(model=str(checkpoints / "detector"), box_threshold=threshold), "cpu"
    )(images[:1])[0]
    np.testing.assert_allclose(some.scores, every.scores[every.scores > threshold], atol=1e-6)


# --- captioner


def test_an_answer_without_an_end_token_is_not_finished(
    captioner: Captioner, images: list[np.ndarray]
) -> None:
    end = captioner._processor.tokenizer.eos_token_id

    def answers(bias: float) -> list[Answer]:
        """The answers with this number added to the logit of the end token."""

        def biased(module: Any, inputs: Any, output: Any) -> Any:
            output[..., end] += bias
            return output

        handle = captioner._model.lm_head.register_forward_hook(biased)
        try:
            return captioner(images)
        finally:
            handle.remove()

    assert [answer.finished for answer in answers(-1e4)] == [False] * len(images)
    assert [(one.text, one.finished) for one in answers(1e4)] == [("", True)] * len(images)


def test_batched_answers_equal_single_answers(
    captioner: Captioner, images: list[np.ndarray]
) -> None:
    assert captioner(images) == [captioner([image])[0] for image in images]
    assert captioner([]) == []


def test_the_prompt_holds_the_question(
    captioner: Captioner, images: list[np.ndarray], checkpoints: Path
) -> None:
    prompt = CaptionerParams(model="").prompt()
    assert prompt == f"USER: <image>\n{QUESTION} ASSISTANT:"
    other = CaptionerParams(
        model=str(checkpoints / "captioner"), max_new_tokens=6, question="What?"
    ).prompt()
    assert other == "USER: <image>\nWhat? ASSISTANT:"


@pytest.mark.parametrize(
    "template",
    ["no place for either", "<image> only", "{question} only", "<image><image>{question}"],
)
def test_a_template_without_its_two_places_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        CaptionerParams(model="", template=template)


def test_padding_centres_the_picture_on_a_square() -> None:
    picture = np.full((4, 2, 3), 200, np.uint8)
    square = pad_to_square(picture, (1, 2, 3))
    assert square.shape == (4, 4, 3)
    assert (square[:, 1:3] == 200).all()
    assert (square[:, [0, 3]] == (1, 2, 3)).all()
    odd = pad_to_square(np.full((2, 5, 3), 200, np.uint8), (0, 0, 0))
    assert odd.shape == (5, 5, 3) and (odd[1:3] == 200).all() and odd[[0, 3, 4]].sum() == 0


# --- encoder


def test_features_have_unit_length_and_the_right_shape(
    encoder: Encoder, images: list[np.ndarray]
) -> None:
    features = encoder.images(images)
    texts, cut = encoder.texts(["a person", "drink water", ""])
    assert features.shape == (len(images), encoder.width) and texts.shape == (3, encoder.width)
    assert features.dtype == texts.dtype == np.float16
    lengths = np.linalg.norm(np.concatenate([features, texts]).astype(np.float32), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-3)
    assert cut.tolist() == [False] * 3
    assert encoder.images([]).shape == (0, encoder.width) and encoder.texts([])[0].shape == (
        0,
        encoder.width,
    )


def test_unnormalised_features_have_the_same_direction(
    checkpoints: Path, encoder: Encoder, images: list[np.ndarray]
) -> None:
    raw = Encoder.load(
        EncoderParams(model=str(checkpoints / "encoder"), normalise=False), "cpu"
    ).images(images)
    raw = raw.astype(np.float32)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-2)
    np.testing.assert_allclose(
        raw / np.linalg.norm(raw, axis=1, keepdims=True), encoder.images(images), atol=2e-3
    )


def test_features_do_not_depend_on_the_batch(encoder: Encoder, images: list[np.ndarray]) -> None:
    alone = np.concatenate([encoder.images([image]) for image in images])
    np.testing.assert_allclose(encoder.images(images), alone, atol=1e-3)
    texts = ["wait", "The person is standing and holding a cup. The person is trying to wait."]
    single = np.concatenate([encoder.texts([text])[0] for text in texts])
    np.testing.assert_allclose(encoder.texts(texts)[0], single, atol=1e-3)


def test_long_texts_are_cut_flagged_and_still_end(encoder: Encoder) -> None:
    context = encoder._model.config.text_config.max_position_embeddings
    words = ["cup"] * (context - 2)  # start and end token fill the rest
    fits, long, other = (
        " ".join(words),
        " ".join([*words, "ball"]),
        " ".join([*words, "phone", "bag"]),
    )
    features, cut = encoder.texts([fits, long, other])
    assert cut.tolist() == [False, True, True]
    # What is cut away cannot matter, and pooling at the end token makes the three the same text.
    np.testing.assert_allclose(features[1], features[0], atol=1e-3)
    np.testing.assert_allclose(features[2], features[0], atol=1e-3)
