"""The crop stage: which people it crops and where, and what it does with broken videos."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from c2vl.core import tables
from c2vl.core.layout_file import load_layout, write_layout
from c2vl.datasets.image_joints import on_video
from c2vl.datasets.video.backends import Backend
from c2vl.datasets.video.decode import Decoded, decode
from c2vl.prompts import crop as crop_module
from c2vl.prompts import detections
from c2vl.prompts import frame as frames
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines import DetectorParams
from c2vl.prompts.engines.detector import Detections
from c2vl.prompts.jpeg import from_jpeg, to_jpeg
from c2vl.prompts.people import choose, joint_boxes
from c2vl.prompts.window import Fallback, Window, find_window, grown, squared
from c2vl.store.keys import content_key
from c2vl.store.run import run
from c2vl.store.stage import Failure

NOBODY = np.full((25, 2), np.nan, np.float32)
NONE = np.zeros((0, 4), np.float32)


def actor(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """25 joints on a grid that spans the box, in pixels of 1920x1080."""
    grid = np.stack(np.meshgrid(np.linspace(x0, x1, 5), np.linspace(y0, y1, 5)), axis=-1)
    return grid.reshape(25, 2).astype(np.float32)


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32)


def window(
    found: np.ndarray,
    scores: list[float],
    *actors: np.ndarray,
    people: int = 1,
    size: tuple[int, int] = (1920, 1080),
    margin: float = 0.0,
    fallback: Fallback = "skeleton",
    tracked: np.ndarray | None = None,
) -> Window:
    colour = np.stack([*actors, NOBODY, NOBODY][:2])
    states = (
        np.where(np.isfinite(colour).all(axis=-1), 2, 0).astype(np.uint8)
        if tracked is None
        else tracked
    )
    return find_window(
        found,
        np.array(scores, np.float32),
        colour,
        states,
        (1920, 1080),
        people,
        size,
        margin,
        fallback,
    )


def test_the_box_under_the_skeleton_beats_a_better_scored_bystander() -> None:
    found = boxes((1000, 100, 1300, 900), (100, 100, 400, 900))
    assert choose(
        found, np.array([0.9, 0.4]), np.stack([actor(120, 120, 380, 880), NOBODY]), 1
    ) == [1]


def test_of_two_boxes_that_hold_the_joints_the_tighter_one_is_taken() -> None:
    found = boxes((0, 0, 1900, 1000), (90, 90, 420, 920), (90, 90, 420, 300))
    assert choose(found, np.array([0.9, 0.5, 0.95]), actor(120, 120, 380, 880)[None], 1) == [1]


def test_equal_fits_are_settled_by_the_score() -> None:
    found = boxes((100, 100, 400, 900), (100, 100, 400, 900))
    assert choose(found, np.array([0.5, 0.6]), actor(120, 120, 380, 880)[None], 1) == [1]


def test_two_actors_are_cropped_by_the_union_of_their_boxes() -> None:
    found = boxes((100, 200, 400, 900), (1500, 0, 1800, 1000), (450, 150, 700, 850))
    verdict = window(
        found, [0.9, 0.8, 0.7], actor(110, 210, 390, 890), actor(460, 160, 690, 840), people=2
    )
    assert verdict.chosen == [0, 2]
    assert verdict.corners == (100, 150, 700, 900)
    assert (verdict.coverage, verdict.reason) == (1.0, "")


def test_two_actors_may_share_a_box() -> None:
    verdict = window(
        boxes((100, 100, 500, 900)),
        [0.9],
        actor(110, 110, 300, 890),
        actor(280, 110, 490, 890),
        people=2,
    )
    assert (verdict.chosen, verdict.coverage, verdict.reason) == ([0], 1.0, "")


def test_a_missed_actor_is_told_and_lowers_the_coverage() -> None:
    verdict = window(
        boxes((100, 100, 400, 900)),
        [0.9],
        actor(110, 110, 390, 890),
        actor(900, 100, 1200, 900),
        people=2,
    )
    assert verdict.chosen == [0]
    assert verdict.coverage == 0.5
    assert verdict.reason == (
        "one of the two actors was not found; the skeleton's joints were added to the crop"
    )
    # 10 % of the joints' 300 x 800 pixels on each side, as where nobody is found
    assert verdict.corners == (100, 20, 1230, 980)
    for fallback in ("frame", "drop"):  # these do not crop around joints
        verdict = window(
            boxes((100, 100, 400, 900)),
            [0.9],
            actor(110, 110, 390, 890),
            actor(900, 100, 1200, 900),
            people=2,
            fallback=fallback,
        )
        assert (verdict.corners, verdict.coverage) == ((100, 100, 400, 900), 0.5)
        assert verdict.reason == "one of the two actors was not found"


@pytest.mark.parametrize(("people", "chosen"), [(1, [1]), (2, [1, 2])])
def test_without_joints_the_best_scores_count_and_nobody_counts_twice(
    people: int, chosen: list[int]
) -> None:
    found = boxes(
        (110, 100, 410, 900), (100, 100, 400, 900), (1000, 100, 1300, 900), (600, 100, 800, 900)
    )
    verdict = window(found, [0.8, 0.9, 0.6, 0.5], people=people)
    assert verdict.chosen == chosen
    assert np.isnan(verdict.coverage)


def test_joints_are_scaled_to_the_size_of_the_video() -> None:
    scaled = on_video(
        np.array([[1920.0, 1080.0], [960, 540], [np.nan, np.nan]]), (1920, 1080), 384, 216
    )
    np.testing.assert_allclose(scaled, np.array([[384, 216], [192, 108], [np.nan, np.nan]]))
    found = boxes((200, 20, 260, 180), (20, 20, 80, 180))  # of a video a fifth as large
    verdict = window(found, [0.9, 0.5], actor(120, 120, 380, 880), size=(384, 216))
    assert verdict.corners == (20, 20, 80, 180)
    assert verdict.coverage == 1.0


def test_coverage_counts_tracked_joints_within_the_image_only() -> None:
    joints = actor(100, 100, 300, 900)
    joints[:5] = [-50, 500]  # five outside the image
    states = np.zeros((2, 25), np.uint8)
    states[0, :15], states[0, 15:] = (
        2,
        1,
    )  # ten tracked joints are in the image: rows 2 and 3 of the grid
    verdict = window(boxes((0, 0, 1000, 400)), [0.9], joints, tracked=states)
    assert verdict.chosen == []  # it holds 5 joints of 25
    assert verdict.coverage == 0.0  # the crop is the joints' own box: nobody was found
    verdict = window(boxes((0, 290, 260, 1080)), [0.9], joints, tracked=states)
    assert verdict.chosen == [0]
    assert verdict.coverage == pytest.approx(8 / 10)  # x of 100, 150, 200 and 250 in two rows


def test_the_margin_is_a_share_of_the_box_and_the_crop_ends_at_the_image() -> None:
    assert grown(np.array([100, 200, 300, 600.0]), 0.1, (1000, 1000)) == (80, 160, 320, 640)
    assert grown(np.array([10.5, 20.5, 300.2, 600.2]), 0, (1000, 1000)) == (10, 20, 301, 601)
    assert grown(np.array([10, 20, 990, 980.0]), 0.5, (1000, 990)) == (0, 0, 1000, 990)


@pytest.mark.parametrize(
    ("corners", "square"),
    [
        ((400, 100, 600, 700), (200, 100, 800, 700)),  # around the middle
        ((0, 100, 200, 700), (0, 100, 600, 700)),  # moved into the image
        ((900, 100, 1000, 700), (400, 100, 1000, 700)),
        ((100, 200, 900, 400), (100, 0, 900, 800)),
        ((0, 300, 1000, 500), (0, 0, 1000, 800)),  # the image ends first
    ],
)
def test_a_square_window_takes_in_what_is_around_the_people(
    corners: tuple[int, int, int, int], square: tuple[int, int, int, int]
) -> None:
    assert squared(corners, (1000, 800)) == square


@pytest.mark.parametrize(
    ("fallback", "corners", "reason"),
    [
        ("skeleton", (80, 72, 320, 1008), "nobody was found; cropped around the skeleton's joints"),
        ("frame", (0, 0, 1920, 1080), "nobody was found; kept the whole frame"),
        ("drop", None, "nobody was found"),
    ],
)
def test_nobody_found_is_a_verdict(
    fallback: Fallback, corners: tuple[int, ...] | None, reason: str
) -> None:
    verdict = window(
        NONE, [], actor(100, 150, 300, 930), fallback=fallback
    )  # 10 % of 200 and of 780 are added
    assert verdict.corners == corners
    assert verdict.reason == reason
    assert verdict.chosen == []
    assert verdict.coverage == 0 if corners else np.isnan(verdict.coverage)


def test_a_bystander_alone_is_nobody_of_the_action() -> None:
    verdict = window(boxes((1500, 100, 1800, 900)), [0.9], actor(100, 100, 300, 900))
    assert verdict.chosen == []
    assert (
        verdict.reason
        == "the people found are not where the skeleton is; cropped around the skeleton's joints"
    )
    assert verdict.coverage == 0.0


def test_no_crop_where_there_is_nothing_to_go_by() -> None:
    assert window(NONE, []).corners is None
    outside = window(NONE, [], actor(-500, 100, -300, 900))
    assert (outside.corners, outside.reason) == (
        None,
        "nobody was found, and the skeleton lies outside the image",
    )
    assert joint_boxes(np.stack([NOBODY, NOBODY])) == []


def test_crops_survive_jpeg_with_their_colours_in_order() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30], image[:, 30:] = (200, 30, 30), (30, 30, 200)
    back = from_jpeg(to_jpeg(image, 92))
    assert np.abs(back[:, 5:25].astype(int) - (200, 30, 30)).max() < 12
    with pytest.raises(ValueError, match="JPEG"):
        from_jpeg(b"")


# --- the stage, with a detector that finds the bright part of the image ---

PARAMS: dict[str, Any] = {
    "frames_per_clip": 2,
    "margin": 0.0,
    "jpeg_quality": 95,
    "fallback": "skeleton",
    "max_failed": 0.5,
}
SHARD = "S001C001"


def bright(images: list[np.ndarray]) -> list[Detections]:
    found = []
    for image in images:
        ys, xs = np.nonzero(image.mean(axis=-1) > 120)
        corners = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]] if len(xs) > 50 else []
        found.append(
            Detections(
                np.array(corners, np.float32).reshape(-1, 4), np.full(len(corners), 0.9, np.float32)
            )
        )
    return found


class Bright:
    """A detector in the stage's place: nothing to prepare."""

    fingerprint = "bright"

    def prepare(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(images)

    def detect(self, ready: Sequence[np.ndarray]) -> list[Detections]:
        return bright(list(ready))

    def batch_size(self) -> int:
        return 16


def name(subject: int) -> str:
    return f"{SHARD}P{subject:03d}R001A001"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four samples of 20 frames of 192x108: good, cut short, unreadable, without a skeleton."""
    for module in (crop_module, detections):
        monkeypatch.setattr(module, "engine_description", lambda *_: {"detector": "bright"})
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("C2VL_STORE", raising=False)
    (tmp_path / "raw").mkdir()
    rows, skeletons = [], []
    for subject in range(1, 5):
        path = tmp_path / "raw" / f"{name(subject)}_rgb.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (192, 108))
        for number in range(20):
            image = np.full((108, 192, 3), 20, np.uint8)
            image[20:90, 30 + 4 * number : 60 + 4 * number] = 240
            writer.write(image)
        writer.release()
        if subject == 2:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if subject == 3:
            path.write_bytes(b"junk")
        rows.append(
            {
                "sample": name(subject),
                "dataset": "studio",
                "video_file": path.name,
                "video_hash": hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest(),
                "video_frames": 20,
                "status": "ok",
            }
        )
        colour = np.full((18, 2, 25, 2), np.nan, np.float32)  # two frames fewer than the video
        for number in range(18):
            colour[number, 0] = actor(10 * (32 + 4 * number), 220, 10 * (58 + 4 * number), 880)
        skeletons.append(
            {
                "sample": name(subject),
                "bodies": 1,
                "file_frames": 18,
                "colour": colour,
                "tracked": np.where(np.isfinite(colour[..., 0]), 2, 0).astype(np.uint8),
                "status": "ok" if subject != 4 else "unusable",
                "reason": "" if subject != 4 else "no frame of the skeleton file holds a body",
            }
        )
    tables.write(tmp_path / "index.parquet", tables.table_of(rows, tables.schemas.index([])))
    tables.write(
        tmp_path / "skeleton" / f"{SHARD}.parquet",
        tables.table_of(skeletons, tables.schemas.SKELETON),
    )
    return tmp_path


def crop_stage(project: Path, **changes: Any) -> CropStage:
    params = CropParams(**(PARAMS | changes), detector=DetectorParams(model="nowhere"))
    stage = CropStage(params, project / "index.parquet", project / "skeleton", project / "raw")
    stage.use(Bright())
    return stage


def outcomes(stage: CropStage) -> dict[tuple[str, int], Any]:
    units = stage.units(SHARD, "f")
    usable = [unit for unit in units if unit.key is not None]
    prepared = stage.preparer()([unit.payload for unit in usable])
    ready = dict(zip([id(unit) for unit in usable], prepared, strict=True))
    made: dict[tuple[str, int], Any] = {}
    for unit in units:
        item = unit.failure or ready[id(unit)]
        row = (
            item
            if isinstance(item, Failure)
            else stage.complete([unit], [item], stage.compute([unit], [item]))[0]
        )
        made[unit.identity["sample"], unit.identity["k"]] = row
    return made


def test_the_stage_crops_the_person_of_the_frame_and_gives_reasons_for_the_rest(
    project: Path,
) -> None:
    made = outcomes(crop_stage(project))
    assert [unit.identity["frame"] for unit in crop_stage(project).units(SHARD, "f")][:2] == [5, 15]
    for k, frame in enumerate((5, 15)):
        row = made[name(1), k]
        assert abs(row["x0"] - (30 + 4 * frame)) <= 2
        assert abs(row["x1"] - (60 + 4 * frame)) <= 2
        assert (row["video_width"], row["video_height"], row["coverage"]) == (192, 108, 1.0)
        assert row["chosen"].tolist() == [0]
        crop = from_jpeg(row["crop"])
        assert crop.shape[:2] == (row["y1"] - row["y0"], row["x1"] - row["x0"])
        assert np.median(crop) > 220
    assert "crop" in made[name(2), 0]
    assert made[name(2), 1].status == "missing_frame"
    assert made[name(3), 0] == Failure("unreadable", "the video file is not readable as a video")
    assert made[name(4), 0].status == "no_skeleton"
    assert made[name(4), 0].inherited


@pytest.mark.parametrize("skeleton", ["kinect20", "coco17"])
def test_crops_follow_the_data_set_s_skeleton(project: Path, skeleton: str) -> None:
    """2D joints say who it is, by frame; without any joint it is the best-scored person."""
    layout = load_layout(skeleton)
    write_layout(project, layout)
    joints = np.zeros((18, *layout.shape), np.float32)
    for number in range(18):
        spread = np.linspace(0, 1, layout.count)
        joints[number, 0, :, 0] = (32 + 4 * number + 26 * spread - 96) / 96
        joints[number, 0, :, 1] = (22 + 66 * spread - 54) / 54
        joints[number, 0, :, 2] = 0.9
    row = {
        "sample": name(1),
        "bodies": 1,
        "frames": 18,
        "joints": joints,
        "file_frames": 0,
        "colour": np.zeros(0, np.float32),
        "tracked": np.zeros(0, np.uint8),
        "status": "ok",
        "reason": "",
    }
    table = tables.table_of([row], tables.schemas.skeleton(layout))
    tables.write(project / "skeleton" / f"{SHARD}.parquet", table)
    made = outcomes(crop_stage(project))
    for k, frame in enumerate((5, 15)):
        row = made[name(1), k]
        assert abs(row["x0"] - (30 + 4 * frame)) <= 2 and row["chosen"].tolist() == [0]
        assert row["coverage"] == 1 or (layout.three_d and np.isnan(row["coverage"]))
    assert layout.three_d == bool(np.isnan(made[name(1), 0]["coverage"]))


def test_a_video_that_changed_since_the_index_is_not_kept_under_its_old_key(project: Path) -> None:
    path = project / "raw" / f"{name(1)}_rgb.avi"
    path.write_bytes(path.read_bytes() + b"\0")
    assert outcomes(crop_stage(project))[name(1), 0].status == "changed"


def test_the_crop_key_is_of_what_is_read_and_not_of_where_it_lies(
    project: Path, tmp_path: Path
) -> None:
    keys = [unit.key for unit in crop_stage(project).units(SHARD, "f")]
    (project / "raw").rename(tmp_path / "moved")
    params = CropParams(**PARAMS, detector=DetectorParams(model="elsewhere"))
    moved = CropStage(params, project / "index.parquet", project / "skeleton", tmp_path / "moved")
    assert [unit.key for unit in moved.units(SHARD, "f")] == keys
    assert moved.description() == crop_stage(project).description()
    assert moved.description() != crop_stage(project, margin=0.2).description()
    # Another K keeps the fingerprint. Frames 5 and 15 are middles of 2 and of 6: their keys stay.
    assert crop_stage(project, frames_per_clip=6).description() == crop_stage(project).description()
    # decord's frames are wrong for some files, torchcodec's pixels may differ: they have own keys.
    usual = crop_stage(project)
    assert crop_stage(project, video_backend="opencv").description() == usual.description()
    others = [crop_stage(project, video_backend=name) for name in ("torchcodec", "decord")]
    for work in (*others, usual):
        said = work.detections.description.get("video_backend")
        assert said == work.description().get("video_backend")
    names = [work.description()["video_backend"] for work in others]
    assert names == ["torchcodec", "decord"]
    assert set(keys[:2]) < {
        unit.key for unit in crop_stage(project, frames_per_clip=6).units(SHARD, "f")
    }
    assert content_key("f", 5) != content_key("f", 15)


def test_a_video_is_opened_once_for_all_frames_though_the_detector_takes_fewer_at_once(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    class Small(Bright):
        def detect(self, ready: Sequence[np.ndarray]) -> list[Detections]:
            calls.append(len(ready))
            return super().detect(ready)

        def batch_size(self) -> int:
            return 2

    opened: list[str] = []

    def counted(path: Path, indices: Iterable[int], backend: Backend) -> Decoded:
        opened.append(path.name)
        return decode(path, indices, backend)

    monkeypatch.setattr(frames, "decode", counted)
    monkeypatch.setenv("C2VL_WORKERS", "1")
    stage = crop_stage(project, frames_per_clip=5, max_failed=1.0)
    stage.use(Small())
    run(stage, project / "crop", {})
    assert sorted(opened) == [f"{name(subject)}_rgb.avi" for subject in (1, 2, 3)]
    assert calls == [2, 2, 1, 1]  # of the second video one frame is there


def test_another_margin_cuts_anew_and_detects_nothing(project: Path) -> None:
    class Unwanted(Bright):
        def prepare(self, images: Any) -> Any:
            raise AssertionError("there is something to detect")

    first = outcomes(crop_stage(project))
    again = crop_stage(project, margin=0.2, jpeg_quality=80, fallback="drop")
    again.use(Unwanted())
    second = outcomes(again)
    for place, row in first.items():
        if not isinstance(row, Failure):
            assert np.array_equal(second[place]["boxes"], row["boxes"])
            assert second[place]["x0"] < row["x0"]
    more = crop_stage(project, frames_per_clip=3)  # frame 10 is new
    more.use(Unwanted())
    with pytest.raises(AssertionError, match="something to detect"):
        outcomes(more)


def test_a_feature_that_is_not_finite_is_a_failed_row(tmp_path: Path) -> None:
    from c2vl.prompts.embed import EmbedStage
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.prompts.engines import EncoderParams
    from c2vl.prompts.engines.encoder import TokenIds

    class Overflowing:
        def encode_texts(self, ready: object) -> np.ndarray:
            return np.array([[1, 0], [np.inf, 0], [0, np.nan]], np.float16)

    stage = EmbedStage(
        EmbedParams(max_failed=1, encoder=EncoderParams(model="any")), "language", tmp_path
    )
    stage._encoder = Overflowing()  # type: ignore[assignment]
    good, *bad = stage.compute([], [TokenIds([1], False)] * 3)
    assert (
        isinstance(good, dict)
        and [getattr(row, "status", None) for row in bad] == ["not_finite"] * 2
    )
