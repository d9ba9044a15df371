"""Checkpoints: their fingerprints, and how incomplete, foreign or missing ones are refused."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

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
from c2vl.prompts.engines.hub import cached
from c2vl.prompts.engines.weights import directory_digest

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_fingerprint_ignores_the_folder_of_the_weights(
    checkpoints: Path, tmp_path: Path
) -> None:
    params = DetectorParams(model=str(checkpoints / "detector"), box_threshold=0.0)
    shutil.copytree(checkpoints / "detector", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").write_text("not part of what is computed")
    moved = params.model_copy(update={"model": str(tmp_path / "elsewhere")})
    loaded = Detector.load(params, "cpu")
    assert fingerprint(params) == loaded.fingerprint == fingerprint(moved)


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


def test_digests_of_large_files_are_cached_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.core import digest
    from c2vl.prompts.engines import file_digest

    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(file_digest, "LARGE", 4)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"first weights")
    first = file_digest.file_digest(file)
    with monkeypatch.context() as patched:
        patched.setattr(digest, "file_digest", lambda path: pytest.fail("hashed again"))
        assert file_digest.file_digest(file) == first
    file.write_bytes(b"other weights!")
    assert file_digest.file_digest(file) != first


def test_the_folder_digest_depends_on_which_file_holds_what(tmp_path: Path) -> None:
    for name, contents in (("a", ("1", "2")), ("b", ("2", "1"))):
        (tmp_path / name).mkdir()
        for file, content in zip(("x.json", "y.json"), contents, strict=True):
            (tmp_path / name / file).write_text(content)
    assert directory_digest(tmp_path / "a") != directory_digest(tmp_path / "b")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "no config.json"), ("model.safetensors", "only safetensors")],
)
def test_an_incomplete_directory_is_one_clear_sentence(
    checkpoints: Path, tmp_path: Path, missing: str, message: str
) -> None:
    shutil.copytree(checkpoints / "encoder", tmp_path / "encoder")
    (tmp_path / "encoder" / missing).unlink()
    with pytest.raises(UserError, match=message):
        fingerprint(EncoderParams(model=str(tmp_path / "encoder")))


def test_an_incomplete_copy_or_download_is_one_sentence(checkpoints: Path, tmp_path: Path) -> None:
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


def test_a_hub_snapshot_without_safetensors_is_read_as_tensors_only(
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
def test_code_beside_the_weights_is_not_run(
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


def test_a_missing_path_is_not_taken_for_a_hub_id() -> None:
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
    )  # a network that drops packets
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
