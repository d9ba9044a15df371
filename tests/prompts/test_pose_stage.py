"""Stage `pose` with a detector and a pose engine whose answers follow from the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.layout_file import shipped_layout
from c2vl.core.tables import schemas
from c2vl.datasets.image_joints import image_joints
from c2vl.datasets.raw_files import digest
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines import DetectorParams
from c2vl.prompts.engines.detector import Detections
from c2vl.prompts.engines.pose import PoseEngineParams
from c2vl.prompts.pose import pose_stage
from c2vl.prompts.pose.find_joints import Poses
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.prompts.pose.pose_row import pose_row
from c2vl.prompts.pose.pose_stage import PoseStage
from c2vl.store.run import run
from c2vl.store.stage import Failure

WIDTH, HEIGHT = 160, 90
SHAPE = np.linspace(0, 1, 17)  # joints on the diagonal of a person's box


class Detector:
    """Finds bright rectangles, the largest first, and counts the frames that it sees."""

    def __init__(self) -> None:
        self.frames = 0

    def prepare(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(images)

    def detect(self, ready: Sequence[np.ndarray]) -> list[Detections]:
        self.frames += len(ready)
        return [self._found(image) for image in ready]

    def _found(self, image: np.ndarray) -> Detections:
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        boxes = np.array(
            [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:] if area > 200], np.float32
        )
        return Detections(boxes.reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class Joints:
    """Puts the joints on the diagonal of the box; `dies_at` a number of people it is killed."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.people, self._dies_at = 0, dies_at

    def batch_size(self) -> int:
        return 8

    def cut(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        return box

    def find(self, people: Sequence[np.ndarray]) -> np.ndarray:
        self.people += len(people)
        if self._dies_at is not None and self.people >= self._dies_at:
            raise KeyboardInterrupt
        found = [
            np.stack([x0 + SHAPE * (x1 - x0), y0 + SHAPE * (y1 - y0), np.full(17, 0.8)], -1)
            for x0, y0, x1, y1 in people
        ]
        return np.array(found, np.float32)


def film(path: Path, frames: int, *people: tuple[int, int, float]) -> None:
    """People are white rectangles: (left edge, width, pixels that they move in a frame)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (WIDTH, HEIGHT))
    for frame in range(frames):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for left, width, speed in people:
            x = int(left + speed * frame)
            image[20:80, max(x, 0) : x + width] = 255
        writer.write(image)
    writer.release()


def entry(root: Path, name: str, frames: int | None, **others: Any) -> dict[str, Any]:
    file = f"{name}.avi"
    there = (root / "raw" / file).is_file()
    row = dict.fromkeys(schemas.INDEX.names)
    row |= {"sample": name, "dataset": "manifest", "label": 0, "action": 1, "status": "ok"}
    row |= {"video_file": file, "video_frames": frames, "video_reason": "", "reason": ""}
    row |= {"video_width": WIDTH, "video_height": HEIGHT}
    row["video_hash"] = digest(root / "raw" / file) if there else None
    return row | others


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    film(tmp_path / "raw/walks.avi", 30, (10, 24, 1.0), (110, 20, 0.0))
    film(tmp_path / "raw/long.avi", 100, (20, 24, 0.5))
    film(tmp_path / "raw/empty.avi", 10)
    (tmp_path / "raw/broken.avi").write_bytes(b"RIFF" + bytes(5000))
    rows = [
        entry(tmp_path, "walks", 30),
        entry(tmp_path, "long", 100),
        entry(tmp_path, "part", 30, video_file="walks.avi", clip_begin=10, clip_stop=18),
        entry(tmp_path, "empty", 10),
        entry(tmp_path, "broken", 10),
        entry(tmp_path, "sensor", 30, skeleton_hash="0", video_file="walks.avi"),
    ]
    for row in rows:
        row["video_hash"] = digest(tmp_path / "raw" / row["video_file"])
    rows.sort(key=lambda row: row["sample"])
    tables.write(tmp_path / "index/index.parquet", tables.table_of(rows, schemas.INDEX))
    return tmp_path


def make(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    detector: Detector | None = None,
    joints: Joints | None = None,
    compare: bool = False,
    **params: Any,
) -> PoseStage:
    """The stage with stand-ins for both engines."""
    monkeypatch.setattr(pose_stage, "load_detector", lambda *_: detector or Detector())
    monkeypatch.setattr(pose_stage.PoseEngine, "load", lambda *_: joints or Joints())
    tiny = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
    engine = PoseEngineParams(model=str(tiny / "pose"))
    crop = CropParams(
        frames_per_clip=4,
        margin=0.1,
        jpeg_quality=90,
        fallback="frame",
        max_failed=1,
        detector=DetectorParams(model=str(tiny / "detector")),
    )
    given = {"frames": 20, "look_every": 5, "max_failed": 1.0, "compare": compare} | params
    section = PoseParams(engine=engine, **given)
    return PoseStage(section, crop, root / "index/index.parquet", root / "raw", compare)


def found(root: Path, stage: PoseStage) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Rows by sample, and what the run did."""
    notes: dict[str, Any] = {}
    run(stage, root / "pose", notes)
    rows = tables.rows_of(tables.read(root / "pose"))
    return {row["sample"]: row for row in rows}, notes


def test_joints_are_those_of_the_people_in_the_frames(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = found(root, make(root, monkeypatch))
    assert set(rows) == {"walks", "long", "part", "empty", "broken"}  # sensor has a skeleton
    walks, layout = rows["walks"], shipped_layout("coco17")
    assert (walks["frames"], walks["bodies"], walks["file_frames"]) == (20, 2, 30)
    placed = image_joints(walks, layout)
    assert placed is not None
    for frame in range(30):
        points, tracked = placed.at(frame)
        pixels = points * (WIDTH / 2, HEIGHT / 2)
        # The walker is the livelier one. Boxes stay where they are before the first look, in frame
        # 3, and after the last one, in frame 26; 20 of the 30 frames have joints.
        walked = min(max(frame, 3), 26)
        assert pixels[0, 0] == pytest.approx((10 + walked, 20), abs=2)
        assert pixels[0, 16] == pytest.approx((34 + walked, 80), abs=2)
        assert pixels[1, 0] == pytest.approx((110, 20), abs=1.5)
        assert (tracked == 2).all()
    joints = walks["joints"].reshape(20, 2, 17, 3)
    assert np.abs(joints[..., :2]).max() <= 1 and (joints[..., 2] == np.float32(0.8)).all()


def test_a_part_of_a_video_and_a_long_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = found(root, make(root, monkeypatch))
    part = rows["part"]["joints"].reshape(-1, 2, 17, 3)
    assert (len(part), rows["part"]["file_frames"]) == (8, 8)
    assert (part[0, 0, 0, 0] + 1) * WIDTH / 2 == pytest.approx(20, abs=2.5)
    assert (rows["long"]["frames"], rows["long"]["file_frames"]) == (20, 100)
    assert rows["long"]["bodies"] == 1 and not rows["long"]["joints"].reshape(20, 2, -1)[:, 1].any()


def test_what_cannot_be_used_is_a_row_with_a_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, notes = found(root, make(root, monkeypatch))
    assert (rows["empty"]["status"], rows["broken"]["status"]) == ("nobody", "unreadable")
    assert "nobody was found in the video" in rows["empty"]["reason"]
    assert notes["failed"] == 2


def test_a_kill_costs_no_detection_and_a_second_run_computes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = Detector(), Detector()
    with pytest.raises((KeyboardInterrupt, UserError)):
        found(root, make(root, monkeypatch, first, Joints(dies_at=10)))
    assert first.frames > 0
    rows, notes = found(root, make(root, monkeypatch, again))
    assert (first.frames + again.frames, notes["computed"]) == (2 + 2 + 4 + 4, 3)
    third = Joints()
    assert found(root, make(root, monkeypatch, again, third))[1]["computed"] == 0
    assert third.people == 0 and rows["walks"]["status"] == "ok"


def test_other_frames_of_a_clip_are_another_result(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(root, make(root, monkeypatch))
    rows, notes = found(root, make(root, monkeypatch, frames=10))
    assert (notes["computed"], rows["long"]["frames"]) == (3, 10)


def test_clips_with_a_skeleton_are_looked_at_only_to_compare(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make(root, monkeypatch, compare=True).clips == 1
    rows, _ = found(root, make(root, monkeypatch, compare=True))
    assert set(rows) == {"sensor"} and rows["sensor"]["bodies"] == 2


def test_crops_by_the_joints_alone_cannot_find_people(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(root, monkeypatch)
    skeleton = DetectorParams(model="", backend="skeleton")
    stage._crop = stage._crop.model_copy(update={"detector": skeleton})
    with pytest.raises(UserError, match=r"`crop.detector.backend` is skeleton, which finds nobody"):
        stage.description()


def test_a_clip_without_a_joint_that_is_seen_is_a_row_with_a_reason() -> None:
    joints = np.full((3, 1, 17, 3), 0.005, np.float32)
    poses = Poses(np.arange(3), joints, np.zeros((3, 1, 4)), (WIDTH, HEIGHT), 1)
    assert pose_row(poses, 3, 2) == Failure("unusable", "no joint has a score above 0.01")
