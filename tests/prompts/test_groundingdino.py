"""groundingdino-py in another environment: a stand-in, and the real package if installed."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core.errors import UserError
from c2vl.prompts.engines.adapters import load_detector
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.gdino import worker
from c2vl.prompts.engines.gdino.client import (
    GroundingDinoPyDetector,
    bert_vocabulary,
    resized_shape,
)

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[2]

# A Python that "has groundingdino-py": the real worker, with a model that finds bright pixels.
STANDIN = """#!{python}
import importlib.metadata, os, runpy, sys, time
import numpy as np
path, behaviour = sys.argv[1], {behaviour!r}
module = runpy.run_path(path, run_name="worker")
class Model:
    def __init__(self, weights, device, text_encoder, prompt):
        if behaviour == "no package":
            raise ModuleNotFoundError("No module named 'groundingdino'")
        assert (device, prompt) == ("cpu", "person."), (device, prompt)
        assert os.path.isfile(os.path.join(text_encoder, "vocab.txt")), text_encoder
        print("chatter of a library", flush=True)
    def detect(self, images, threshold):
        if behaviour == "dies":
            print("Killed: no memory", file=sys.stderr, flush=True)
            os._exit(9)
        if behaviour == "small" and len(images) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        found = []
        for image in images:
            ys, xs = np.nonzero(image.mean(axis=-1) > 120)
            height, width = image.shape[:2]
            box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            shares = np.array([box], "<f4") / np.array([width, height] * 2, "<f4")
            found.append((shares, np.array([0.75], "<f4")))
        return found
module["serve"].__globals__["Model"] = Model
importlib.metadata.version = lambda name: "0.3.9" if behaviour == "old" else "0.4.0"
messages = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
module["serve"](sys.stdin.buffer, messages)
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "groundingdino_swint_ogc.pth"
    path.write_bytes(b"tensors")
    return path


def standin(folder: Path, behaviour: str) -> Path:
    path = folder / "python"
    path.write_text(STANDIN.format(python=sys.executable, behaviour=behaviour))
    path.chmod(0o755)
    return path


def params(checkpoint: Path, **changes: object) -> DetectorParams:
    return DetectorParams(model=str(checkpoint), backend="groundingdino", **changes)  # type: ignore[arg-type]


def load(
    checkpoint: Path, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> GroundingDinoPyDetector:
    monkeypatch.setenv("C2VL_GROUNDINGDINO_PYTHON", str(standin(checkpoint.parent, behaviour)))
    (checkpoint.parent / "vocab.txt").touch()
    monkeypatch.setenv("C2VL_GROUNDINGDINO_BERT", str(checkpoint.parent))
    detector = load_detector(params(checkpoint), lambda: torch.device("cpu"))
    assert isinstance(detector, GroundingDinoPyDetector)
    return detector


def images() -> list[np.ndarray]:
    made = []
    for number, (height, width) in enumerate(
        [(216, 384), (216, 384), (400, 200), (216, 384), (216, 384)]
    ):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[40:160, 20 + 10 * number : 90 + 10 * number] = 255
        made.append(picture)
    return made


@pytest.mark.parametrize("behaviour", ["", "small"])
def test_boxes_are_in_pixels_of_the_original_image(
    behaviour: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_HOME", str(checkpoint.parent))
    # "small": at most two images fit at once; the boxes are the same.
    detector = load(checkpoint, behaviour, monkeypatch)
    found = detector.detect(detector.prepare(images()))
    for number, one in enumerate(found):
        np.testing.assert_allclose(
            one.boxes, [[20 + 10 * number, 40, 90 + 10 * number, 160]], atol=1
        )
        assert one.scores.tolist() == [0.75]
    assert detector.detect([]) == []
    detector.close()


@pytest.mark.parametrize(
    ("behaviour", "match"),
    [
        ("no package", "cannot load .*No module named 'groundingdino'.*docs/engines.md"),
        ("old", "has groundingdino-py 0.3.9, but results are stored as those of 0.4.0"),
    ],
)
def test_an_environment_without_the_right_package_is_one_sentence(
    behaviour: str, match: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=match):
        load(checkpoint, behaviour, monkeypatch)


def test_a_worker_that_dies_is_one_sentence_with_its_last_line(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = load(checkpoint, "dies", monkeypatch)
    with pytest.raises(UserError, match=r"process ended \(Killed: no memory\)"):
        detector.detect(detector.prepare(images()))


def test_a_missing_bert_vocabulary_is_reported_within_seconds(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi, constants

    from c2vl.prompts.engines import hub

    monkeypatch.setenv("C2VL_GROUNDINGDINO_PYTHON", "/nowhere/python")
    monkeypatch.setenv("C2VL_GROUNDINGDINO_BERT", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"gone holds no vocab\.txt"):
        load_detector(params(checkpoint), lambda: torch.device("cpu"))
    monkeypatch.delenv("C2VL_GROUNDINGDINO_BERT")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(
        HfApi, "model_info", lambda *args, **kwargs: time.sleep(60)
    )  # a network that drops packets
    began = time.monotonic()
    with pytest.raises(
        UserError,
        match=r"needs the vocabulary of bert-base-uncased; "
        "set C2VL_GROUNDINGDINO_BERT .*cannot be reached",
    ):
        load_detector(params(checkpoint), lambda: torch.device("cpu"))
    assert time.monotonic() - began < 5
    snapshot = (
        tmp_path
        / "models--bert-base-uncased"
        / "snapshots"
        / "0123456789abcdef0123456789abcdef01234567"
    )
    snapshot.mkdir(parents=True)
    (snapshot / "vocab.txt").touch()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    assert bert_vocabulary() == snapshot


@pytest.mark.parametrize(
    ("value", "match"),
    [("", "set C2VL_GROUNDINGDINO_PYTHON"), ("/nowhere/python", "cannot be run")],
)
def test_a_missing_environment_is_one_sentence(
    value: str, match: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2VL_GROUNDINGDINO_PYTHON", value)
    (checkpoint.parent / "vocab.txt").touch()
    monkeypatch.setenv("C2VL_GROUNDINGDINO_BERT", str(checkpoint.parent))
    with pytest.raises(UserError, match=match):
        load_detector(params(checkpoint), lambda: torch.device("cpu"))


def test_the_key_depends_on_the_bytes_of_the_file(checkpoint: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.pth"
    moved.write_bytes(checkpoint.read_bytes())
    assert fingerprint(params(moved)) == fingerprint(params(checkpoint))
    moved.write_bytes(b"other tensors")
    assert fingerprint(params(moved)) != fingerprint(params(checkpoint))
    with pytest.raises(UserError, match="wants an original"):
        fingerprint(params(tmp_path / "gone.pth"))
    with pytest.raises(ValueError, match="float32"):
        params(checkpoint, dtype="bfloat16")


def test_messages_are_read_as_written_and_other_bytes_are_refused() -> None:
    stream = io.BytesIO()
    worker.write_message(
        stream, {"kind": "found", "counts": [1, 0]}, b"\0\1\2", b"", b"\xff" * 100_000
    )
    worker.write_message(stream, {"kind": "end"})
    stream.seek(0)
    assert worker.read_message(stream) == (
        {"kind": "found", "counts": [1, 0]},
        [b"\0\1\2", b"", b"\xff" * 100_000],
    )
    assert worker.read_message(stream) == ({"kind": "end"}, [])
    with pytest.raises(EOFError):
        worker.read_message(stream)
    for nonsense in (
        b"Traceback (most recent call last)",
        b"\0\0\0\2{}",
        b'\0\0\0\x10{"bytes": [-10]}',
    ):
        with pytest.raises((ValueError, KeyError, EOFError)):
            worker.read_message(io.BytesIO(nonsense))


@pytest.mark.parametrize(
    ("height", "width", "resized"),
    [
        (1080, 1920, (750, 1333)),
        (1920, 1080, (1333, 750)),
        (600, 800, (800, 1066)),
        (800, 1000, (800, 1000)),
        (100, 100, (800, 800)),
    ],
)
def test_images_are_resized_as_the_original_does(
    height: int, width: int, resized: tuple[int, int]
) -> None:
    assert resized_shape(height, width, 800, 1333) == resized


# --- the real package

BUILD = """
import os, sys, torch, groundingdino.config
from groundingdino.models import build_model
from groundingdino.models.GroundingDINO import groundingdino as package
from groundingdino.util.slconfig import SLConfig
from transformers import BertConfig, BertModel
config, text, out = sys.argv[1:]
arguments = SLConfig.fromfile(os.path.join(os.path.dirname(groundingdino.config.__file__), config))
arguments.device, arguments.text_encoder_type = "cpu", text
package.get_tokenlizer.get_pretrained_language_model = lambda name: BertModel(BertConfig())
torch.manual_seed(0)
model = build_model(arguments)
for parameter in model.parameters():  # a fresh box head is all zeros: it would not be compared
    parameter.data += 0.01 * torch.randn_like(parameter)
state = model.state_dict()
torch.save({"model": {"module." + name: tensor for name, tensor in state.items()}}, out)
"""


def real_python() -> Path | None:
    named = os.environ.get("C2VL_GROUNDINGDINO_PYTHON", "")
    return next(
        (path for path in (Path(named), ROOT / ".venv-groundingdino/bin/python") if path.is_file()),
        None,
    )


SWIN_T = {
    "image_size": 224,
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": 7,
}
SWIN_B = {
    "image_size": 384,
    "embed_dim": 128,
    "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32],
    "window_size": 12,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "swin"),
    [("GroundingDINO_SwinT_OGC.py", SWIN_T), ("GroundingDINO_SwinB_cfg.py", SWIN_B)],
    ids=["Swin-T", "Swin-B"],
)
@pytest.mark.skipif(
    real_python() is None,
    reason="no .venv-groundingdino (make groundingdino), no C2VL_GROUNDINGDINO_PYTHON",
)
def test_groundingdino_py_and_transformers_agree_on_equal_weights(
    config: str, swin: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model at full size with random weights, written as an original `.pth`, read by both."""
    import transformers
    from grounding_dino_names import renamed

    vocabulary = [f"[unused{number}]" for number in range(30522)]
    known = {
        0: "[PAD]",
        100: "[UNK]",
        101: "[CLS]",
        102: "[SEP]",
        103: "[MASK]",
        1012: ".",
        1029: "?",
        2711: "person",
    }
    for number, word in known.items():
        vocabulary[number] = word
    bert = tmp_path / "bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (bert / "config.json").write_text('{"model_type": "bert"}')
    original, converted = tmp_path / "original.pth", tmp_path / "converted"
    subprocess.run(
        [str(real_python()), "-c", BUILD, config, str(bert), str(original)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    state = torch.load(original, weights_only=True, mmap=True)["model"]
    model = transformers.GroundingDinoForObjectDetection(
        transformers.GroundingDinoConfig(
            backbone_config=transformers.SwinConfig(**swin, out_indices=[2, 3, 4])
        )
    )
    unmatched = model.load_state_dict(
        renamed({name.removeprefix("module."): one for name, one in state.items()}), strict=False
    )
    assert not unmatched.unexpected_keys
    assert {name.rpartition(".")[0] for name in unmatched.missing_keys} == {
        "model.backbone.conv_encoder.model.swin.layernorm"
    }
    model.save_pretrained(converted)
    images = transformers.GroundingDinoImageProcessorPil()
    transformers.GroundingDinoProcessor(
        images, transformers.BertTokenizer.from_pretrained(bert)
    ).save_pretrained(converted)

    monkeypatch.setenv("C2VL_GROUNDINGDINO_PYTHON", str(real_python()))
    monkeypatch.setenv("C2VL_GROUNDINGDINO_BERT", str(bert))
    asked = {"shortest_edge": 288, "longest_edge": 480, "box_threshold": 0.0}
    ours = load_detector(DetectorParams(model=str(converted), **asked), lambda: torch.device("cpu"))
    theirs = load_detector(params(original, **asked), lambda: torch.device("cpu"))
    picture = np.random.default_rng(0).integers(0, 256, (216, 384, 3), dtype=np.uint8)
    one, other = (detector.detect(detector.prepare([picture]))[0] for detector in (ours, theirs))
    assert len(one.scores) == len(other.scores) > 500
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    # Compare nearest boxes: scores that are equal but for rounding come in either order. One or two
    # of the 900 boxes may differ, because each side chooses the 900 best places of the image.
    apart = np.abs(one.boxes[:, None] - other.boxes[None]).max(axis=2)
    for nearest in (apart.min(axis=0), apart.min(axis=1)):
        assert np.quantile(nearest, 0.99) < 0.05  # pixels of 384
