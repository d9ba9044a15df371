"""Each kind of encoder of transformers, small and random: saved, loaded, used; others refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core.errors import UserError
from c2vl.prompts.engines import Encoder, EncoderParams

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from small_encoders import IMAGES, VIDEOS, build_encoder  # noqa: E402 - needs transformers

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
KINDS = [*IMAGES, *VIDEOS]
TEXTS = ["ab", "a cup", "stand up"]
# How each model's documentation asks the processor for texts, where the processor does not know.
ASKED = {"Siglip": {"padding": "max_length"}, "Siglip2": {}, "Align": {}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind; it is empty until a test builds the kind."""
    return {name: tmp_path_factory.mktemp(name) for name in KINDS}


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(90, 60), (120, 80)] * 3]


def built(name: str, folders: dict[str, Path]) -> Path:
    if not any(folders[name].iterdir()):
        build_encoder(name, folders[name])
    return folders[name]


def unit(output: Any) -> np.ndarray:
    features = output.pooler_output
    features = features[:, 0] if features.dim() == 3 else features
    return torch.nn.functional.normalize(features, dim=-1).numpy()


@pytest.mark.parametrize("name", KINDS)
def test_text_features_are_those_of_the_models_documentation(
    name: str, folders: dict[str, Path]
) -> None:
    encoder = Encoder.load(EncoderParams(model=str(built(name, folders))), "cpu")
    processor = transformers.AutoProcessor.from_pretrained(folders[name], backend="pil")
    inputs = processor(text=TEXTS, return_tensors="pt", **ASKED.get(name, {"padding": True}))
    inputs.pop("token_type_ids", None)
    model = transformers.AutoModel.from_pretrained(folders[name]).eval()
    with torch.inference_mode():
        expected = unit(model.get_text_features(**inputs))
    features, cut = encoder.texts(TEXTS)
    assert not cut.any() and features.shape == (3, encoder.width)
    np.testing.assert_allclose(features, expected, atol=2e-3)
    alone = np.concatenate([encoder.texts([text])[0] for text in TEXTS])
    np.testing.assert_allclose(features, alone, atol=2e-3)


@pytest.mark.parametrize("name", IMAGES)
def test_image_features_are_those_of_the_models_documentation(
    name: str, folders: dict[str, Path], images: list[np.ndarray]
) -> None:
    encoder = Encoder.load(EncoderParams(model=str(built(name, folders))), "cpu")
    processor = transformers.AutoProcessor.from_pretrained(folders[name], backend="pil")
    model = transformers.AutoModel.from_pretrained(folders[name]).eval()
    with torch.inference_mode():
        expected = [
            unit(
                model.get_image_features(
                    **processor.image_processor(images=image, return_tensors="pt")
                )
            )
            for image in images
        ]
    features = encoder.images(images)
    assert features.shape == (len(images), encoder.width)
    np.testing.assert_allclose(features, np.concatenate(expected), atol=4e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_tokenizer_says_where_siglip_is_padded_and_whether_it_gets_a_mask(
    side: str, masked: bool, tmp_path: Path
) -> None:
    names = ["input_ids", "attention_mask"] if masked else ["input_ids"]
    build_encoder("Siglip", tmp_path, padding_side=side, model_input_names=names)
    encoder = Encoder.load(EncoderParams(model=str(tmp_path)), "cpu")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path, backend="pil")
    inputs = processor(text=TEXTS, return_tensors="pt", padding="max_length")
    inputs.pop("token_type_ids", None)
    assert ("attention_mask" in inputs) is masked
    assert bool((inputs["input_ids"][0, :3] == 0).all()) is (side == "left")
    with torch.inference_mode():
        expected = unit(encoder._model.get_text_features(**inputs))
    np.testing.assert_allclose(encoder.texts(TEXTS)[0], expected, atol=2e-3)


def test_a_video_encoder_reads_the_crops_of_a_clip_in_order(
    folders: dict[str, Path], images: list[np.ndarray]
) -> None:
    encoder = Encoder.load(EncoderParams(model=str(built("XCLIP", folders))), "cpu")
    assert encoder.frames == 4 and EncoderParams(model=str(folders["XCLIP"])).frames() == 4
    clips = [images[:4], images[3::-1], images, images[:2]]
    ready = encoder.prepare_clips(clips)
    features = encoder.encode_images(ready).astype(np.float32)
    processor = transformers.AutoProcessor.from_pretrained(folders["XCLIP"], backend="pil")
    chosen = [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 3, 5], [0, 0, 1, 1]]  # middles of four parts
    for positions, feature, clip in zip(chosen, features, [images] * 4, strict=True):
        frames = [clip[at] for at in positions]
        pixels = processor(videos=frames, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            expected = unit(encoder._model.get_video_features(pixel_values=pixels[None]))
        np.testing.assert_allclose(feature, expected[0], atol=2e-3)
    assert np.abs(features[0] - features[1]).max() > 1e-2  # the order counts
    sent = pickle.loads(pickle.dumps(encoder.clip_preparer))(clips)
    assert all(
        torch.equal(one["pixel_values"], other["pixel_values"])
        for one, other in zip(sent, ready, strict=True)
    )


@pytest.mark.parametrize(
    ("engine", "named"),
    [
        ("detector", "GroundingDinoForObjectDetection"),
        ("captioner", "LlavaForConditionalGeneration"),
    ],
)
def test_what_is_no_encoder_of_images_and_texts_is_refused(engine: str, named: str) -> None:
    with pytest.raises(UserError, match=f"is a {named}, which is no encoder of images and texts"):
        Encoder.load(EncoderParams(model=str(TINY / engine)), "cpu")


def test_an_encoder_that_fails_on_a_sentence_is_refused_in_one_sentence(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    import json
    import shutil

    shutil.copytree(built("CLIP", folders), tmp_path / "clip")
    path = tmp_path / "clip/tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["a"] = 4000  # beyond the model's 32 words
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(UserError) as error:
        Encoder.load(EncoderParams(model=str(tmp_path / "clip")), "cpu")
    text = str(error.value)
    assert "(CLIPModel) cannot be used as an encoder here" in text and "\n" not in text
