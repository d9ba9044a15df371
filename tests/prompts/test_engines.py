"""The engine adapters, on untrained tiny checkpoints: what they promise does not depend on what was learnt."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core.errors import UserError
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
    fingerprint,
    resolve,
)
from c2vl.prompts.engines.captioner import QUESTION
from c2vl.prompts.engines.hub import cached
from c2vl.prompts.engines.pad_to_square import pad_to_square
from c2vl.prompts.engines.weights import directory_digest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from c2vl.studio.engines.checkpoints import ENGINES, build, save

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("untrained")
    for engine in ENGINES:
        save(engine, build(engine), folder / engine)
    return folder


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


def test_detector_repeats_itself_and_takes_no_images(
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
    # Untrained, it never says the end token; made to say nothing else, it ends at once.
    assert [answer.finished for answer in captioner(images)] == [False] * len(images)
    head = captioner._model.lm_head.weight
    kept = head.detach().clone()
    try:
        with torch.no_grad():
            head.zero_()
            state = captioner._model.model.language_model.norm.weight
            before = state.detach().clone()
            # Equal logits make greedy decoding take the lowest id; make the end token the only one above.
            bias = torch.zeros(head.shape[0])
            bias[captioner._processor.tokenizer.eos_token_id] = 1.0
        handle = captioner._model.lm_head.register_forward_hook(
            lambda module, inputs, output: output + bias
        )
        answers = captioner(images)
        handle.remove()
    finally:
        with torch.no_grad():
            head.copy_(kept)
            state.copy_(before)
    assert [(answer.text, answer.finished) for answer in answers] == [("", True)] * len(images)


def test_batched_answers_equal_single_answers(
    captioner: Captioner, images: list[np.ndarray]
) -> None:
    assert captioner(images) == [captioner([image])[0] for image in images]
    assert captioner([]) == []


def test_the_question_is_put_to_the_model(
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


# --- fingerprints and weights


def test_fingerprint_is_the_loaded_engine_s_and_ignores_where_the_weights_lie(
    checkpoints: Path, detector: Detector, tmp_path: Path
) -> None:
    params = DetectorParams(model=str(checkpoints / "detector"), box_threshold=0.0)
    shutil.copytree(checkpoints / "detector", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").write_text("not part of what is computed")
    moved = params.model_copy(update={"model": str(tmp_path / "elsewhere")})
    assert fingerprint(params) == detector.fingerprint == fingerprint(moved)


def test_fingerprint_changes_with_whatever_changes_the_output(
    checkpoints: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "captioner"
    shutil.copytree(checkpoints / "captioner", folder)
    params = CaptionerParams(model=str(folder))
    prints = [fingerprint(params)]
    for update in (
        {"question": "What?"},
        {"max_new_tokens": 9},
        {"pad_to_square": False},
        {"dtype": "float16"},
        {"template": "<image>{question}"},
    ):
        prints.append(fingerprint(params.model_copy(update=update)))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    prints.append(fingerprint(params))
    (folder / "tokenizer_config.json").write_text(
        (folder / "tokenizer_config.json").read_text() + " "
    )
    prints.append(fingerprint(params))
    assert len(set(prints)) == len(prints)
    # The same weights in another engine are another key.
    assert fingerprint(EncoderParams(model=str(folder))) not in prints


def test_digests_of_large_files_are_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.prompts.engines import file_digest

    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(file_digest, "LARGE", 4)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"first weights")
    first = file_digest.file_digest(file)
    with monkeypatch.context() as patched:
        patched.setattr(file_digest, "_digest", lambda path: pytest.fail("hashed again"))
        assert file_digest.file_digest(file) == first
    file.write_bytes(b"other weights!")
    assert file_digest.file_digest(file) != first


def test_directory_digest_tells_which_file_holds_what(tmp_path: Path) -> None:
    for name, contents in (("a", ("1", "2")), ("b", ("2", "1"))):
        (tmp_path / name).mkdir()
        for file, content in zip(("x.json", "y.json"), contents, strict=True):
            (tmp_path / name / file).write_text(content)
    assert directory_digest(tmp_path / "a") != directory_digest(tmp_path / "b")


@pytest.mark.parametrize(
    ("missing", "said"),
    [("config.json", "no config.json"), ("model.safetensors", "only safetensors")],
)
def test_an_incomplete_directory_is_one_clear_sentence(
    checkpoints: Path, tmp_path: Path, missing: str, said: str
) -> None:
    shutil.copytree(checkpoints / "encoder", tmp_path / "encoder")
    (tmp_path / "encoder" / missing).unlink()
    with pytest.raises(UserError, match=said):
        fingerprint(EncoderParams(model=str(tmp_path / "encoder")))


def test_a_copy_or_download_that_was_stopped_is_one_clear_sentence_and_gone_on_with(
    checkpoints: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    from c2vl.prompts.engines.weight_files import missing_weights
    from c2vl.prompts.engines.weights import require_complete

    cut = tmp_path / "cut"
    shutil.copytree(checkpoints / "encoder", cut)
    content = (cut / "model.safetensors").read_bytes()
    for length in (0, 7, 100, len(content) - 1):
        (cut / "model.safetensors").write_bytes(content[:length])
        with pytest.raises(UserError, match="cut short"):
            fingerprint(EncoderParams(model=str(cut)))
    (cut / "model.safetensors").write_bytes(content)
    tensors = load_file(cut / "model.safetensors")
    (cut / "model.safetensors").unlink()
    parts = {f"model-0000{n}-of-00002.safetensors": sorted(tensors)[n - 1 :: 2] for n in (1, 2)}
    for part, names in parts.items():
        save_file({name: tensors[name] for name in names}, cut / part)
    weight_map = {name: part for part, names in parts.items() for name in names}
    (cut / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    # What repositories keep beside it in the old format, and a download leaves out.
    (cut / "pytorch_model.bin.index.json").write_text(
        json.dumps({"weight_map": dict.fromkeys(tensors, "pytorch_model.bin")})
    )
    assert not missing_weights(cut)
    (cut / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00002-of-00002\.safetensors is not there"):
        require_complete(cut, "owner/cut", old_weights=True)


@pytest.mark.parametrize(
    "change",
    [
        {"attn_implementation": "org/kernel"},
        {"_attn_implementation": "org/kernel"},
        {"attn_implementation": {"": "sdpa", "text_config": "org/kernel@main:code"}},
        {"text_config": {"attn_implementation": "paged|org/kernel"}},
        {"attn_implementation": "flash_attention_2"},  # a package that is not installed
        {"attn_implementation": "nonsense"},
        {"quantization_config": {"quant_method": "awq", "bits": 4}},  # another package
    ],
    ids=str,
)
def test_a_config_that_asks_for_foreign_code_is_refused_in_one_sentence(
    change: dict[str, Any], checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def no_download(*_: object, **__: object) -> None:
        pytest.fail("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_download)
    folder = tmp_path / "captioner"
    shutil.copytree(checkpoints / "captioner", folder)
    config = json.loads((folder / "config.json").read_text())
    for key, value in change.items():
        config[key] = config[key] | value if key in config else value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        Captioner.load(CaptionerParams(model=str(folder)), "cpu")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    if "org/kernel" in str(change):
        assert "asks for attention code from the hub" in str(caught.value)


def test_a_hub_snapshot_without_safetensors_is_read_as_tensors_alone(
    checkpoints: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel

    from c2vl.prompts.engines.pretrained import load_pretrained
    from c2vl.prompts.engines.weights import Weights, require_complete

    old = tmp_path / "old"
    shutil.copytree(checkpoints / "encoder", old)
    tensors = load_file(old / "model.safetensors")
    (old / "model.safetensors").unlink()
    torch.save(tensors, old / "pytorch_model.bin")
    require_complete(old, "owner/old", old_weights=True)
    with pytest.raises(UserError, match="only safetensors"):
        require_complete(old, str(old))  # a directory of one's own must have safetensors
    model, _ = load_pretrained(
        AutoModel, Weights("owner/old", old, "sha:1"), torch.float32, torch.device("cpu")
    )
    state = model.state_dict()
    assert tensors and all(
        torch.equal(state[name], tensor.float()) for name, tensor in tensors.items()
    )

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"weights": Hostile()}, old / "pytorch_model.bin")
    with pytest.raises(UserError, match="owner/old"):
        load_pretrained(
            AutoModel, Weights("owner/old", old, "sha:1"), torch.float32, torch.device("cpu")
        )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (
            "config.json",
            {
                "model_type": "theirs",
                "auto_map": {"AutoConfig": "theirs.Theirs", "AutoModel": "theirs.Theirs"},
            },
        ),
        (
            "processor_config.json",
            {"processor_class": "Theirs", "auto_map": {"AutoProcessor": "theirs.Theirs"}},
        ),
    ],
)
def test_code_that_lies_beside_the_weights_is_not_run(
    checkpoints: Path, tmp_path: Path, file: str, changes: dict
) -> None:
    theirs = tmp_path / "theirs"
    shutil.copytree(checkpoints / "encoder", theirs)
    (theirs / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (theirs / file).write_text(json.dumps(json.loads((theirs / file).read_text()) | changes))
    with pytest.raises(UserError, match="custom code"):
        Encoder.load(EncoderParams(model=str(theirs)), "cpu")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_kind_is_one_clear_sentence(checkpoints: Path) -> None:
    with pytest.raises(UserError, match="ImageTextToText") as caught:
        Captioner.load(CaptionerParams(model=str(checkpoints / "detector")), "cpu")
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_is_not_taken_for_a_hub_id() -> None:
    with pytest.raises(UserError, match="folder 'checkpoints/nowhere/at-all' does not exist"):
        resolve("checkpoints/nowhere/at-all")


def test_an_unreachable_hub_answers_within_seconds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi, constants

    from c2vl.prompts.engines import hub

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(
        HfApi, "model_info", lambda *args, **kwargs: time.sleep(60)
    )  # a network that swallows packets
    began = time.monotonic()
    with pytest.raises(UserError, match=r"'somebody/model'.*cannot be reached"):
        fingerprint(DetectorParams(model="somebody/model"))
    assert time.monotonic() - began < 5


def test_offline_mode_says_so_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    began = time.monotonic()
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        resolve("somebody/model")
    assert time.monotonic() - began < 5


def test_a_cached_hub_model_is_known_by_its_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoints: Path
) -> None:
    from huggingface_hub import HfApi, constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--somebody--model"
    shutil.copytree(checkpoints / "encoder", repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(HfApi, "model_info", lambda *args, **kwargs: pytest.fail("asked the hub"))
    weights = resolve("somebody/model")
    assert weights.identity == f"sha:{commit}" and weights.folder.name == commit
    assert Encoder.load(EncoderParams(model="somebody/model"), "cpu").width == 64
    (
        repo / "snapshots" / commit / "model.safetensors"
    ).unlink()  # a download that was stopped goes on
    (repo / "snapshots" / commit / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "1.safetensors"}}'
    )
    (repo / "snapshots" / commit / "2.safetensors").touch()
    assert cached("somebody/model", None) is None
