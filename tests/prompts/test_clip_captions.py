"""One question about the crops of a clip: in process, by a server, in the stage, from a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from caption_server import Handler, Server, crop, params, running_server

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.tables.schemas import CAPTION, CROP
from c2vl.prompts.base import engine_description
from c2vl.prompts.caption import CLIP_QUESTION, VERSION, CaptionParams, CaptionStage
from c2vl.prompts.engines.adapters import load_captioner
from c2vl.prompts.engines.captioner import QUESTION, Answer, CaptionerParams, NoAnswer
from c2vl.prompts.engines.clip_captioner import ClipCaptioner
from c2vl.prompts.engines.several_images import require_several
from c2vl.prompts.jpeg import to_jpeg
from c2vl.prompts.published import PublishedStage
from c2vl.store.run import run

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny/captioner"
SHARD = "S001C001"
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %} Answer:{% endif %}"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a store and without measured batch sizes, and one thread."""
    for name, value in {"HOME": str(tmp_path / "home"), "DEVICE": "cpu", "WORKERS": "1"}.items():
        monkeypatch.setenv(f"C2VL_{name}", value)
    monkeypatch.delenv("C2VL_STORE", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def idefics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Idefics3, whose chats hold many images, with random weights that see them."""
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    marks = ["<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    text = {
        **small,
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 1024,
    }
    config = transformers.Idefics3Config(
        vision_config={**small, "num_hidden_layers": 1, "image_size": 64, "patch_size": 16},
        text_config=text,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    model = transformers.Idefics3ForConditionalGeneration(config)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.mul_(1 if weights.ndim < 2 else 30 if "connector" in name else 5)
    folder = tmp_path_factory.mktemp("idefics")
    model.save_pretrained(folder)
    images = transformers.Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 64}, do_image_splitting=False
    )
    transformers.Idefics3Processor(
        images, tokenizer, image_seq_len=4, chat_template=CHAT
    ).save_pretrained(folder)
    return folder


def clip(*shades: int) -> list[np.ndarray]:
    """Crops of unequal sizes."""
    rng = np.random.default_rng(0)
    return [
        np.clip(rng.normal(10 * shade, 20, (50 + shade, 40, 3)), 0, 255).astype(np.uint8)
        for shade in shades
    ]


def chatting(model: Path, **changes: Any) -> CaptionerParams:
    return CaptionerParams(
        **{"model": str(model), "template": "chat", "max_new_tokens": 6, "pad_to_square": False}
        | changes
    )


CLIPS = [clip(1, 9, 20), clip(20, 9, 1), clip(5), clip(3, 25), clip(12, 2, 7), clip(25, 3)]


@pytest.mark.parametrize("pad", [False, True])
def test_clips_one_by_one_and_in_batches_get_the_same_answers(idefics: Path, pad: bool) -> None:
    captioner = ClipCaptioner.of_clips(chatting(idefics, pad_to_square=pad), "cpu", 3)
    together = captioner(CLIPS)
    assert together == [captioner([one])[0] for one in CLIPS]
    assert len({answer.text for answer in together}) > 1
    assert together[0] != together[1]  # the order of the crops counts


def test_a_batch_is_counted_in_crops(idefics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captioner = ClipCaptioner.of_clips(chatting(idefics), "cpu", 3)
    assert captioner.batch_size() == 15  # 5 clips of 3 crops; a CPU takes 16 crops
    stage = CaptionStage(caption_params(chatting(idefics)), Path("crop"))
    stage.use(captioner)
    stage._longest = 3
    assert stage.batch_size() == 5
    monkeypatch.setenv("C2VL_BATCH_CAPTION", "7")
    assert stage.batch_size() == 2
    monkeypatch.setenv("C2VL_BATCH_CAPTION", "1")
    assert stage.batch_size() == 1
    computed: list[Any] = []
    monkeypatch.setattr(
        captioner._batching, "size", lambda forward: computed.append(forward(2)) or 2
    )
    assert captioner.batch_size() == 6
    prompt = captioner.prepare([clip(1, 2, 3)])[0]["input_ids"].shape[1]
    assert computed[0].shape == (2, prompt + 6)


def test_a_template_has_a_place_for_each_crop() -> None:
    given = CaptionerParams(model="m", question="What?", template="USER: <image>\n{question} A:")
    assert given.prompt(None, 2) == "USER: <image>\n<image>\nWhat? A:"
    assert given.prompt(None) == "USER: <image>\nWhat? A:"


def test_a_clip_that_does_not_fit_into_the_context_is_refused_at_once() -> None:
    given = CaptionerParams(model=str(TINY), question=CLIP_QUESTION)
    with pytest.raises(UserError, match=r"takes 512; lower `crop.frames_per_clip`"):
        load_captioner(given, lambda: torch.device("cpu"), 16)
    assert load_captioner(given, lambda: torch.device("cpu"), 2)


def test_a_processor_of_one_image_is_refused_in_one_sentence() -> None:
    def first_alone(clips: Any) -> Any:
        return [
            {"input_ids": torch.ones(1, 9), "pixels": torch.from_numpy(one[0])} for one in clips
        ]

    def raising(clips: Any) -> Any:
        raise ValueError("one image\nonly")

    for prepare, why in ((first_alone, "leaves images out"), (raising, "ValueError: one image on")):
        with pytest.raises(UserError, match=why) as refused:
            require_several("some/model", prepare, 4)
        assert "'some/model' does not take the 4 images" in str(refused.value)
        assert "`caption.per: frame`" in str(refused.value) and "\n" not in str(refused.value)


def test_a_model_of_one_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """GIT's processor takes any number of images, but its model takes one."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    vision = {**small, "num_hidden_layers": 1, "image_size": 32, "patch_size": 16}
    config = transformers.GitConfig(
        vision_config=vision, **small, num_hidden_layers=1, vocab_size=len(tokenizer)
    )
    transformers.GitForCausalLM(config).save_pretrained(tmp_path)
    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.GitProcessor(images, tokenizer).save_pretrained(tmp_path)
    given = CaptionerParams(model=str(tmp_path), max_new_tokens=3)
    assert load_captioner(given, lambda: torch.device("cpu"))
    with pytest.raises(UserError, match="does not take the 3 images of a clip") as refused:
        load_captioner(given, lambda: torch.device("cpu"), 3)
    assert "`caption.per: frame`" in str(refused.value) and "\n" not in str(refused.value)


# --- the stage


def caption_params(captioner: CaptionerParams, per: str = "clip", **more: Any) -> CaptionParams:
    return CaptionParams(**{"max_failed": 1.0, "captioner": captioner, "per": per} | more)


def write_crops(folder: Path, **clips: str) -> list[str]:
    """Write a crop table; `x` is a failed crop, a letter a shade of grey; return the samples."""
    rows = []
    for number, shades in enumerate(clips.values(), 1):
        for k, shade in enumerate(shades):
            row = {"sample": f"{SHARD}P{number:03d}R001A001", "k": k, "status": "ok", "reason": ""}
            if shade == "x":
                rows.append(row | {"status": "unreadable", "reason": f"frame {k} is damaged"})
            else:
                rows.append(row | {"crop": to_jpeg(crop(ord(shade) - ord("a") + 1), 95)})
    tables.write(folder / f"{SHARD}.parquet", tables.table_of(rows, CROP))
    return list(dict.fromkeys(row["sample"] for row in rows))


def captioned(stage: CaptionStage | PublishedStage, out: Path) -> list[dict[str, Any]]:
    run(stage, out, {})
    return list(tables.rows_of(tables.read(out / f"{SHARD}.parquet")))


def test_the_stage_writes_one_row_a_clip(idefics: Path, tmp_path: Path) -> None:
    samples = write_crops(tmp_path / "crop", whole="acw", partly="xcw", none="xx", one="xxw")
    given = chatting(idefics)
    rows = captioned(CaptionStage(caption_params(given), tmp_path / "crop"), tmp_path / "caption")
    assert [(row["sample"], row["k"]) for row in rows] == [(sample, None) for sample in samples]
    asked = given.model_copy(update={"question": CLIP_QUESTION})
    captioner = ClipCaptioner.of_clips(asked, "cpu", 3)
    seen = [[crop(1), crop(3), crop(23)], [crop(3), crop(23)], [crop(23)]]
    expected = [answer.text for answer in captioner(seen)]
    assert [rows[at]["answer"] for at in (0, 1, 3)] == expected  # JPEG keeps flat grey as it is
    assert (rows[2]["status"], rows[2]["reason"]) == ("no_crop", "frame 0 is damaged")


def test_keys_of_questions_about_crops_stay_and_those_about_clips_are_their_own() -> None:
    captioner = CaptionerParams(model=str(TINY))

    def stage(per: str, **more: Any) -> CaptionStage:
        return CaptionStage(caption_params(captioner, per, **more), Path("crop"))

    assert stage("frame").description() == {
        "version": VERSION,
        **engine_description("captioner", captioner),
    }
    assert stage("frame").description() == stage("frame", clip_question="What?").description()
    clips = [stage("clip"), stage("clip", clip_question="What?")]
    kept = [json.dumps(one.description(), sort_keys=True) for one in (*clips, stage("frame"))]
    assert len(set(kept)) == 3
    assert clips[0].schema(None).names == stage("frame").schema(None).names == CAPTION.names


def test_the_papers_question_is_that_of_crops() -> None:
    given = caption_params(CaptionerParams(model="m"), "frame")
    assert given.asking().question == QUESTION
    assert caption_params(CaptionerParams(model="m")).asking().question == CLIP_QUESTION


# --- a server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running_server() as running:
        monkeypatch.setenv("C2VL_CAPTION_URL", running.url)
        yield running


def shades_of(request: dict[str, Any]) -> list[int]:
    """The shades of grey of a request's images, in order."""
    found = []
    for part in request["messages"][0]["content"]:
        if part["type"] == "image_url":
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            found.append(round(float(image[image.shape[0] // 2, image.shape[1] // 2].mean()) / 10))
    return found


def test_a_server_gets_the_crops_of_a_clip_in_order_in_one_request(
    server: Server, tmp_path: Path
) -> None:
    write_crops(tmp_path / "crop", first="acw", second="wxa")
    stage = CaptionStage(caption_params(params()), tmp_path / "crop")
    rows = captioned(stage, tmp_path / "caption")
    trial, *asked = server.requests
    assert len(shades_of(trial)) == 3 and trial["max_tokens"] == 1
    assert sorted(map(shades_of, asked)) == [[1, 3, 23], [23, 1]]
    assert asked[0]["messages"][0]["content"][-1] == {"type": "text", "text": CLIP_QUESTION}
    assert [row["answer"] for row in rows] == ["shade 1", "shade 23"]


def test_a_clip_of_sixteen_crops_is_asked_about_once(server: Server, tmp_path: Path) -> None:
    write_crops(tmp_path / "crop", long="abcdefghijklmnop")
    requests = {}
    for per in ("frame", "clip"):
        server.requests.clear()
        captioned(CaptionStage(caption_params(params(), per), tmp_path / "crop"), tmp_path / per)
        requests[per] = [one for one in server.requests if one["max_tokens"] > 1]  # no trial
    assert (len(requests["frame"]), len(requests["clip"])) == (16, 1)
    assert shades_of(requests["clip"][0]) == list(range(1, 17))


def test_a_server_that_takes_one_image_is_refused_before_the_first_clip(
    server: Server, tmp_path: Path
) -> None:
    def one_image(handler: Handler, shade: int, before: int) -> None:
        handler.reply(400, {"error": {"message": "At most 1 image(s) may be provided"}})

    server.behaviour = one_image
    write_crops(tmp_path / "crop", first="acw", second="wxa")
    with pytest.raises(UserError, match="At most 1 image") as refused:
        run(CaptionStage(caption_params(params()), tmp_path / "crop"), tmp_path / "caption", {})
    assert "--limit-mm-per-prompt '{\"image\": 3}'" in str(refused.value)
    assert len(server.requests) == 1


def test_a_clip_that_the_server_refuses_is_a_row_with_a_reason(server: Server) -> None:
    captioner = load_captioner(params(), lambda: torch.device("cpu"), 2)

    def dark(handler: Handler, shade: int, before: int) -> None:
        handler.reply(400, {"error": {"message": "dark"}}) if shade == 1 else handler.answer(shade)

    server.behaviour = dark
    found = captioner.answer(captioner.prepare([[crop(1), crop(3)], [crop(3)]]))
    assert isinstance(found[0], NoAnswer) and found[1] == Answer("shade 3", True)
    assert captioner.batch_size() == 2 * 64


# --- published sentences


def test_one_published_sentence_a_clip_is_about_the_clip(tmp_path: Path) -> None:
    known, other = write_crops(tmp_path / "crop", first="ab", second="cd")
    (tmp_path / "one.json").write_text(json.dumps({known: "He stands, then sits."}))
    stage = PublishedStage(tmp_path / "one.json", tmp_path / "crop", per_clip=True)
    assert "not about crop k" not in stage.summary()
    rows = captioned(stage, tmp_path / "caption")
    assert [(row["sample"], row["k"], row["answer"], row["status"]) for row in rows] == [
        (known, None, "He stands, then sits.", "ok"),
        (other, None, None, "not_published"),
    ]
    of_frames = PublishedStage(tmp_path / "one.json", tmp_path / "crop")
    assert "set caption.per to clip" in of_frames.summary()
    (tmp_path / "two.json").write_text(json.dumps({known: ["He stands.", "He sits."]}))
    with pytest.raises(UserError, match="holds up to 2 sentences of a clip"):
        PublishedStage(tmp_path / "two.json", tmp_path / "crop", per_clip=True)
