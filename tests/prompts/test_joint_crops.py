"""Crops by the colour joints: boxes, doubts, and the stage without a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.datasets.raw_files import digest
from c2vl.prompts import crop as crop_module
from c2vl.prompts import detections, joint_boxes
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines import DetectorParams
from c2vl.prompts.engines.detector import Detections
from c2vl.prompts.frame import Frame
from c2vl.prompts.window import NO_JOINTS
from c2vl.store.run import run

NOBODY = np.full((25, 2), np.nan, np.float32)
SHARD = "S001C001"
SAMPLE = f"{SHARD}P001R001A001"
MARGIN = 0.1


def actor(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """25 joints on a grid that spans the box, in pixels of 1920x1080."""
    grid = np.stack(np.meshgrid(np.linspace(x0, x1, 5), np.linspace(y0, y1, 5)), axis=-1)
    return grid.reshape(25, 2).astype(np.float32)


def states(*counts: int) -> np.ndarray:
    """For each actor, how many joints are tracked; the others are inferred."""
    return np.array([[2] * count + [1] * (25 - count) for count in counts], np.uint8)


def frame_of(colour: np.ndarray, tracked: np.ndarray, people: int = 1) -> Frame:
    """A frame with these joints."""
    return Frame(Path(), "v.avi", "", 0, colour, tracked, (1920, 1080), people)


def test_a_box_of_joints_is_a_tenth_larger_on_each_side_and_ends_at_the_image() -> None:
    colour = np.stack([actor(960, 270, 1440, 1070), actor(-300, 0, -100, 500)])
    boxes, scores = joint_boxes.boxes_of_joints(frame_of(colour, states(20, 25)), (192, 108))
    # 96 to 144 and 27 to 107 pixels of the video: 4.8 and 8 are added; the other is outside
    np.testing.assert_array_equal(boxes, [[91, 19, 149, 108]])
    np.testing.assert_allclose(scores, [0.8])
    none, _ = joint_boxes.boxes_of_joints(
        frame_of(np.stack([NOBODY, NOBODY]), states(0, 0)), (192, 108)
    )
    assert none.shape == (0, 4)


def far(joints: np.ndarray, count: int, to: tuple[float, float]) -> np.ndarray:
    """The joints with the last `count` elsewhere."""
    moved = joints.copy()
    moved[25 - count :] = to
    return moved


GOOD = actor(800, 200, 1100, 1000)


@pytest.mark.parametrize(
    ("why", "first", "second", "tracked", "people", "expected"),
    [
        ("good", GOOD, NOBODY, (25, 0), 1, False),
        ("15 of 25 are 60 %", GOOD, NOBODY, (15, 0), 1, False),
        ("too few tracked", GOOD, NOBODY, (14, 0), 1, True),
        ("nobody", NOBODY, NOBODY, (0, 0), 1, True),
        ("one of two", GOOD, NOBODY, (25, 0), 2, True),
        ("both", GOOD, actor(300, 200, 500, 900), (25, 25), 2, False),
        ("the second is doubtful", GOOD, actor(300, 200, 500, 900), (25, 9), 2, True),
        ("two outside", far(GOOD, 2, (2000, 500)), NOBODY, (25, 0), 1, False),
        ("three outside", far(GOOD, 3, (1921, 500)), NOBODY, (25, 0), 1, True),
        ("three without a place", far(GOOD, 3, (np.nan, np.nan)), NOBODY, (22, 0), 1, True),
        ("54 pixels", actor(800, 200, 820, 254), NOBODY, (25, 0), 1, False),
        ("53 pixels", actor(800, 200, 820, 253), NOBODY, (25, 0), 1, True),
        # an inferred joint as far away as the body is wide makes the box twice as large
        ("an inferred joint", far(GOOD, 1, (1390, 1000)), NOBODY, (24, 0), 1, False),
        ("a far inferred joint", far(GOOD, 1, (1410, 1000)), NOBODY, (24, 0), 1, True),
        ("a far tracked joint", far(GOOD, 1, (1410, 1000)), NOBODY, (25, 0), 1, False),
    ],
)
def test_which_joints_are_doubtful(
    why: str,
    first: np.ndarray,
    second: np.ndarray,
    tracked: tuple[int, int],
    people: int,
    expected: bool,
) -> None:
    frame = frame_of(np.stack([first, second]), states(*tracked), people)
    assert joint_boxes.doubtful(frame) is expected


# --- the stage ---


class Detector:
    """Finds a box in the corner, and counts the images that it gets."""

    fingerprint = "corner"

    def __init__(self) -> None:
        self.images = 0

    def prepare(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(images)

    def detect(self, ready: Sequence[np.ndarray]) -> list[Detections]:
        self.images += len(ready)
        box = np.array([[0, 0, 30, 30]], np.float32)
        return [Detections(box, np.array([0.9], np.float32)) for _ in ready]

    def batch_size(self) -> int:
        return 16


def joints_of(frame: int) -> np.ndarray:
    """The joints of a clip: fewer tracked from frame 10 on, none from frame 15 on."""
    left = 400 + 20 * frame
    return NOBODY if frame >= 15 else actor(left, 200, left + 200, 800)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of 20 frames of 192x108; with K = 4 the frames are 2, 7, 12 and 17."""
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_PREPARE", "threads")
    monkeypatch.delenv("C2VL_STORE", raising=False)
    for module in (crop_module, detections):
        monkeypatch.setattr(module, "engine_description", said)
    (tmp_path / "raw").mkdir()
    path = tmp_path / "raw" / f"{SAMPLE}_rgb.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (192, 108))
    for number in range(20):
        writer.write(np.full((108, 192, 3), 5 * number, np.uint8))
    writer.release()
    entry = {
        "sample": SAMPLE,
        "dataset": "studio",
        "video_file": path.name,
        "video_hash": digest(path),
        "video_frames": 20,
        "status": "ok",
    }
    tables.write(tmp_path / "index.parquet", tables.table_of([entry], tables.schemas.index([])))
    write_skeleton(tmp_path, [joints_of(frame) for frame in range(20)])
    return tmp_path


def said(name: str, params: DetectorParams) -> dict[str, Any]:
    return {"weights": "those of the corner", name: params.backend}


def write_skeleton(folder: Path, joints: list[np.ndarray]) -> None:
    tracked = np.where(np.arange(20) < 10, 25, 10)[:, None] > np.arange(25)
    present = np.isfinite(np.stack(joints)[..., 0])
    both = np.stack([np.where(tracked, 2, 1) * present, np.zeros((20, 25))], axis=1)
    skeleton = {
        "sample": SAMPLE,
        "bodies": 1,
        "file_frames": 20,
        "colour": np.stack([np.stack([one, NOBODY]) for one in joints]).astype(np.float32),
        "tracked": both.astype(np.uint8),
        "status": "ok",
        "reason": "",
    }
    tables.write(
        folder / "skeleton" / f"{SHARD}.parquet",
        tables.table_of([skeleton], tables.schemas.SKELETON),
    )


def stage_of(project: Path, backend: str, fallback: str = "skeleton", **detector: Any) -> CropStage:
    params = CropParams(
        frames_per_clip=4,
        margin=MARGIN,
        jpeg_quality=95,
        fallback=fallback,  # type: ignore[arg-type]
        max_failed=0.5,
        detector=DetectorParams(backend=backend, **{"model": "corner", **detector}),  # type: ignore[arg-type]
    )
    return CropStage(params, project / "index.parquet", project / "skeleton", project / "raw")


def rows_of(stage: CropStage, project: Path) -> list[dict[str, Any]]:
    run(stage, project / "crop", {})
    return tables.rows_of(tables.read(project / "crop"))


def expected_window(frame: int) -> list[int]:
    left = 40 + 2 * frame  # joints from left to left + 20 and from 20 to 80, in the video's pixels
    body = left - 2, 14, left + 22, 86
    width, height = body[2] - body[0], body[3] - body[1]
    low = [np.floor(body[0] - MARGIN * width), np.floor(body[1] - MARGIN * height)]
    high = [np.ceil(body[2] + MARGIN * width), np.ceil(body[3] + MARGIN * height)]
    return [*map(int, low), *map(int, high)]


def test_the_backend_skeleton_loads_no_detector_and_gives_reasons(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: Any) -> None:
        raise AssertionError("a detector is wanted")

    monkeypatch.setattr(crop_module, "load_detector", unwanted)
    for module in (crop_module, detections):
        monkeypatch.setattr(module, "engine_description", unwanted)
    rows = rows_of(stage_of(project, "skeleton", model=None), project)
    assert [row["frame"] for row in rows] == [2, 7, 12, 17]
    for row in rows[:3]:
        corners = [int(row[side]) for side in ("x0", "y0", "x1", "y1")]
        assert corners == expected_window(row["frame"])
        assert (row["status"], row["reason"], row["coverage"]) == ("ok", "", 1.0)
        assert row["chosen"].tolist() == [0]
    assert [float(row["scores"][0]) for row in rows[:3]] == pytest.approx([1, 1, 0.4])
    assert (rows[3]["status"], rows[3]["reason"]) == ("nobody", NO_JOINTS)
    whole = rows_of(stage_of(project, "skeleton", "frame"), project)[3]
    assert (whole["status"], whole["x1"], whole["y1"]) == ("ok", 192, 108)
    assert whole["reason"] == f"{NO_JOINTS}; kept the whole frame"
    dropped = rows_of(stage_of(project, "skeleton", "drop"), project)[3]
    assert (dropped["status"], dropped["reason"]) == ("nobody", NO_JOINTS)


def test_auto_asks_the_detector_about_doubtful_frames_alone(project: Path) -> None:
    stage, detector = stage_of(project, "auto"), Detector()
    stage.use(detector)
    rows = rows_of(stage, project)
    (project / "crop/metrics.json").rename(project / "metrics-of-auto.json")
    assert detector.images == 2  # few joints are tracked in frame 12, there are none in frame 17
    by_joints = rows_of(stage_of(project, "skeleton"), project)
    for auto, skeleton in zip(rows[:2], by_joints[:2], strict=True):
        assert auto["crop"] == skeleton["crop"]
        assert auto["boxes"].tolist() == skeleton["boxes"].tolist()
    # The detector's box is not where the joints of frame 12 are: the fallback crops around them.
    assert rows[2]["reason"].startswith("the people found are not where the skeleton is; cropped")
    assert [rows[3][side] for side in ("x0", "y0", "x1", "y1")] == [0, 0, 33, 33]
    assert read_json(project / "metrics-of-auto.json")["doubtful_frames"] == 2


def test_auto_and_transformers_share_detections_and_no_crops(project: Path) -> None:
    first, detector = stage_of(project, "transformers"), Detector()
    first.use(detector)
    run(first, project / "crop", {})
    assert detector.images == 4
    again, unused = stage_of(project, "auto"), Detector()
    again.use(unused)
    run(again, project / "crop", {})
    assert unused.images == 0
    stages = {name: stage_of(project, name) for name in ("transformers", "skeleton", "auto")}
    assert first.description() == stages["transformers"].description()
    said = [str(sorted(stage.description().items(), key=str)) for stage in stages.values()]
    assert len(set(said)) == 3
    assert stages["skeleton"].step_caches() == []
    assert [one.fingerprint for one in stages["auto"].step_caches()] == [
        one.fingerprint for one in stages["transformers"].step_caches()
    ]


def test_what_the_detector_is_asked_changes_no_crop_by_joints(project: Path) -> None:
    plain = stage_of(project, "skeleton").description()
    for change in ({"model": "other"}, {"prompt": "people."}, {"box_threshold": 0.9}):
        assert stage_of(project, "skeleton", **change).description() == plain
    assert stage_of(project, "skeleton", "drop").description() != plain


def test_a_data_set_without_colour_joints_is_an_error_at_once(project: Path) -> None:
    write_skeleton(project, [NOBODY] * 20)
    with pytest.raises(UserError, match="no skeleton of this data set has colour joints"):
        stage_of(project, "skeleton")
    stage_of(project, "auto")  # the detector looks at every frame


@pytest.mark.parametrize("backend", ["transformers", "auto", "groundingdino"])
def test_only_the_backend_skeleton_needs_no_model(backend: str) -> None:
    assert DetectorParams(backend="skeleton").model == ""
    with pytest.raises(ValueError, match=f"the backend {backend} needs a `model`"):
        DetectorParams(backend=backend)  # type: ignore[arg-type]
