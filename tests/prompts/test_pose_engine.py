"""The pose engine against transformers' own processing, and against the studio's truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessorPil,
)
from transformers.models.vitpose.modeling_vitpose import VitPoseEstimatorOutput

from c2vl.core.errors import UserError
from c2vl.evaluation.scores.keypoints import pck
from c2vl.prompts.engines.pose import PoseEngine, PoseEngineParams
from c2vl.prompts.engines.pose_crops import cut, joints_of, region, to_image
from c2vl.studio.stills import still

TINY = "checkpoints/tiny/pose"
BOXES = np.array([[30.0, 20.0, 80.0, 150.0], [-10.0, 40.0, 180.0, 90.0], [100.0, 0.0, 140.0, 60.0]])


def processor() -> VitPoseImageProcessorPil:
    return VitPoseImageProcessorPil(size={"height": 64, "width": 48})


def as_coco(boxes: np.ndarray) -> np.ndarray:
    """Corner and size."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)


def test_crops_are_those_of_transformers() -> None:
    image = still(3).image
    given = processor()
    theirs = given(image, boxes=[as_coco(BOXES)], return_tensors="np")["pixel_values"]
    mean, std = np.array(given.image_mean), np.array(given.image_std)
    for box, pixels in zip(BOXES, theirs, strict=True):
        ours = (cut(image, region(box, (64, 48)), (64, 48)) / 255 - mean) / std
        # One grey level is 0.02; they cut after a rounding of their own.
        assert np.abs(ours - pixels.transpose(1, 2, 0)).mean() < 0.02


def test_joints_are_those_of_transformers() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :24]
    centres = rng.uniform(3, 20, (3, 17, 2))
    away = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    heatmaps = np.exp(-away / 4.5).astype(np.float32)
    outputs = VitPoseEstimatorOutput(heatmaps=torch.from_numpy(heatmaps))
    (theirs,) = processor().post_process_pose_estimation(outputs, boxes=[as_coco(BOXES)])
    shares, scores = joints_of(heatmaps)
    for at, one in enumerate(theirs):
        found = to_image(shares[at], region(BOXES[at], (64, 48)))
        np.testing.assert_allclose(found, one["keypoints"], atol=0.1)
        np.testing.assert_allclose(scores[at], one["scores"], atol=1e-5)


def test_the_tiny_engine_finds_the_joints_of_people_it_never_saw() -> None:
    engine = PoseEngine.load(PoseEngineParams(model=TINY), "cpu")
    shots = [still(70_000_000 + seed) for seed in range(12)]
    people = [(shot.image, person) for shot in shots for person in shot.people]
    found = engine([image for image, _ in people], [person.box for _, person in people])
    truth = np.stack([person.coco for _, person in people])
    scores = pck(found, truth, np.stack([person.box for _, person in people]))
    assert scores["pck"] > 0.9, scores
    swapped = found[:, [0, *(at + 1 if at % 2 else at - 1 for at in range(1, 17))]]
    assert pck(swapped, truth, np.stack([one.box for _, one in people]))["pck"] < 0.6


@pytest.fixture
def experts(tmp_path: Path) -> Path:
    """A ViTPose+ of six experts with random weights."""
    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(
        image_size=(64, 48),
        patch_size=(8, 8),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_experts=6,
        part_features=8,
        out_indices=[2],
    )
    model = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17))
    model.save_pretrained(tmp_path / "plus")
    processor().save_pretrained(tmp_path / "plus")
    return tmp_path / "plus"


def test_of_vitpose_plus_the_chosen_expert_answers(experts: Path) -> None:
    image, box = still(3).image, BOXES[0]
    answers = [
        PoseEngine.load(PoseEngineParams(model=str(experts), dataset_index=index), "cpu")(
            [image], [box]
        )
        for index in (0, 0, 3)
    ]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 0
    with pytest.raises(UserError, match=r"dataset_index` must be below 6, not 6"):
        PoseEngine.load(PoseEngineParams(model=str(experts), dataset_index=6), "cpu")


def test_another_checkpoint_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no ViTPose checkpoint but clip"):
        PoseEngine.load(PoseEngineParams(model="checkpoints/tiny/encoder"), "cpu")
    backbone = VitPoseBackboneConfig(
        image_size=(64, 48), hidden_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    backbone.out_indices = [1]
    names = {at: f"keypoint of a hand {at}" for at in range(21)}
    config = VitPoseConfig(backbone_config=backbone, id2label=names)
    VitPoseForPoseEstimation(config).save_pretrained(tmp_path)
    processor().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="finds 21 joints that are not COCO's 17"):
        PoseEngine.load(PoseEngineParams(model=str(tmp_path)), "cpu")
