"""`c2vl show` draws whatever exists of a sample; a missing sample is one sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from studio_skeletons import studio_files

from c2vl.cli import main
from c2vl.commands.sample_view.sample import Sample
from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.core.tables import schemas
from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.prompts.jpeg import to_jpeg

ROOT = Path(__file__).resolve().parents[2]
SEEN, BARE, UNUSABLE = "S001C001P001R001A001", "S001C002P001R001A001", "S001C003P001R001A001"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables of three samples: with video, crops and answers; with a skeleton only; unusable."""
    monkeypatch.chdir(tmp_path)
    params = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    params["data"]["raw"] = "raw"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("raw").mkdir()
    writer = cv2.VideoWriter("raw/v.avi", cv2.VideoWriter.fourcc(*"XVID"), 15, (96, 54))
    for value in range(20):
        writer.write(np.full((54, 96, 3), value * 10, np.uint8))
    writer.release()
    index, skeletons = [], []
    for name, data, _ in studio_files(2, 1, 8):
        row = {
            "sample": name,
            "dataset": "studio",
            "label": 0,
            "action": 1,
            "xsub": "train",
            "status": "ok",
            "reason": "",
        }
        if name == SEEN:
            row |= {
                "video_file": "v.avi",
                "video_frames": 20,
                "video_width": 96,
                "video_height": 54,
            }
        if name == UNUSABLE:
            row |= {"status": "excluded", "reason": "listed as missing"}
        else:
            skeletons.append(
                {
                    "sample": name,
                    "status": "ok",
                    "reason": "",
                    **denoise(parse_skeleton(data)).row(),
                }
            )
        index.append(row)
    tables.write(Path("data/index/index.parquet"), tables.table_of(index, schemas.index(["xsub"])))
    write_json(Path("data/index/classes.json"), ["drink water"])
    for row in skeletons:
        shard = f"{tables.shard_of(str(row['sample']))}.parquet"
        tables.write(Path("data/skeleton") / shard, tables.table_of([row], schemas.SKELETON))
    image = np.full((40, 20, 3), 90, np.uint8)
    box = np.array([10, 10, 30, 50, 60, 10, 80, 50], np.float32)
    crop = {
        "sample": SEEN,
        "k": 0,
        "frame": 7,
        "crop": to_jpeg(image, 90),
        "boxes": box,
        "scores": box[:2],
        "status": "ok",
    }
    crop |= {
        "chosen": np.array([0], np.int8),
        "x0": 8.0,
        "y0": 8.0,
        "x1": 32.0,
        "y1": 52.0,
        "reason": "",
    }
    nobody = {"sample": SEEN, "k": 1, "frame": 15, "status": "nobody", "reason": "nobody was found"}
    tables.write(Path("data/crop/S001C001.parquet"), tables.table_of([crop, nobody], schemas.CROP))
    answer = {
        "sample": SEEN,
        "k": 0,
        "answer": "He costs $5 and $6 " * 30,
        "status": "ok",
        "reason": "",
    }
    tables.write(Path("data/caption/S001C001.parquet"), tables.table_of([answer], schemas.CAPTION))
    return tmp_path


@pytest.mark.parametrize("sample", [SEEN, BARE, UNUSABLE])
def test_a_page_shows_whatever_exists(
    project: Path, capsys: pytest.CaptureFixture[str], sample: str
) -> None:
    main(["show", sample])
    assert capsys.readouterr().out.strip() == f"{sample}.png"
    with Image.open(f"{sample}.png") as first:
        assert first.width > 1000 and len(np.unique(np.asarray(first))) > 50
    before = Path(f"{sample}.png").read_bytes()
    main(["show", sample, "--out", "again.png"])
    assert Path("again.png").read_bytes() == before


def test_a_gif_moves_and_shows_the_video_if_there_is_one(project: Path) -> None:
    sizes = {}
    for sample in (SEEN, BARE):
        main(["show", sample, "--out", f"{sample}.gif"])
        with Image.open(f"{sample}.gif") as picture:
            sizes[sample] = picture.width
            assert picture.n_frames > 8
            first = np.asarray(picture.convert("RGB")).copy()
            picture.seek(picture.n_frames // 2)
            assert (np.asarray(picture.convert("RGB")) != first).any()
    assert sizes[SEEN] == pytest.approx(sizes[BARE] + 300 * 96 / 54, abs=60)


def test_a_clip_with_long_empty_stretches_is_drawn(project: Path) -> None:
    """pyskl's files keep frames without people."""
    path = Path("data/skeleton/S001C002.parquet")
    (row,) = tables.rows_of(tables.read(path))
    joints = np.zeros((300, 2, 25, 3), np.float32)
    joints[131] = row["joints"].reshape(-1, 2, 25, 3)[0]
    tables.write(
        path, tables.table_of([row | {"joints": joints, "frames": len(joints)}], schemas.SKELETON)
    )
    for out in ("empty.png", "empty.gif"):
        main(["show", BARE, "--out", out])
        with Image.open(out) as picture:
            assert len(np.unique(np.asarray(picture.convert("RGB")))) > 50


def test_a_remark_on_a_usable_clip_is_on_the_page(project: Path) -> None:
    main(["show", BARE, "--out", "without.png"])
    index = Path("data/index/index.parquet")
    rows = [
        row | {"reason": "overlaps the clip of line 1"} for row in tables.read(index).to_pylist()
    ]
    tables.write(index, tables.table_of(rows, schemas.index(["xsub"])))
    main(["show", BARE, "--out", "with.png"])
    with Image.open("without.png") as without, Image.open("with.png") as with_remark:
        changed = np.flatnonzero((np.asarray(without) != np.asarray(with_remark)).any(axis=(1, 2)))
    assert len(changed) and changed.max() < 80  # a line below the title, nothing else


def test_what_cannot_be_shown_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder.png").mkdir()
    cases = {
        (SEEN.replace("A001", "A009"),): SEEN,
        ("../../etc/passwd",): "no sample",
        (UNUSABLE, "--out", "a.gif"): "no skeleton to animate",
        (SEEN, "--out", "a.jpg"): "must end in .png or .gif",
        (BARE, "--out", "folder.png"): "folder.png cannot be written",
        (BARE, "--out", "params.yaml/a.gif"): "params.yaml/a.gif cannot be written",
    }
    for arguments, expected in cases.items():
        with pytest.raises(SystemExit):
            main(["show", *arguments])
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1 and expected in printed


def test_an_answer_about_the_clip_stands_at_one_prompt_and_failed_crops_say_why() -> None:
    crops = {
        0: {"crop": None, "status": "missing_frame", "reason": "the video ends before"},
        1: {"crop": b"", "status": "ok", "reason": ""},
        2: {"crop": b"", "status": "ok", "reason": ""},
    }
    told = Sample({}, "", None, crops, {}, Path(), {"answer": "He sits.", "reason": ""})
    assert [told.said(k, of_clip=k == 1) for k in told.prompts] == [
        "prompt 0: no crop: the video ends before",
        "clip: He sits.",
        "",
    ]
    failed = Sample({}, "", None, {}, {}, Path(), {"answer": None, "reason": "no crop"})
    assert failed.prompts == [0] and failed.said(0, of_clip=True) == "clip: no answer: no crop"
    answers = {1: {"answer": "He stands.", "reason": ""}}
    frames = Sample({}, "", None, crops, answers, Path())
    assert [frames.said(k) for k in frames.prompts][1:] == ["He stands.", "not captioned yet"]
