"""Each kind of detector of transformers, small and random: saved, loaded, used; others refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.core.boxes import iou
from c2vl.core.errors import UserError
from c2vl.prompts.engines import Detections, Detector, DetectorParams

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from small_detectors import FIXED, OPEN, SIDE, build_detector  # noqa: E402 - needs transformers

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
KINDS = [*OPEN, *FIXED]
SOFTMAX = ("Detr", "Yolos")  # with a label for nothing; the others' labels are independent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the kinds that were built so far."""
    return {}


def folder_of(name: str, built: dict[str, Path], factory: pytest.TempPathFactory) -> Path:
    if name not in built:
        built[name] = factory.mktemp(name)
        build_detector(name, built[name])
    return built[name]


def expected(name: str, folder: Path, image: np.ndarray) -> Detections:
    """Boxes and scores by the model's own outputs, read as its paper says."""
    auto = (
        transformers.AutoModelForObjectDetection
        if name in FIXED
        else transformers.AutoModelForZeroShotObjectDetection
    )
    model = auto.from_pretrained(folder).eval()
    height, width = image.shape[:2]
    if name == "RfDetr":  # torchvision's resize without antialiasing is torch's interpolation
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        pixels = torch.nn.functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear")
        mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        pixels = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        inputs: dict[str, Any] = {"pixel_values": pixels}
    else:
        processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
        text = {"text": "person." if "Grounding" in name else ["person"]} if name in OPEN else {}
        inputs = processor(images=image, return_tensors="pt", **text)
    with torch.inference_mode():
        outputs = model(**inputs)
    logits, boxes = outputs.logits[0], outputs.pred_boxes[0]
    scores = logits.softmax(-1)[:, 0] if name in SOFTMAX else logits.sigmoid().amax(-1)
    # OWLv2 fills images up to a square on the right and below.
    side = (max(width, height),) * 2 if name == "Owlv2" else (width, height)
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    corners = torch.cat([low, high], 1) * torch.tensor([*side, *side])
    corners = corners.numpy().clip(0, np.array([width, height] * 2))
    kept = np.flatnonzero((corners[:, 2:] > corners[:, :2]).all(1) & (scores.numpy() > 0))
    kept = kept[np.argsort(-scores.numpy()[kept], kind="stable")]
    return Detections(corners[kept], scores.numpy()[kept])


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_detector_finds_what_its_outputs_say(
    name: str,
    images: list[np.ndarray],
    built: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = folder_of(name, built, tmp_path_factory)
    detector = Detector.load(DetectorParams(model=str(folder), box_threshold=0.0), "cpu")
    found = detector(images)
    for image, one in zip(images, found, strict=True):
        height, width = image.shape[:2]
        assert len(one.scores) > 0 and one.boxes.shape == (len(one.scores), 4)
        assert (one.boxes >= 0).all() and (one.boxes <= [width, height] * 2).all()
        alone = detector([image])[0]
        np.testing.assert_allclose(alone.scores, one.scores, atol=1e-5)
        if name == "OmDetTurbo":  # its own processor needs torchvision
            overlap = iou(one.boxes, one.boxes) - np.eye(len(one.boxes))
            assert overlap.max() <= 0.5
            continue
        true = expected(name, folder, image)
        np.testing.assert_allclose(one.scores, true.scores, atol=1e-5)
        order = np.lexsort(np.round(one.boxes.T, 2)), np.lexsort(np.round(true.boxes.T, 2))
        np.testing.assert_allclose(one.boxes[order[0]], true.boxes[order[1]], atol=1e-2)


def test_omdet_keeps_the_best_of_overlapping_boxes(
    built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of("OmDetTurbo", built, tmp_path_factory)
    detector = Detector.load(DetectorParams(model=str(folder), box_threshold=0.2), "cpu")
    centres = torch.tensor(
        [[[0.5, 0.5, 0.4, 0.8], [0.52, 0.5, 0.4, 0.8], [0.1, 0.5, 0.2, 0.4], [0.9, 0.9, 0.1, 0.1]]]
    )
    outputs = transformers.models.omdet_turbo.modeling_omdet_turbo.OmDetTurboObjectDetectionOutput(
        decoder_coord_logits=centres,
        decoder_class_logits=torch.tensor([[[0.0], [2.0], [1.0], [-2.0]]]),  # the last: 0.12
    )
    ((boxes, scores),) = detector._kind.found(outputs, {}, [(100, 200)])
    np.testing.assert_allclose(boxes, [[64, 10, 144, 90], [0, 30, 40, 70]], atol=1e-4)
    np.testing.assert_allclose(scores, [0.8808, 0.7311], atol=1e-4)


def test_only_the_labels_that_the_prompt_names_are_used(
    images: list[np.ndarray], tmp_path: Path
) -> None:
    build_detector("DFine", tmp_path, {0: "Person", 1: "bicycle", 2: "cup"})
    found = {
        prompt: Detector.load(
            DetectorParams(model=str(tmp_path), box_threshold=0.0, prompt=prompt), "cpu"
        )(images[:1])[0]
        for prompt in ("person.", "bicycle.", "cup.", "person. cup. bicycle.")
    }
    each = [found[prompt].scores for prompt in ("person.", "bicycle.", "cup.")]
    together = np.sort(np.concatenate(each))[::-1]
    np.testing.assert_allclose(together, found["person. cup. bicycle."].scores, atol=1e-6)
    assert 0 < len(each[0]) < len(together)


def refused(folder: Path, **params: Any) -> str:
    """The sentence that says why a checkpoint is no detector."""
    with pytest.raises(UserError) as error:
        Detector.load(DetectorParams(model=str(folder), **params), "cpu")
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


def test_a_detector_without_a_label_for_people_is_refused(tmp_path: Path) -> None:
    build_detector("Detr", tmp_path, {0: "table", 1: "table rotated"})
    text = refused(tmp_path)
    assert "(DetrForObjectDetection) has no label `person`" in text and "'table'" in text


@pytest.mark.parametrize(
    ("engine", "named"),
    [("encoder", "CLIPModel"), ("captioner", "LlavaForConditionalGeneration")],
)
def test_what_is_no_detector_is_refused(engine: str, named: str) -> None:
    assert f"is a {named}, which is no detector" in refused(TINY / engine)


def test_a_kind_that_transformers_lacks_is_refused(tmp_path: Path) -> None:
    shutil.copytree(TINY / "detector", tmp_path / "detector")
    path = tmp_path / "detector/config.json"
    code = {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | code))
    (tmp_path / "detector/code.py").write_text("raise SystemExit('this must not run')")
    assert "without code of its own" in refused(tmp_path / "detector")


def test_a_backbone_of_a_package_that_is_not_here_is_refused(tmp_path: Path) -> None:
    build_detector("Detr", tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["backbone_config"] = {"model_type": "timm_backbone", "backbone": "resnet18"}
    path.write_text(json.dumps(config))
    assert "timm" in refused(tmp_path)


def test_owl_takes_images_of_its_own_size_alone(
    built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = folder_of("Owlv2", built, tmp_path_factory)
    assert "(Owlv2ForObjectDetection) takes images of one size" in refused(
        folder, shortest_edge=128
    )


def test_a_detector_that_fails_on_an_image_is_refused(tmp_path: Path) -> None:
    build_detector("RTDetr", tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"size": {"height": 8, "width": 8}}))
    text = refused(tmp_path)
    assert "(RTDetrForObjectDetection) cannot be used as a detector here" in text
