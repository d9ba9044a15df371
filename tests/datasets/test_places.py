"""Files in folders and in zip archives are the same; bad archives and names give a reason."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
from ntu_text import record, text

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.temporary_files import remove_abandoned
from c2vl.datasets import raw_files as places
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.index import build_index
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.skeleton_stage import SkeletonStage
from c2vl.prompts.crop import CropStage
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.frame import Frame, read_frames
from c2vl.store import run

NAMES = [f"S001C00{camera}P00{subject}R001A001" for camera in (1, 2) for subject in (1, 2)]

DETECTOR = str(
    Path(__file__).resolve().parents[2] / "checkpoints" / "tiny" / "detector"
)  # keys need its fingerprint


def skeleton(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    return text(15, [record(random, frame, "7") for frame in range(15)])


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 15, (96, 54))
    for value in range(15):
        writer.write(np.random.default_rng(value).integers(0, 255, (54, 96, 3)).astype(np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.fixture
def raw(tmp_path: Path, avi: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four samples, unpacked; no two files alike."""
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    monkeypatch.setenv("C2VL_PREPARE", "threads")  # processes take seconds to start
    folder = tmp_path / "raw"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / f"{name}.skeleton").write_bytes(skeleton(number))
        (folder / f"{name}_rgb.avi").write_bytes(avi + bytes([number]))
    (folder / "classes.txt").write_text("drink\n")
    return folder


def packed(raw: Path, to: Path, suffix: str = "") -> None:
    """The skeletons in one archive and the videos in another, nested as NTU's are."""
    to.mkdir()
    for archive, ending in (
        ("nturgbd_skeletons_s001_to_s017.zip", ".skeleton"),
        ("nturgbd_rgb_s001.ZIP", "_rgb.avi"),
    ):
        with zipfile.ZipFile(to / archive, "w", zipfile.ZIP_DEFLATED) as file:
            for name in NAMES:
                file.write(raw / f"{name}{ending}", f"nturgb+d/{name}{ending}")
    (to / "classes.txt").write_text("drink\n")


def params(raw: Path) -> DataParams:
    return DataParams(dataset="studio", raw=raw, benchmarks=["xsub"], train_subjects=[1])


def rows(raw: Path) -> dict[str, dict[str, Any]]:
    return {row["sample"]: row for row in tables.rows_of(build_index(params(raw)).table)}


def test_an_archive_is_indexed_as_the_folder_it_was_made_of(raw: Path, tmp_path: Path) -> None:
    packed(raw, tmp_path / "zips")
    unpacked, zipped = rows(raw), rows(tmp_path / "zips")
    assert (
        zipped[NAMES[0]]["skeleton_file"]
        == f"nturgbd_skeletons_s001_to_s017.zip!nturgb+d/{NAMES[0]}.skeleton"
    )
    assert zipped[NAMES[0]]["video_file"] == f"nturgbd_rgb_s001.ZIP!nturgb+d/{NAMES[0]}_rgb.avi"
    places_of = {"skeleton_file", "video_file"}
    for name in NAMES:
        assert unpacked[name]["status"] == "ok" and unpacked[name]["video_frames"] == 15
        assert {key: zipped[name][key] for key in zipped[name].keys() - places_of} == {
            key: unpacked[name][key] for key in unpacked[name].keys() - places_of
        }
    packed(raw, raw / "also")  # both: the copies are one, and the unpacked one is read
    assert rows(raw) == unpacked


def crop_params() -> CropParams:
    return CropParams(
        frames_per_clip=2,
        margin=0.1,
        jpeg_quality=90,
        fallback="frame",
        max_failed=0,
        detector=DetectorParams(model=DETECTOR),
    )


def stages(raw: Path, root: Path) -> tuple[dict[str, Any], list[bytes | None], list[Any]]:
    """Index and skeleton as the stages run them: (notes, keys of frames to crop, images)."""
    tables.write(root / "index.parquet", build_index(params(raw)).table)
    notes: dict[str, Any] = {}
    skeletons = SkeletonStage(
        SkeletonParams(rules="ctrgcn", max_failed=0), root / "index.parquet", raw
    )
    run.run(skeletons, root / "skeleton", notes)
    stage = CropStage(crop_params(), root / "index.parquet", root / "skeleton", raw)
    units = [unit for shard in stage.shards() for unit in stage.units(shard, "f")]
    return notes, [unit.key for unit in units], read_frames([unit.payload for unit in units])


def test_an_archive_packed_on_windows_is_read(raw: Path, tmp_path: Path) -> None:
    content = archive(
        [(f"nturgb+d\\{name}.skeleton", (raw / f"{name}.skeleton").read_bytes()) for name in NAMES]
    )
    (tmp_path / "zips").mkdir()
    (tmp_path / "zips" / "classes.txt").write_text("drink\n")
    (tmp_path / "zips" / "s.zip").write_bytes(content)
    assert [row["skeleton_hash"] for row in rows(tmp_path / "zips").values()] == [
        row["skeleton_hash"] for row in rows(raw).values()
    ]


def test_unpacking_recomputes_nothing(raw: Path, tmp_path: Path) -> None:
    packed(raw, tmp_path / "zips")
    first, keys, images = stages(tmp_path / "zips", tmp_path / "a")
    then, same_keys, same_images = stages(raw, tmp_path / "b")
    assert (first["computed"], first["failed"], then["computed"], then["reused"]) == (4, 0, 0, 4)
    assert keys == same_keys and None not in keys and len(set(keys)) == 8
    assert all(np.array_equal(one, other) for one, other in zip(images, same_images, strict=True))
    shards = [sorted((tmp_path / side / "skeleton").glob("*.parquet")) for side in "ab"]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]


def archive(entries: list[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return made.getvalue()


def flagged_as_encrypted(data: bytes) -> bytes:
    """Bit 0 of the flags, in the one member's local header and in the directory."""
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_bad_member_is_a_row_with_a_reason(tmp_path: Path) -> None:
    good, name = skeleton(0), NAMES[0]
    whole = archive([(f"{name}.skeleton", good)])
    damaged = bytearray(whole)
    damaged[200] ^= 0xFF
    cases = {
        "encrypted": flagged_as_encrypted(whole),
        "damaged in the archive": bytes(damaged),
        "absurdly large": archive([(f"{name}.skeleton", bytes(places.MOST_TEXT + 1))]),
        "leads out of the folder": archive([(f"../../{name}.skeleton", good)]),
        "two files of that name": archive(
            [(f"{name}.skeleton", good), (f"{name}.skeleton", good + b"\n")]
        ),
        "the skeleton file is empty": archive([(f"{name}.skeleton", b"")]),
    }
    for number, (reason, data) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "classes.txt").write_text("drink\n")
        (folder / f"{NAMES[1]}.skeleton").write_bytes(good)
        (folder / "s.zip").write_bytes(data)
        found = rows(folder)
        assert found[NAMES[1]]["status"] == "ok", reason
        assert found[name]["status"] == "excluded" and reason in found[name]["reason"], found[name][
            "reason"
        ]
    (tmp_path / "0" / "s.zip").write_bytes(
        archive([("readme.skeleton", good), (f"/etc/{name}.skeleton", good)])
    )
    index = build_index(params(tmp_path / "0"))
    assert index.counts["ignored"]["not_a_sample_name"] == 1 and index.counts["excluded"] == {
        "unreadable skeleton": 1
    }


@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_an_archive_that_cannot_be_listed_stops_the_index_with_its_name(
    tmp_path: Path, damage: str
) -> None:
    whole = archive([(f"{name}.skeleton", skeleton(0)) for name in NAMES])
    (tmp_path / "classes.txt").write_text("drink\n")
    (tmp_path / f"{NAMES[0]}.skeleton").write_bytes(skeleton(0))
    (tmp_path / "half.zip").write_bytes(
        {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}[damage]
    )
    with pytest.raises(
        UserError, match=r"half\.zip: it is not a readable zip archive.*download it again"
    ):
        build_index(params(tmp_path))


@pytest.mark.parametrize(
    "place",
    [
        "../x.skeleton",
        "/etc/passwd",
        "a/../../x",
        "a\\b",
        "C:/x",
        "",
        "s.zip!../x",
        "s.zip!/x",
        "s.zip!..\\x",
    ],
)
def test_a_place_from_a_table_does_not_lead_out_of_the_folder(tmp_path: Path, place: str) -> None:
    with pytest.raises(PlaceError, match="leads out of the folder"):
        places.read(tmp_path, place)


def test_what_vanished_after_the_index_is_a_reason(tmp_path: Path, avi: bytes) -> None:
    for place in ("gone.skeleton", "gone.zip!a.skeleton"):
        with pytest.raises(PlaceError, match="cannot be read"):
            places.read(tmp_path, place)
    (tmp_path / "s.zip").write_bytes(
        archive([("v_rgb.avi", avi), ("half_rgb.avi", avi[: len(avi) // 2])])
    )
    with pytest.raises(PlaceError, match="no longer holds"):
        places.read(tmp_path, "s.zip!b.skeleton")
    nothing = np.full((2, 25, 2), np.nan, np.float32), np.zeros((2, 25), np.uint8), (1920, 1080), 1
    content = hashlib.blake2b(avi, digest_size=16).hexdigest()
    outcomes = read_frames(
        [
            Frame(tmp_path, "s.zip!v_rgb.avi", content, 3, *nothing),
            Frame(tmp_path, "s.zip!v_rgb.avi", content, 99, *nothing),
            Frame(tmp_path, "s.zip!half_rgb.avi", content, 3, *nothing),
            Frame(tmp_path, "gone.avi", content, 3, *nothing),
        ]
    )
    assert outcomes[0].shape == (54, 96, 3)
    assert [outcome.status for outcome in outcomes[1:]] == [
        "missing_frame",
        "changed",
        "unreadable",
    ]


def test_an_archives_directory_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.zip").write_bytes(
        archive([(f"{number}.skeleton", b"x") for number in range(50)])
    )
    opened = []
    original = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or original(path))
    assert all(places.read(tmp_path, f"s.zip!{number}.skeleton") == b"x" for number in range(50))
    assert len(opened) == 1


def two_data_sets(
    raw: Path, root: Path, solo: str | None
) -> tuple[list[int], list[list[bytes | None]], list[list[Path]]]:
    """Index, skeleton and crop keys of one folder, as NTU60, then as NTU120, with one store."""
    computed, keys, shards = [], [], []
    for dataset in ("ntu60", "ntu120"):
        out = root / dataset
        data = DataParams(dataset=dataset, raw=raw, benchmarks=["xsub"])
        tables.write(out / "index.parquet", build_index(data).table)
        notes: dict[str, Any] = {}
        params = SkeletonParams.model_validate({"rules": "ctrgcn", "solo": solo, "max_failed": 0})
        run.run(SkeletonStage(params, out / "index.parquet", raw), out / "skeleton", notes)
        computed.append(notes["computed"])
        stage = CropStage(crop_params(), out / "index.parquet", out / "skeleton", raw)
        keys.append([unit.key for shard in stage.shards() for unit in stage.units(shard, "f")])
        shards.append(sorted((out / "skeleton").glob("*.parquet")))
    return computed, keys, shards


def test_ntu60_inside_ntu120_computes_nothing_again(raw: Path, tmp_path: Path) -> None:
    """Although NTU120's published files repeat the only body in the second slot."""
    random = np.random.default_rng(9)
    two = [record(random, frame, body) for frame in range(15) for body in ("7", "8")]
    (raw / f"{NAMES[1]}.skeleton").write_bytes(text(15, two))
    computed, keys, shards = two_data_sets(raw, tmp_path / "published", None)
    assert computed == [4, 0]
    assert (
        keys[0] == keys[1] and None not in keys[0]
    )  # so captions and features, which hang on the crops, are shared too
    for side, solo in zip(shards, ("zeros", "copy"), strict=True):
        rows = {row["sample"]: row for path in side for row in tables.rows_of(tables.read(path))}
        for name in NAMES:
            truth = denoise(parse_skeleton((raw / f"{name}.skeleton").read_bytes()), "ctrgcn", solo)  # type: ignore[arg-type]
            assert truth.bodies == 1 + (name == NAMES[1])
            np.testing.assert_array_equal(
                rows[name]["joints"].reshape(truth.joints.shape), truth.joints
            )
    computed, keys, again = two_data_sets(raw, tmp_path / "same", "zeros")
    assert computed == [0, 0]
    assert [[path.read_bytes() for path in side] for side in again] == [
        [path.read_bytes() for path in shards[0]]
    ] * 2


@pytest.mark.slow
def test_mutated_archives_give_bytes_or_the_documented_error(tmp_path: Path) -> None:
    random = Random(0)
    whole = archive([("a/1.skeleton", b"one " * 40), ("a/2.skeleton", b"two"), ("b.txt", b"")])
    for number in range(2000):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(data))
            data[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        path = tmp_path / f"{number}.zip"
        path.write_bytes(bytes(data))
        began = time.monotonic()
        try:
            for member in places.members(path):
                try:
                    assert len(places.read(tmp_path, f"{path.name}!{member}")) <= places.MOST_TEXT
                except PlaceError as error:
                    assert str(error)
        except PlaceError as error:
            assert str(error)
        assert time.monotonic() - began < 5
        path.unlink()


def test_a_pipe_under_a_samples_name_is_a_reason_and_no_endless_wait(tmp_path: Path) -> None:
    pipe = tmp_path / f"{NAMES[0]}.skeleton"
    os.mkfifo(pipe)
    for read in (
        places.read,
        lambda *at: places.head(*at, 10),
        lambda *at: places.as_file(*at).__enter__(),
    ):
        with pytest.raises(PlaceError, match="not a regular file"):
            read(tmp_path, pipe.name)


def test_hidden_and_system_files_are_not_raw_files(raw: Path, tmp_path: Path) -> None:
    packed(raw, tmp_path / "zips")
    plain, zipped = rows(raw), rows(tmp_path / "zips")
    junk = b"\0\5\x16\7junk"
    for folder in (raw, tmp_path / "zips"):
        for name in ("__MACOSX", ".Trash", "@eaDir", "lost+found"):
            (folder / name).mkdir()
            (folder / name / f"{NAMES[0]}.skeleton").write_bytes(junk)
        for name in (f"._{NAMES[0]}.skeleton", f"._{NAMES[0]}_rgb.avi", "._all.zip"):
            (folder / name).write_bytes(junk)
    archive = tmp_path / "zips" / "nturgbd_skeletons_s001_to_s017.zip"
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(f"__MACOSX/nturgb+d/._{NAMES[0]}.skeleton", junk)
        file.writestr(f"nturgb+d/._{NAMES[0]}.skeleton", junk)
    assert (rows(raw), rows(tmp_path / "zips")) == (plain, zipped)
    assert build_index(params(raw)).counts["ignored"]["not_a_sample_name"] == 0


def test_a_large_member_is_unpacked_piece_by_piece_and_a_bomb_not_at_all(
    raw: Path, avi: bytes
) -> None:
    """3 MB of zip may declare 3 GB of video."""
    honest = np.random.default_rng(0).bytes(2**20) + bytes(95 * 2**20)  # 91 : 1
    bomb = bytes(110 * 2**20)
    names = [f"{name}_rgb.avi" for name in NAMES[:3]]
    with zipfile.ZipFile(raw / "videos.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in zip(names, (honest, bomb, avi), strict=True):
            file.writestr(name, content)
            (raw / name).unlink()
    tracemalloc.start()
    found = rows(raw)
    with places.as_file(raw, f"videos.zip!{names[0]}") as path:
        assert path.stat().st_size == len(honest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 2**20
    assert found[NAMES[0]]["video_reason"] == "the video cannot be opened"
    assert "over 100 times its size in the archive" in found[NAMES[1]]["video_reason"]
    assert found[NAMES[2]]["video_frames"] == 15
    with (
        pytest.raises(PlaceError, match="over 100 times"),
        places.as_file(raw, f"videos.zip!{names[1]}"),
    ):
        pass


def test_the_next_run_removes_what_a_killed_one_left(
    raw: Path, tmp_path: Path, avi: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    with zipfile.ZipFile(raw / "videos.zip", "w") as file:
        file.writestr("a.avi", avi)
    script = (
        "import sys, time; from pathlib import Path; from c2vl.datasets import raw_files\n"
        "with raw_files.as_file(Path(sys.argv[1]), 'videos.zip!a.avi'):\n"
        "    print('open', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, str(raw)]
    left = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for process in left:
            assert process.stdout is not None and process.stdout.readline() == b"open\n"
        assert len(list((tmp_path / "temporary").iterdir())) == 2
        left[0].kill()
        left[0].wait()
        assert remove_abandoned(tmp_path / "temporary") == 1  # that of the other is in use
        left[1].kill()
        left[1].wait()
        code = script.replace("time.sleep(600)", "sys.exit()")
        subprocess.run([sys.executable, "-c", code, str(raw)], check=True)
        assert not list((tmp_path / "temporary").iterdir())
    finally:
        for process in left:
            process.kill()
