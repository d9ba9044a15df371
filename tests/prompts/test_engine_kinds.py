"""The adapters with other kinds of checkpoint than the shipped ones, on tiny random weights."""

from __future__ import annotations

import pickle
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core.errors import UserError
from c2vl.core.heap import VARIABLES
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
    fingerprint,
)
from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.half_precision import example_image, half_precision_fault
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor
from c2vl.prompts.engines.repeats import repeats

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
SIGLIP = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="how memory is kept is a setting of Linux's C library",
)
def test_an_engine_on_a_cpu_does_not_fetch_the_same_memory_from_the_system_for_every_batch(
    images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    encoder = Encoder.load(EncoderParams(model=str(TINY / "encoder")), "cpu")
    batch = encoder.prepare_images((images * 11)[:32])
    faults = []
    for _ in range(9):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        encoder.encode_images(batch)
        faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
    # The median, because the heap grows by fits and starts to what it needs.
    assert statistics.median(faults) / len(batch) < 3  # pages; hundreds as the C library comes


# --- detectors


@pytest.fixture(scope="module")
def mm_grounding_dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MM-Grounding-DINO, which LLMDet's checkpoints are too, in the shipped detector's size."""
    from c2vl.studio.engines.checkpoints import build

    torch.manual_seed(0)
    config = {
        key: value
        for key, value in build("detector").config.to_dict().items()
        if key not in ("model_type", "architectures")
    }
    folder = tmp_path_factory.mktemp("mm")
    transformers.MMGroundingDinoForObjectDetection(
        transformers.MMGroundingDinoConfig(**config)
    ).save_pretrained(folder)
    transformers.AutoProcessor.from_pretrained(TINY / "detector", backend="pil").save_pretrained(
        folder
    )
    return folder


def test_an_mm_grounding_dino_detects(mm_grounding_dino: Path, images: list[np.ndarray]) -> None:
    detector = Detector.load(DetectorParams(model=str(mm_grounding_dino), box_threshold=0.0), "cpu")
    assert type(detector._kind.model).__name__ == "MMGroundingDinoForObjectDetection"
    found = detector(images)
    assert [len(one.scores) > 0 for one in found] == [True] * 3
    for image, together in zip(images, found, strict=True):
        np.testing.assert_allclose(detector([image])[0].scores, together.scores, atol=1e-5)


def test_the_input_size_is_a_parameter_and_part_of_the_key(images: list[np.ndarray]) -> None:
    base = DetectorParams(model=str(TINY / "detector"))
    larger = base.model_copy(update={"shortest_edge": 128, "longest_edge": 160})
    assert fingerprint(base) != fingerprint(larger)
    detector = Detector.load(larger, "cpu")
    shapes = [tuple(one.inputs["pixel_values"].shape[2:]) for one in detector.prepare(images)]
    assert [max(shape) <= 160 and 80 <= min(shape) <= 128 for shape in shapes] == [True] * 3
    wide, tall = shapes[0], shapes[1]
    assert (
        wide[0] < wide[1] and tall[0] > tall[1]
    )  # the aspect is kept, where the checkpoint's own size stretches
    assert len(detector(images)) == 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_tried_and_used_where_it_agrees(
    dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = Detector.load(DetectorParams(model=str(TINY / "detector"), box_threshold=0.0), "cpu")(
        [example_image()]
    )[0]
    half = Detector.load(
        DetectorParams(model=str(TINY / "detector"), box_threshold=0.0, dtype=dtype), "cpu"
    )
    assert half._kind.model.dtype == getattr(torch, dtype)
    assert f"detector: {dtype} agrees with float32" in capsys.readouterr().out
    assert abs(half([example_image()])[0].scores[0] - exact.scores[0]) < 0.05


def test_half_precision_that_computes_nonsense_falls_back_to_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Detector._raw_output_of_example

    def broken(self: Detector, model: Any) -> Any:
        scores, boxes = real(self, model)
        return (scores, boxes) if model.dtype == torch.float32 else (scores, boxes + 0.2)

    params = DetectorParams(model=str(TINY / "detector"), dtype="bfloat16")
    monkeypatch.setattr(Detector, "_raw_output_of_example", broken)
    detector = Detector.load(params, "cpu")
    log = capsys.readouterr().out
    assert (
        "bfloat16 is not used here, because its boxes differ" in log
        and "computing in float32" in log
    )
    exact = Detector.load(params.model_copy(update={"dtype": "float32"}), "cpu")
    assert detector.fingerprint == fingerprint(
        params
    )  # known without loading, the same on every machine
    one, other = detector([example_image()])[0], exact([example_image()])[0]
    np.testing.assert_array_equal(
        one.boxes, other.boxes
    )  # not the rounded weights: those of the file


class Scripted:
    """A model in float32, then in half precision, with what it computes in each."""

    def __init__(self) -> None:
        self.half = False

    def to(self, dtype: Any) -> None:
        self.half = True


@pytest.mark.parametrize(
    ("scores", "boxes", "fault"),
    [
        ([0.9, 0.5, 0.1], [[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.5], [0, 0, 0.1, 0.1]], ""),
        (
            [0.5, 0.9, 0.1],
            [[0.2, 0.2, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0.1, 0.1]],
            "",
        ),  # queries in another order
        (
            [0.6, 0.5, 0.1],
            [[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.5], [0, 0, 0.1, 0.1]],
            "its scores differ from float32's by 0.3",
        ),
        (
            [0.9, 0.5, 0.1],
            [[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.9], [0, 0, 0.1, 0.1]],
            "its boxes differ from float32's by 0.4",
        ),
        ([float("nan"), 0.5, 0.1], [[0, 0, 1, 1]] * 3, "not finite"),
    ],
)
def test_which_differences_of_half_precision_are_accepted(
    scores: list[float], boxes: list[list[float]], fault: str
) -> None:
    exact = (
        torch.tensor([0.9, 0.5, 0.1]),
        torch.tensor([[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.5], [0, 0, 0.1, 0.1]]),
    )
    half = torch.tensor(scores), torch.tensor(boxes, dtype=torch.float32)
    found = half_precision_fault(
        Scripted(), torch.float16, lambda model: half if model.half else exact
    )
    assert (fault in found) if fault else found == ""


# --- captioners


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped captioner with a chat template of its own."""
    import shutil

    folder = tmp_path_factory.mktemp("chat") / "captioner"
    shutil.copytree(TINY / "captioner", folder)
    template = (
        "{% for message in messages %}<{{ message['role'] }}>{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_a_chat_template_is_the_checkpoints_own(chatty: Path, images: list[np.ndarray]) -> None:
    params = CaptionerParams(model=str(chatty), template="chat", question="What?", max_new_tokens=3)
    captioner = Captioner.load(params, "cpu")
    assert captioner._prompt == "<user><image>What?<assistant>"
    assert len(captioner(images)) == 3
    assert fingerprint(params) != fingerprint(
        params.model_copy(update={"model": str(TINY / "captioner")})
    )
    with pytest.raises(UserError, match="has no chat template"):
        Captioner.load(params.model_copy(update={"model": str(TINY / "captioner")}), "cpu")


@pytest.fixture(scope="module")
def llava_next(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LLaVA-NeXT, whose prompts differ in length with the shape of the image."""
    torch.manual_seed(0)
    tiny = transformers.AutoConfig.from_pretrained(TINY / "captioner")
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY / "captioner")
    side, patch = tiny.vision_config.image_size, tiny.vision_config.patch_size
    grid = [[side, 2 * side], [2 * side, side]]
    config = transformers.LlavaNextConfig(
        vision_config=tiny.vision_config,
        text_config=tiny.text_config,
        image_token_index=tiny.image_token_index,
        image_grid_pinpoints=grid,
    )
    folder = tmp_path_factory.mktemp("next")
    transformers.LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    size = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "image_grid_pinpoints": grid,
    }
    tokens = {
        "patch_size": patch,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    images = transformers.LlavaNextImageProcessorPil(**size)
    transformers.LlavaNextProcessor(images, tokenizer, **tokens).save_pretrained(folder)
    return folder


def test_prompts_of_unequal_length_get_separate_batches(
    llava_next: Path, images: list[np.ndarray]
) -> None:
    params = CaptionerParams(model=str(llava_next), max_new_tokens=5, pad_to_square=False)
    captioner = Captioner.load(params, "cpu")
    lengths = [one["input_ids"].shape[1] for one in captioner.prepare(images)]
    assert lengths[0] == lengths[2] != lengths[1]
    assert captioner(images) == [captioner([image])[0] for image in images]


@pytest.mark.parametrize("engine", ["detector", "captioner", "encoder"])
def test_the_batch_that_is_measured_has_the_largest_inputs(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, section = {
        "detector": (Detector, DetectorParams),
        "captioner": (Captioner, CaptionerParams),
        "encoder": (Encoder, EncoderParams),
    }[engine]
    loaded = kind.load(section(model=str(TINY / engine)), "cpu")  # type: ignore[attr-defined, call-arg]
    assert (
        loaded.batch_size() == {"detector": 16, "captioner": 16, "encoder": 32}[engine]
    )  # a CPU's, not measured
    computed: list[object] = []
    monkeypatch.setattr(loaded._batching, "size", lambda forward: computed.append(forward(2)) or 2)
    assert loaded.batch_size() == 2
    (result,) = computed
    assert len(result) == 2  # type: ignore[arg-type]
    if engine == "captioner":  # as long as an answer may get: prompt and 64 tokens
        prompt = loaded.prepare([np.zeros((10, 10, 3), np.uint8)])[0]["input_ids"].shape[1]
        assert result.shape == (2, prompt + 64)  # type: ignore[attr-defined]


SHAPES = [(90, 160), (120, 80), (90, 160), (300, 200), (31, 17), (400, 90)]
QUESTION = "USER: <image>\nWhat? ASSISTANT:"


@pytest.mark.parametrize(
    ("model", "always", "how"),
    [
        (
            "detector",
            {"text": "person."},
            "all in one call",
        ),  # the tiny one stretches to its own size
        (
            "detector",
            {"text": "person.", "size": {"shortest_edge": 64, "longest_edge": 96}},
            "by shape",
        ),  # pads to the largest
        ("captioner", {"text": QUESTION}, "all in one call"),
        ("encoder", {}, "all in one call"),
        ("llava_next", {"text": QUESTION}, "one by one"),  # its prompts depend on a picture's shape
    ],
)
def test_images_in_one_call_equal_images_one_by_one_to_the_bit(
    model: str, always: dict[str, Any], how: str, request: pytest.FixtureRequest
) -> None:
    folder = TINY / model if (TINY / model).is_dir() else request.getfixturevalue(model)
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    processor = processor if "text" in always else processor.image_processor
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]
    together = BatchedProcessor(ThreadLocalProcessor(processor), **always)
    elsewhere = pickle.loads(pickle.dumps(together))  # as another process has it
    made, made_there = together(torch.float32, pictures), elsewhere(torch.float32, pictures)
    for picture, item, there in zip(pictures, made, made_there, strict=True):
        expected = processor(images=picture, return_tensors="pt", **always)
        assert item.keys() == there.keys() == expected.keys()
        assert all(
            torch.equal(item[name], expected[name]) and item[name].is_contiguous() for name in item
        )
        assert all(torch.equal(item[name], there[name]) for name in item)
    plan = together.plan()
    assert how == (
        "one by one" if plan.text is None else "all in one call" if plan.mixed else "by shape"
    )
    assert (elsewhere.plan().text is None, elsewhere.plan().mixed) == (
        plan.text is None,
        plan.mixed,
    )


def test_crops_prepared_in_many_threads_equal_those_of_one_thread(
    images: list[np.ndarray],
) -> None:
    captioner = Captioner.load(CaptionerParams(model=str(TINY / "captioner")), "cpu")
    alone = captioner.prepare(images)
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(captioner.prepare, [images] * 24))
    for prepared in together:
        for one, other in zip(prepared, alone, strict=True):
            assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(
    ("answer", "repeated"),
    [
        (
            "The person is standing and holding a cup. The person is trying to drink from the cup.",
            False,
        ),
        ("He is very, very, very tired.", False),  # three words
        ("Yes. Yes. Yes. Yes. Yes. Yes.", True),
        ("holding a cup, holding a cup, holding a cup", True),
        ("holding a cup, holding a cup, standing", False),  # twice is not enough
        ("The person is sitting. " * 3, True),
        ("They wait. Then: a b c d e f g a b c d e f g a b c d e f g", True),
        ("!!!!!!!!!!!!!!!!", True),  # what float16 overflow decodes to
        ("one two three one two three one two", False),  # cut before its third end
        ("", False),
    ],
)
def test_answers_that_repeat_themselves_are_recognised(answer: str, repeated: bool) -> None:
    assert repeats(answer) is repeated


# --- encoders


def letters(pad: str) -> Any:
    """A tokenizer of single letters that ends every text and gives no mask, as SigLIP's do."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    words = [pad, "</s>", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token=pad)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        eos_token="</s>",
        unk_token=pad,
        padding_side="right",
        model_input_names=["input_ids"],
    )


@pytest.fixture(scope="module", params=["siglip", "siglip2"])
def siglip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    text = {**SIGLIP, "vocab_size": 32, "max_position_embeddings": 8}
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = letters("<pad>")
    if request.param == "siglip":
        vision = {**SIGLIP, "image_size": 32, "patch_size": 8}
        model = transformers.SiglipModel(
            transformers.SiglipConfig(text_config=text, vision_config=vision)
        )
        size = {"height": 32, "width": 32}
        processor = transformers.SiglipProcessor(
            transformers.SiglipImageProcessorPil(size=size), tokenizer
        )
    else:
        vision = {**SIGLIP, "num_patches": 16, "patch_size": 8}
        model = transformers.Siglip2Model(
            transformers.Siglip2Config(text_config=text, vision_config=vision)
        )
        images = transformers.Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
        processor = transformers.Siglip2Processor(images, tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_siglip_texts_fill_the_context_and_do_not_depend_on_the_batch(siglip: Path) -> None:
    encoder = Encoder.load(EncoderParams(model=str(siglip)), "cpu")
    texts = ["ab", "abcdef", "abcdefg", "abcdefghij"]
    features, cut = encoder.texts(texts)
    assert features.shape == (4, 16) == (4, encoder.width)
    assert cut.tolist() == [
        False,
        False,
        False,
        True,
    ]  # seven letters and the end fill eight places
    alone = np.concatenate([encoder.texts([text])[0] for text in texts])
    np.testing.assert_allclose(features, alone, atol=1e-3)
    np.testing.assert_allclose(
        features[3], features[2], atol=1e-3
    )  # cut to the same seven letters, the end kept
    # By transformers' own way: padded to the context, no mask.
    ids = torch.tensor([[2, 3, 1, 0, 0, 0, 0, 0]])
    with torch.inference_mode():
        expected = encoder._model.get_text_features(input_ids=ids).pooler_output[0]
    np.testing.assert_allclose(
        features[0], torch.nn.functional.normalize(expected, dim=-1), atol=1e-3
    )


def test_siglip_images_do_not_depend_on_the_batch(siglip: Path, images: list[np.ndarray]) -> None:
    encoder = Encoder.load(EncoderParams(model=str(siglip)), "cpu")
    sent = pickle.loads(pickle.dumps(encoder.preparer))
    for image, item in zip(images, encoder.prepare_images(images), strict=True):
        (there,) = sent([image])
        assert all(torch.equal(item[name], there[name]) for name in item)
        expected = encoder._processor.image_processor(images=image, return_tensors="pt")
        assert item.keys() == expected.keys() and all(
            torch.equal(item[name], expected[name]) for name in item
        )
    alone = np.concatenate([encoder.images([image]) for image in images])
    np.testing.assert_allclose(encoder.images(images), alone, atol=1e-3)
    assert np.abs(alone[0].astype(float) - alone[2].astype(float)).max() > 1e-3


def test_padding_keeps_what_the_centre_crop_would_cut() -> None:
    """Two tall images differ at the top only: CLIP's crop loses it, a padded square keeps it."""
    from c2vl.studio.engines.checkpoints import encoder_processor

    encoder = Encoder.load(EncoderParams(model=str(TINY / "encoder")), "cpu")
    padded = Encoder.load(EncoderParams(model=str(TINY / "encoder"), pad_to_square=True), "cpu")
    for one in (encoder, padded):
        processor = encoder_processor()
        processor.image_processor.do_center_crop, processor.image_processor.size = (
            True,
            {"shortest_edge": 64},
        )
        processor.image_processor.crop_size = {"height": 64, "width": 64}
        one.__init__(one._params, one._model, processor, torch.device("cpu"), "key")  # type: ignore[misc]
    plain, hat = np.full((300, 60, 3), 90, np.uint8), np.full((300, 60, 3), 90, np.uint8)
    hat[:30] = 255, 0, 0
    for one, sees in ((encoder, False), (padded, True)):
        first, second = one.images([plain, hat]).astype(float)
        assert bool(np.abs(first - second).max() > 1e-2) is sees
