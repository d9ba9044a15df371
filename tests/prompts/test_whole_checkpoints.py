"""A checkpoint is whole with all files that change its outputs; an engine without words stops."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from c2vl.core.errors import UserError
from c2vl.prompts.engines import (
    Captioner,
    CaptionerParams,
    Detector,
    DetectorParams,
    Encoder,
    EncoderParams,
    fingerprint,
)
from c2vl.prompts.engines.captioner import CHAT
from c2vl.prompts.engines.hub import cached, missing_in_cache
from c2vl.prompts.engines.pose import PoseEngine, PoseEngineParams

torch = pytest.importorskip("torch")

TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENGINES: dict[str, tuple[Any, Any]] = {
    "detector": (Detector, DetectorParams),
    "captioner": (Captioner, CaptionerParams),
    "encoder": (Encoder, EncoderParams),
}
GONE = {
    "no tokenizer": ["tokenizer.json"],
    "preprocessor_config.json is not there": ["processor_config.json"],
}
Snapshot = Callable[[str], Path]


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """Puts a tiny engine into a hub cache, as `owner/<engine>`; returns its folder."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def made(engine: str) -> Path:
        repo = tmp_path / "hub" / f"models--owner--{engine}"
        shutil.copytree(TINY / engine, repo / "snapshots" / COMMIT)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(COMMIT)
        return repo / "snapshots" / COMMIT

    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("said", GONE)
def test_a_folder_or_a_cache_without_a_tokenizer_or_image_processor_is_incomplete(
    tmp_path: Path, snapshot: Snapshot, engine: str, said: str
) -> None:
    _, params = ENGINES[engine]
    folder = tmp_path / engine
    shutil.copytree(TINY / engine, folder)
    in_cache = snapshot(engine)
    assert cached(f"owner/{engine}", None) == in_cache
    for name in GONE[said]:
        (folder / name).unlink()
        (in_cache / name).unlink()
    with pytest.raises(UserError, match=f"is incomplete: .*{said}"):
        fingerprint(params(model=str(folder)))
    assert cached(f"owner/{engine}", None) is None  # so it is downloaded
    assert said in missing_in_cache(f"owner/{engine}", None)
    with pytest.raises(UserError, match=rf"incomplete \(.*{said}.*\) in the local"):
        fingerprint(params(model=f"owner/{engine}"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("fault", ["lacks", "has other shapes of"])
def test_weights_that_transformers_would_make_up_are_refused(
    tmp_path: Path, engine: str, fault: str
) -> None:
    kind, params = ENGINES[engine]
    folder = tmp_path / engine
    shutil.copytree(TINY / engine, folder)
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[0]
    if fault == "lacks":
        del weights[name]
    else:
        weights[name] = torch.zeros(3, 5, 7)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=rf"\(\w+\) {fault} [14] of the weights") as caught:
        kind.load(params(model=str(folder)), "cpu")
    assert name.split(".")[-1] in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", [*ENGINES, "pose"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, engine: str) -> None:
    """One NaN in one tensor is enough: the files are sound, and so is every hash."""
    kind, params = {**ENGINES, "pose": (PoseEngine, PoseEngineParams)}[engine]
    folder = tmp_path / engine
    shutil.copytree(TINY / engine, folder)
    weights = load_file(folder / "model.safetensors")
    name = sorted(name for name, one in weights.items() if one.dim() > 1)[0]
    weights[name].view(-1)[3] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"NaN or infinite numbers in [12] of its") as caught:
        kind.load(params(model=str(folder)), "cpu")
    said = str(caught.value)
    assert f"'{folder}'" in said and name.split(".")[-1] in said and "\n" not in said


def test_weights_beyond_the_range_of_float16_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "captioner"
    shutil.copytree(TINY / "captioner", folder)
    weights = load_file(folder / "model.safetensors")
    name = sorted(name for name, one in weights.items() if one.dim() > 1)[0]
    weights[name].view(-1)[3] = 1e5  # float16 ends at 65504
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="set `dtype: float32`"):
        Captioner.load(CaptionerParams(model=str(folder), dtype="float16"), "cpu")


def test_the_settings_of_the_image_processor_may_be_in_either_file(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(TINY / "encoder", folder)
    both = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").unlink()
    (folder / "preprocessor_config.json").write_text(
        json.dumps(both["image_processor"] | {"processor_class": both["processor_class"]})
    )
    assert Encoder.load(EncoderParams(model=str(folder)), "cpu").width == 64


def test_optional_files_that_a_snapshot_lacks_are_in_the_key(snapshot: Snapshot) -> None:
    folder = snapshot("captioner")
    params = CaptionerParams(model="owner/captioner")
    whole = fingerprint(params)
    assert params.identity() == f"sha:{COMMIT}"  # nothing is added where all is there
    chat = params.model_copy(update={"template": CHAT})
    assert chat.identity() == f"sha:{COMMIT} without chat_template.*"
    (folder / "generation_config.json").unlink()
    assert params.identity() == f"sha:{COMMIT} without generation_config.json"
    without = fingerprint(params)
    (folder / "tokenizer_config.json").unlink()
    assert len({whole, without, fingerprint(params)}) == 3
    # An encoder generates nothing.
    assert EncoderParams(model="owner/captioner").identity().count("without") == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_whose_tokenizer_knows_no_word_stops(tmp_path: Path, engine: str) -> None:
    kind, params = ENGINES[engine]
    folder = tmp_path / engine
    shutil.copytree(TINY / engine, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    special = {token["content"] for token in content["added_tokens"]}
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {word: at for word, at in vocabulary.items() if word in special}
    content["model"].pop("merges", None)
    if content["model"]["type"] == "BPE":
        content["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="knows no word of"):
        kind.load(params(model=str(folder)), "cpu")


@pytest.mark.parametrize(("part", "what"), [("text", "sentences"), ("visual", "images")])
def test_an_encoder_whose_features_are_one_point_stops(
    tmp_path: Path, part: str, what: str
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "encoder"
    shutil.copytree(TINY / "encoder", folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[f"{part}_projection.weight"] *= 0
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=f"gives different {what} the same features"):
        Encoder.load(EncoderParams(model=str(folder)), "cpu")
