"""PKU-MMD: names, labels, splits, long skeleton files and the index, against published counts."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pku_text import label_text, long_joints, skeleton_text, split_text, video

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.datasets import raw_files
from c2vl.datasets.classes import published_class_names
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.index import build_index
from c2vl.datasets.pku import PkuError, VideoName, parse_video
from c2vl.datasets.pku_index import assemble
from c2vl.datasets.pku_labels import ClipBounds, Label, cut, parse_labels
from c2vl.datasets.pku_read import Reading
from c2vl.datasets.pku_scan import VideoFiles
from c2vl.datasets.pku_skeleton import LongSkeleton
from c2vl.datasets.pku_splits import parse_splits
from c2vl.datasets.skeleton_file import SkeletonError
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.actors import actors_of_slots
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.frame import Frame, read_frames
from c2vl.store import run

DETECTOR = str(
    Path(__file__).resolve().parents[2] / "checkpoints" / "tiny" / "detector"
)  # keys need its fingerprint
LABELS = (
    Path(__file__).parent / "data" / "pku2_labels.tsv"
)  # classes of every label line of part II, by video


def params(raw: Path, dataset: str = "pku2", bounds: ClipBounds = "start:end") -> DataParams:
    return DataParams(dataset=dataset, raw=raw, benchmarks=["xsub"], clip_bounds=bounds)


def packaged(name: str) -> bytes:
    return resources.files("c2vl.datasets").joinpath(name).read_bytes()


def test_names() -> None:
    assert (
        parse_video("pku2", "A13N08-M") == VideoName(13, 8, 2)
        and str(VideoName(13, 8, 2)) == "A13N08-M"
    )
    assert (
        parse_video("pku1", "0002-L") == VideoName(2, None, 1)
        and str(VideoName(364, None, 3)) == "0364-R"
    )
    for dataset, text in [
        ("pku2", "0002-L"),
        ("pku1", "A13N08-M"),
        ("pku2", "A13N08-M.txt"),
        ("pku2", "A13N08-m"),
        ("pku2", "A13N00-M"),
        ("pku2", "A00N08-M"),
        ("pku1", "0000-L"),
        ("pku1", "1000-L"),
        ("pku1", "0002-L\n"),
        ("pku2", "../A13N08-M"),
    ]:
        with pytest.raises(ValueError, match="not a video's name"):
            parse_video(dataset, text)


def test_part_two_has_the_published_numbers_of_clips(tmp_path: Path) -> None:
    videos: dict[VideoName, VideoFiles] = {}
    readings: dict[VideoName, Reading] = {}
    for line in LABELS.read_text().splitlines():
        name, actions = line.split("\t")
        text = label_text(
            [
                (int(action), 100 * number, 100 * number + 90)
                for number, action in enumerate(actions.split())
            ]
        )
        clips = cut(parse_labels(text), 1000, "start:end")
        videos[parse_video("pku2", name)] = VideoFiles()
        readings[parse_video("pku2", name)] = Reading(
            "a.txt", 1000, tuple((clip, "00") for clip in clips)
        )
    split = (
        parse_splits("pku2", packaged("pku2_cross_subject.txt")),
        parse_splits("pku2", packaged("pku2_cross_view.txt")),
    )
    index = assemble(
        params(tmp_path),
        videos,
        readings,
        {},
        dict(zip(("xsub", "xview"), split, strict=True)),
        published_class_names("pku2", tmp_path),
    )
    assert (len(videos), index.counts["samples"], index.counts["usable"]) == (1009, 6952, 6952)
    assert index.counts["splits"]["xsub"] == {"train": 5339, "test": 1613}
    rows = index.table.to_pylist()
    assert len({row["sample"] for row in rows}) == 6952 and "A013N008V002C048L005" in {
        row["sample"] for row in rows
    }
    assert len({row["label"] for row in rows}) == 41 and len(index.classes) == 51
    assert len({row["subject"] for row in rows}) == 13
    # Independently of the lists: test performers are 2, 3 and 7; the left view is the test view.
    assert all((row["xsub"] == "test") == (row["subject"] in (2, 3, 7)) for row in rows)
    assert all((row["xview"] == "test") == (row["camera"] == 1) for row in rows)
    named = {row["sample"]: row for row in rows}["A013N008V002C048L005"]
    assert (
        named["setup"],
        named["subject"],
        named["camera"],
        named["action"],
        named["repetition"],
    ) == (13, 8, 2, 48, 5)
    assert index.classes[named["label"]] == "wear jacket"


def test_the_distributed_split_files_are_read_whole() -> None:
    subject, view = (
        parse_splits("pku2", packaged(f"pku2_cross_{kind}.txt")) for kind in ("subject", "view")
    )
    assert (len(subject.train), len(subject.test), len(view.train), len(view.test)) == (
        775,
        234,
        671,
        338,
    )
    assert subject.train | subject.test == view.train | view.test
    assert subject.repairs == view.repairs == ("read the heading 'Validataion' as validation",)


@pytest.mark.parametrize(
    ("data", "repairs"),
    [
        (b"Training videos:\n0001-L, 0002-L\nTesting videos:\n0003-L\n", 0),
        (b"Training videos:\r\n0001-L,0002-L,\r\n\r\nValidation videos:\r\n 0003-L ,\r\n", 0),
        (b"\xef\xbb\xbftrain\n'0001-L';0002-L.txt\n\ntest\n0003-L 0003-L", 0),
        (b"Trainig videos: \n0001-L, 002-L, 0002-L,, x\nValidataion videos: \n0003-L", 3),
    ],
)
def test_splits_with_the_usual_slips(data: bytes, repairs: int) -> None:
    splits = parse_splits("pku1", data)
    assert sorted(map(str, splits.train)) == ["0001-L", "0002-L"] and sorted(
        map(str, splits.test)
    ) == ["0003-L"]
    assert len(splits.repairs) == repairs


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00\x01", "not text"),
        (b"Training videos:\n0001-L\n", "no validation or test videos"),
        (b"0001-L\nTraining videos:\n", "before its first heading"),
        (b"Training videos:\n0001-L\nValidation videos:\n0001-L\n", "among both"),
        (b"Fruit:\n0001-L\n", "neither training nor"),
    ],
)
def test_a_split_file_of_no_use_is_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(PkuError, match=reason):
        parse_splits("pku1", data)


def test_labels_are_read_line_by_line() -> None:
    assert parse_labels(b" 1, 2,30 ,1\r\n\n51,40,50.0,2") == [
        Label(1, 1, 2, 30),
        Label(2, 51, 40, 50),
    ]
    for line in (b"1,2,30", b"1,2,30,", b"1,2,30,0.98", b"1,2,30,1,", b"1,2,30,9.8E-1 , "):
        assert parse_labels(line) == [Label(1, 1, 2, 30)]
        assert parse_labels(b"\xef\xbb\xbf" + line) == [Label(1, 1, 2, 30)]
    for bad in (
        b"1,2,30,sure",
        b"1,2,30,1,,",
        b"1,2,",
        b"1,2",
        b"1;2;3;4",
        b"a,2,3,1",
        b"1,2,3,4,5",
        b"1,2,,1",
        b"1,2.5,3,1",
        b"nan,2,3,1",
        b"1,2,99999999999,1",
    ):
        (label,) = parse_labels(bad)
        assert label.action is None and "line 1 of the label file is not" in label.problem
    for bad in (b"", b"\n \n", b"\xff\xfe", b"1,2,3,1\0"):
        with pytest.raises(PkuError, match=r"empty|not text"):
            parse_labels(bad)
    with pytest.raises(PkuError, match="1,000 lines"):
        parse_labels(b"1,2,3,1\n" * 1000)


@pytest.mark.parametrize(
    ("label", "bounds", "frames", "kind"),
    [
        ((5, 10, 20), "start:end", (10, 20), ""),
        ((5, 10, 20), "start-1:end", (9, 20), ""),
        ((5, 0, 20), "start:end", (0, 20), ""),
        ((5, 0, 20), "start-1:end", None, "clip out of range"),
        ((5, -4, 20), "start:end", None, "clip out of range"),
        ((5, 90, 120), "start:end", (90, 100), ""),
        ((5, 100, 120), "start:end", None, "clip out of range"),
        ((5, 100, 120), "start-1:end", (99, 100), ""),
        ((5, 20, 20), "start:end", None, "clip without frames"),
        ((5, 20, 20), "start-1:end", (19, 20), ""),
        ((5, 30, 20), "start:end", None, "clip without frames"),
        ((0, 10, 20), "start:end", None, "label out of range"),
        ((52, 10, 20), "start:end", None, "label out of range"),
    ],
)
def test_a_clip_is_a_slice_of_the_labels_numbers_or_has_a_reason(
    label: tuple[int, int, int], bounds: ClipBounds, frames: tuple[int, int] | None, kind: str
) -> None:
    (clip,) = cut(parse_labels(label_text([label])), 100, bounds)
    assert (clip.begin, clip.stop) == (frames or (None, None)) and clip.kind == kind
    assert bool(clip.reason) == bool(kind or label[2] > 100)
    if frames:  # what the public scripts do with a NumPy array of 100 lines
        start = label[1] - (bounds == "start-1:end")
        assert list(range(100))[start : label[2]] == list(range(*frames))


def test_overlapping_clips_are_kept_and_say_so() -> None:
    clips = cut(
        parse_labels(label_text([(1, 10, 30), (2, 20, 40), (3, 40, 50), (99, 0, 60)])),
        100,
        "start:end",
    )
    assert [clip.kind for clip in clips] == ["", "", "", "label out of range"]
    assert [clip.reason for clip in clips[:3]] == ["", "overlaps the clip of line 1", ""]


def test_a_long_file_is_cut_as_the_plain_reader_cuts_it() -> None:
    joints = long_joints(0, 50, second=(10, 30))
    data = skeleton_text(joints)
    plain = np.array(
        [[float(number) for number in line.split()] for line in data.decode().splitlines()]
    )
    for text in (
        data,
        data.replace(b"\n", b"\r\n"),
        data.replace(b" ", b"  "),
        data.rstrip(),
        data + b"\n \n",
    ):
        file = LongSkeleton(text)
        assert file.frames == 50
        np.testing.assert_array_equal(
            file.joints(5, 25), plain[5:25].reshape(20, 2, 25, 3).astype(np.float32)
        )
        np.testing.assert_array_equal(file.joints(0, 50), joints)
    assert LongSkeleton(data).digest(5, 25) == LongSkeleton(
        data[: data.rindex(b"\n", 0, -1)]
    ).digest(5, 25)
    assert LongSkeleton(data).digest(5, 25) != LongSkeleton(data).digest(5, 26)


def test_damage_in_a_long_file_is_a_reason_of_the_clips_that_it_touches() -> None:
    lines = skeleton_text(long_joints(0, 20)).splitlines()
    for bad in (
        b"",
        b"1 2 3",
        b" ".join(lines[7].split()[:149]),
        lines[7] + b" 1",
        b" x" + lines[7][9:],
        b"\xff\x00" * 300,
    ):
        file = LongSkeleton(b"\n".join([*lines[:7], bad, *lines[8:]]))
        assert file.frames == 20 and len(file.joints(8, 20)) == 12
        with pytest.raises(SkeletonError, match=r"line 8|lines 6 to 10"):
            file.joints(5, 10)
    for number in (b"nan", b"inf", b"-inf", b"1e39"):
        file = LongSkeleton(
            b"\n".join([*lines[:7], b" ".join([number, *lines[7].split()[1:]]), *lines[8:]])
        )
        with pytest.raises(SkeletonError, match="NaN or infinite"):
            file.joints(5, 10)
    for data in (b"", b" \n\n", b"1,2,3,1\n", bytes(range(256)) * 20, b"1 2 3\n" * 20):
        with pytest.raises(SkeletonError, match=r"empty|does not hold 150 numbers"):
            LongSkeleton(data)


def test_two_slots_become_actors_as_they_are() -> None:
    joints = long_joints(1, 20, second=(5, 9))
    joints[3] = 0  # nobody
    actors = actors_of_slots(joints)
    kept = np.delete(joints, 3, axis=0)
    origin = kept[0, 0, 1]
    np.testing.assert_array_equal(actors.joints[:, 0], kept[:, 0] - origin)
    np.testing.assert_array_equal(actors.joints[4:8, 1], kept[4:8, 1] - origin)
    assert not actors.joints[:4, 1].any() and not actors.joints[8:, 1].any()
    assert (actors.bodies, actors.log.frames_dropped, actors.log.bodies_seen) == (2, 1, 2)
    assert np.isnan(actors.colour).all() and actors.colour.shape == (20, 2, 25, 2)
    assert (actors.tracked[:, 0] == 2).all(axis=1).tolist() == [frame != 3 for frame in range(20)]
    swapped = joints[:, ::-1].copy()
    swapped[:, 0] = 0
    alone = actors_of_slots(swapped)
    assert (
        alone.bodies == 1
        and alone.joints[:, 0].any()
        and not alone.joints[:, 1].any()
        and "second" in alone.log.note
    )
    with pytest.raises(SkeletonError, match="no frame of the clip holds a body"):
        actors_of_slots(np.zeros((5, 2, 25, 3), np.float32))
    with pytest.raises(SkeletonError, match="one point"):
        actors_of_slots(np.full((5, 2, 25, 3), 0.5, np.float32))


TRAIN, TEST = "A01N01-L", "A01N02-L"
CLIPS = [(48, 5, 35), (1, 30, 60), (8, 70, 100)]


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos with labels, skeletons and pictures."""
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    monkeypatch.setenv("C2VL_PREPARE", "threads")  # processes take seconds to start
    monkeypatch.chdir(tmp_path)
    for folder in ("Skeleton", "Label", "RGB_VIDEO"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for seed, name in enumerate((TRAIN, TEST)):
        (tmp_path / "raw/Skeleton" / f"{name}.txt").write_bytes(
            skeleton_text(long_joints(seed, 110, second=(20, 50)))
        )
        (tmp_path / "raw/Label" / f"{name}.txt").write_bytes(label_text(CLIPS))
        video(tmp_path / "raw/RGB_VIDEO" / f"{name}.avi", 110)
    return tmp_path / "raw"


def rows(raw: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return {row["sample"]: row for row in tables.rows_of(build_index(params(raw, **changes)).table)}


def denoised(raw: Path, root: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    tables.write(root / "index.parquet", build_index(params(raw)).table)
    notes: dict[str, Any] = {}
    stage = SkeletonStage(
        SkeletonParams(rules="ctrgcn", max_failed=0.5), root / "index.parquet", raw
    )
    run.run(stage, root / "skeleton", notes)
    return {row["sample"]: row for row in tables.rows_of(tables.read(root / "skeleton"))}, notes


def test_clips_go_through_index_skeleton_and_crop(raw: Path, tmp_path: Path) -> None:
    found = rows(raw)
    assert list(found) == sorted(
        f"A001N00{performer}V001C{action:03}L{line:03}"
        for performer in (1, 2)
        for line, (action, _, _) in enumerate(CLIPS, start=1)
    )
    row = found["A001N001V001C048L001"]
    assert (row["clip_begin"], row["clip_stop"], row["skeleton_frames"], row["video_frames"]) == (
        5,
        35,
        110,
        110,
    )
    assert (row["skeleton_file"], row["video_file"]) == (
        f"Skeleton/{TRAIN}.txt",
        f"RGB_VIDEO/{TRAIN}.avi",
    )
    assert (row["xsub"], row["xview"], row["label"], row["status"], row["reason"]) == (
        "train",
        "test",
        47,
        "ok",
        "",
    )
    assert found["A001N001V001C001L002"]["reason"] == "overlaps the clip of line 1"
    assert found["A001N002V001C048L001"]["xsub"] == "test"
    made, notes = denoised(raw, tmp_path)
    assert (notes["computed"], notes["failed"]) == (6, 0)
    assert sorted(path.stem for path in (tmp_path / "skeleton").glob("*.parquet")) == [
        "N001V001",
        "N002V001",
    ]
    truth = actors_of_slots(long_joints(0, 110, second=(20, 50))[5:35])
    one = made["A001N001V001C048L001"]
    np.testing.assert_array_equal(one["joints"].reshape(truth.joints.shape), truth.joints)
    assert (one["frames"], one["bodies"], one["file_frames"]) == (30, 2, 30)
    crop = CropParams(
        frames_per_clip=3,
        margin=0.1,
        jpeg_quality=90,
        fallback="frame",
        max_failed=0,
        detector=DetectorParams(model=DETECTOR),
    )
    units = CropStage(crop, tmp_path / "index.parquet", tmp_path / "skeleton", raw).units(
        "N001V001", "f"
    )
    frames = {
        sample: [unit.payload.index for unit in units if unit.identity["sample"] == sample]
        for sample in found
    }
    assert frames["A001N001V001C048L001"] == [10, 20, 30] and frames["A001N001V001C008L003"] == [
        75,
        85,
        95,
    ]
    images = read_frames([unit.payload for unit in units])
    for unit, image in zip(units, images, strict=True):
        bright = np.flatnonzero(image[27].mean(axis=1) > 140)
        assert abs(bright[0] - unit.payload.index % 60) <= 2
    assert isinstance(units[0].payload, Frame) and np.isnan(units[0].payload.colour).all()


def test_a_change_recomputes_the_clips_whose_lines_it_touches(raw: Path, tmp_path: Path) -> None:
    denoised(raw, tmp_path)
    path = raw / "Skeleton" / f"{TRAIN}.txt"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[85] = lines[86]
    path.write_bytes(b"".join(lines))
    _, notes = denoised(raw, tmp_path)
    assert (notes["computed"], notes["reused"]) == (1, 5)
    (raw / "Label" / f"{TRAIN}.txt").write_bytes(label_text([(48, 5, 36), *CLIPS[1:]]))
    _, notes = denoised(raw, tmp_path)
    assert (notes["computed"], notes["reused"]) == (1, 5)
    raw.rename(tmp_path / "moved")
    _, notes = denoised(tmp_path / "moved", tmp_path)
    assert (notes["computed"], notes["reused"]) == (0, 6)


def test_a_zip_archive_is_the_folder_it_was_made_of(raw: Path, tmp_path: Path) -> None:
    denoised(raw, tmp_path)
    unpacked = rows(raw)
    (tmp_path / "zips").mkdir()
    shutil.make_archive(str(tmp_path / "zips" / "PKUMMD"), "zip", raw)
    zipped = rows(tmp_path / "zips")
    assert zipped["A001N001V001C048L001"]["skeleton_file"] == f"PKUMMD.zip!Skeleton/{TRAIN}.txt"
    for sample, row in unpacked.items():
        assert zipped[sample] == row | {
            name: f"PKUMMD.zip!{row[name]}" for name in ("skeleton_file", "video_file")
        }
    _, notes = denoised(tmp_path / "zips", tmp_path)
    assert (notes["computed"], notes["reused"]) == (0, 6)


def test_a_long_file_is_read_once_for_all_its_clips(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.write(tmp_path / "index.parquet", build_index(params(raw)).table)
    stage = SkeletonStage(
        SkeletonParams(rules="ctrgcn", max_failed=0), tmp_path / "index.parquet", raw
    )
    read: Counter[str] = Counter()
    original = raw_files.read
    monkeypatch.setattr(
        raw_files,
        "read",
        lambda folder, place: read.update([place]) or original(folder, place),
    )
    units = [unit for shard in stage.shards() for unit in stage.units(shard, "f")]
    prepare = stage.preparer()
    outcomes = [prepare([unit.payload])[0] for unit in units]  # even one at a time
    assert len(outcomes) == 6 and all("joints" in outcome for outcome in outcomes)
    assert dict(read) == {f"Skeleton/{name}.txt": 1 for name in (TRAIN, TEST)}


def test_each_damage_of_a_video_is_a_row_with_a_reason(raw: Path) -> None:
    skeletons, labels = raw / "Skeleton", raw / "Label"
    good = skeleton_text(long_joints(5, 60))
    one = label_text([(3, 1, 20)])
    cases = {
        "A02N01-L": (good, None, "there is no label file"),
        "A03N01-L": (None, one, "there is no skeleton file"),
        "A04N01-L": (good, b"", "the label file is empty"),
        "A05N01-L": (b"", one, "the skeleton file is empty"),
        "A06N01-L": (b"\0" * 500, one, "does not hold 150 numbers"),
        "A07N01-L": (good, b"hello,1,1,1\n", "line 1 of the label file is not"),
        "A08N01-L": (good, label_text([(77, 1, 20)]), "label 77 is not one of 1 to 51"),
        "A09N01-L": (good, b"\xff\xfe,,,", "the label file is not text"),
        "A10N01-L": (good[:40], one, "does not hold 150 numbers"),
    }
    for name, (skeleton, label, _) in cases.items():
        if skeleton is not None:
            (skeletons / f"{name}.txt").write_bytes(skeleton)
        if label is not None:
            (labels / f"{name}.txt").write_bytes(label)
    (raw / "copy").mkdir()
    (raw / "copy" / f"{TRAIN}.txt").write_bytes(
        (labels / f"{TRAIN}.txt").read_bytes()
    )  # a copy is harmless
    (raw / "copy" / f"{TEST}.txt").write_bytes(good)  # another skeleton is not
    (raw / "copy" / "A01N1-L.txt").write_bytes(good)
    index = build_index(params(raw))
    found = {row["sample"]: row for row in tables.rows_of(index.table)}
    for name, (_, _, reason) in cases.items():
        number = int(name[1:3])
        (row,) = (row for sample, row in found.items() if row["setup"] == number)
        assert row["status"] == "excluded" and reason in row["reason"] and row["label"] is None, row
    assert [row["status"] for sample, row in found.items() if sample.startswith("A001N001")] == [
        "ok"
    ] * 3
    reasons = [row["reason"] for sample, row in found.items() if sample.startswith("A001N002")]
    assert len(reasons) == 3 and all(
        "Skeleton/A01N02-L.txt and copy/" in text or "copy/" in text for text in reasons
    )
    assert (
        found["A008N001V001C077L001"]["action"] == 77
        and found["A007N001V001C000L001"]["action"] is None
    )
    assert index.counts["ignored"]["not_a_sample_name"] == 1
    assert index.counts["usable_with_a_remark"] == {"overlaps": 1}
    assert any("videos of its lists are not here" in note for note in index.counts["notes"])


def test_part_one_needs_its_own_split_files(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "0002-L.skeleton").write_bytes(skeleton_text(long_joints(0, 40)))
    (folder / "0002-L.label").write_bytes(label_text([(12, 3, 30)]))
    (folder / "0003-L.txt").write_bytes(skeleton_text(long_joints(1, 40)))
    (folder / "0003-L.label").write_bytes(label_text([(12, 3, 30)]))
    with pytest.raises(
        UserError, match=r"holds no cross-subject\.txt; put the split files of PKU-MMD part I there"
    ):
        build_index(params(folder, "pku1"))
    (folder / "cross-subject.txt").write_bytes(split_text(["0002-L"], ["0002-R"]))
    found = rows(folder, dataset="pku1")
    assert list(found) == ["F002V001C012L001", "F003V001C012L001"]
    assert (
        found["F002V001C012L001"]["subject"] is None
        and found["F002V001C012L001"]["xsub"] == "train"
    )
    assert (
        found["F003V001C012L001"]["xsub"] == ""
        and "in no list of xsub" in found["F003V001C012L001"]["reason"]
    )
    assert {row["xview"] for row in found.values()} == {""}
    with pytest.raises(UserError, match=r"holds no file such as A01N01-L\.txt"):
        build_index(params(folder, "pku2"))
    (folder / "v2").mkdir()
    (folder / "v2" / "cross_subject_v2.txt").write_bytes(
        packaged("pku2_cross_subject.txt")
    )  # part II's
    assert rows(folder, dataset="pku1") == found
    (folder / "v2" / "cross_subject.txt").write_bytes(split_text(["0003-L"], ["0002-L"]))
    with pytest.raises(UserError, match="differ; leave the one that holds for pku1"):
        build_index(params(folder, "pku1"))
    (folder / "v2" / "cross_subject.txt").unlink()
    (folder / "cross-subject.txt").write_bytes(b"\xff\xff")
    with pytest.raises(UserError, match=r"cross-subject\.txt: the split file is not text"):
        build_index(params(folder, "pku1"))


def test_both_conventions_differ_by_the_first_frame(raw: Path) -> None:
    usual, other = rows(raw), rows(raw, bounds="start-1:end")
    for sample, row in usual.items():
        assert (other[sample]["clip_begin"], other[sample]["clip_stop"]) == (
            row["clip_begin"] - 1,
            row["clip_stop"],
        )


def mutated(random: Random, data: bytes) -> bytes:
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(data) + 1)
        new = random.choice(
            [
                random.randbytes(random.randrange(8)),
                b"\n",
                b",",
                b" ",
                b"-",
                b"9" * 12,
                b"nan",
                b"\r",
                b"\0",
            ]
        )
        end = random.choice([at, at + len(new), at + random.randrange(200), data.find(b"\n", at)])
        data = data[:at] + new + data[max(at, end) :]
    return data


@pytest.mark.slow
def test_ten_thousand_mutated_files_give_a_result_or_the_documented_error() -> None:
    random = Random(0)
    skeleton = skeleton_text(long_joints(0, 3, second=(1, 2)))
    labels = label_text(CLIPS)
    split = split_text([TRAIN, "A02N01-M"], [TEST, "A03N02-R"])
    began = time.monotonic()
    for _ in range(4000):
        data = mutated(random, skeleton)
        try:
            file = LongSkeleton(data)
            joints = file.joints(0, file.frames)
            assert joints.shape == (file.frames, 2, 25, 3) and np.isfinite(joints).all()
            assert np.isfinite(actors_of_slots(joints).joints).all()
        except SkeletonError as error:
            assert str(error).isprintable()
    for _ in range(4000):
        data = mutated(random, labels)
        try:
            for clip in cut(parse_labels(data), 90, random.choice(["start:end", "start-1:end"])):
                assert clip.reason.isprintable() and bool(clip.kind) == (clip.begin is None)
                if clip.begin is not None and clip.stop is not None:
                    assert 0 <= clip.begin < clip.stop <= 90 and 1 <= (clip.action or 0) <= 51
                tables.shard_of(VideoName(1, 1, 1).clip(clip.action, clip.line))
        except PkuError as error:
            assert str(error).isprintable()
    for _ in range(4000):
        try:
            splits = parse_splits("pku2", mutated(random, split))
            assert splits.train and splits.test and not splits.train & splits.test
            assert all(repair.isprintable() for repair in splits.repairs)
        except PkuError as error:
            assert str(error).isprintable()
    assert time.monotonic() - began < 120  # 12,000 cases; none takes more than an instant
