"""A manifest: its rows become samples, bad rows get reasons, nothing outside is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from dataset_stages import rows, run_stage, use
from listed_files import film, manifest

from c2vl.core.errors import UserError
from c2vl.core.layout_file import read_layout
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.listed.listing import ListedSample
from c2vl.datasets.listed.manifest import list_manifest

COLUMNS = ["sample", "skeleton", "class", "subject", "xsub", "fold2", "colour"]


def clip(seed: int, frames: int = 20) -> np.ndarray:
    random = np.random.default_rng(seed)
    joints = random.uniform(100, 900, (frames, 1, 17, 3)).astype(np.float32)
    joints[..., 2] = random.uniform(0.1, 1, joints.shape[:-1])
    return joints


def write(
    root: Path, *changes: dict[str, Any], count: int = 6, columns: Sequence[str] = COLUMNS
) -> Path:
    """`count` good rows and then `changes`, in raw/manifest.csv."""
    lines = []
    for number in range(count):
        file = root / f"raw/clips/{number}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, clip(number))
        lines.append(
            {
                "sample": f"clip {number}" if number == 0 else f"clip{number}",
                "skeleton": f"clips/{number}.npy",
                "class": "jump" if number % 2 else "eat",
                "subject": f"P{number // 2}",
                "xsub": "train" if number < 4 else "test",
                "fold2": "Training" if number < 4 else "val",
                "colour": "red",
            }
        )
    good = dict(lines[1])
    lines += [good | {"sample": f"bad{at}"} | change for at, change in enumerate(changes)]
    return manifest(root / "raw/manifest.csv", lines, columns)


def params(root: Path, **others: Any) -> DataParams:
    data = {
        "dataset": "manifest",
        "raw": root / "raw",
        "benchmarks": ["xsub"],
        "skeleton": "coco17",
    }
    return DataParams.model_validate(data | others)


def by_name(found: list[ListedSample]) -> dict[str, ListedSample]:
    return {sample.sample: sample for sample in found}


def test_a_manifest_goes_through_index_and_skeleton(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, {"skeleton": "clips/no.npy"}, {"skeleton": "../secret.npy"}, {"class": ""})
    (project / "secret.npy").touch()
    use(dataset="manifest", raw="raw", benchmarks=["xsub", "fold2"], skeleton="coco17")
    run_stage("index")
    said = capsys.readouterr().out
    assert "9 samples, 6 usable; excluded: 1 bad path, 1 no class, 1 unreadable skeleton." in said
    assert "fold2: the 2 validation clips are its test clips" in said
    assert "columns of manifest.csv that are not used: colour" in said
    run_stage("skeleton")
    index, found = rows("index/index.parquet"), rows("skeleton")
    assert read_layout(Path("data")).name == "coco17" and len(found) == 6
    assert json.loads(Path("data/index/classes.json").read_text()) == ["eat", "jump"]
    assert "cannot be read" in index["bad0"]["reason"] and "(line 9)" in index["bad1"]["reason"]
    assert index["bad2"]["reason"] == "it has no class (line 10)"
    safe = next(name for name in index if name.startswith("clip_0-"))
    for number in range(6):
        name = safe if number == 0 else f"clip{number}"
        joints = found[name]["joints"].reshape(-1, 2, 17, 3)
        np.testing.assert_array_equal(joints[:, 0, :, 2], clip(number)[:, 0, :, 2])
        size = clip(number)[..., :2].max(axis=(0, 1, 2)).astype(int) + 1  # nobody says it
        expected = clip(number)[:, 0, :, :2] / (size / 2) - 1
        np.testing.assert_allclose(joints[:, 0, :, :2], expected, atol=1e-5)
        assert "outermost joint" in found[name]["note"]
        row = index[name]
        assert (row["label"], row["subject"]) == (number % 2, number // 2 + 1)
        assert row["xsub"] == row["fold2"] == ("train" if number < 4 else "test")


def test_parquet_and_other_separators_say_the_same(tmp_path: Path) -> None:
    path = write(tmp_path)
    first = list_manifest(params(tmp_path))
    text = path.read_text()
    for data in (
        text.replace(",", ";").encode("utf-8-sig"),
        text.replace(",", "\t").replace("\n", "\r\n").encode(),
        text.encode("utf-16"),
        ("\n\n" + text + "\n").replace("sample", " Sample ").encode(),
    ):
        path.write_bytes(data)
        assert [s.skeletons for s in list_manifest(params(tmp_path)).samples] == [
            s.skeletons for s in first.samples
        ]
    path.write_text(text)
    header, *lines = (line.split(",") for line in text.splitlines())
    table = pa.table({name: [line[at] for line in lines] for at, name in enumerate(header)})
    path.unlink()
    pq.write_table(table, tmp_path / "raw/manifest.parquet")
    again = list_manifest(params(tmp_path))
    assert (again.samples, again.classes) == (first.samples, first.classes)


def test_bad_rows_are_samples_with_a_reason(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"skeleton": "/etc/passwd"},
        {"skeleton": "a/../../b.npy"},
        {"skeleton": "clips\\1.npy"},  # Windows wrote it; it is fine
        {"xsub": "sometimes"},
        {"sample": "clip1"},
        {"sample": "../../x"},
        {"sample": "", "skeleton": ""},
    )
    with (tmp_path / "raw/manifest.csv").open("a") as file:
        file.write("short,clips/1.npy\n")
    found = by_name(list(list_manifest(params(tmp_path)).samples))
    assert [found[f"bad{at}"].kind for at in range(4)] == ["bad path", "bad path", "", "bad split"]
    assert found["bad2"].skeletons == ("clips/1.npy",)
    assert "'sometimes', not train, test, val or empty (line 11)" in found["bad3"].problem
    assert found["clip1"].kind == "" and found["clip1-12"].kind == "twice in the manifest"
    assert any(name.startswith("x-") for name in found) and "line-14" in found
    assert found["short"].kind == "malformed row" and "2 fields" in found["short"].problem


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(
        path.read_text().replace("eat", "0").replace("jump", "2").replace("class", "label")
    )
    found = list_manifest(params(tmp_path))
    assert list(found.classes) == ["class 0", "class 1", "class 2"]
    assert {sample.label for sample in found.samples} == {0, 2}
    assert any("list them in `data.class_names`" in note for note in found.notes)
    named = list_manifest(params(tmp_path, class_names=["a", "b"]))
    assert [sample.kind for sample in named.samples].count("no class") == 3
    path.write_text(path.read_text().replace(",0,", ",eat,"))
    names = list_manifest(params(tmp_path))
    assert list(names.classes) == ["2", "eat"]


def test_absurdly_long_numbers_are_no_crash(tmp_path: Path) -> None:
    long = "9" * 5000
    path = write(tmp_path, {"class": long, "subject": long})
    path.write_text(path.read_text().replace("eat", "0").replace("jump", "2"))
    path.write_text(path.read_text().replace("class", "label", 1))
    found = by_name(list(list_manifest(params(tmp_path)).samples))
    assert found["bad0"].kind == "no class" and "not from 0 to 9999" in found["bad0"].problem


@pytest.mark.parametrize(
    ("change", "others", "why"),
    [
        (None, {}, "holds no manifest.csv"),
        ("", {}, "has no rows"),
        ("sample,xsub\na,train\n", {}, "no column `skeleton` or `video`"),
        ("skeleton,class\na,b\n", {}, "no column `xsub`"),
        ("skeleton,xsub\na,train\n", {}, "no class"),
        ("skeleton,skeleton\na,b\n", {}, "two columns called 'skeleton'"),
        (b"\xff\x00\x81", {}, "not UTF-8"),
        ('a,b\n"x', {}, "no readable table"),
        ("x", {"manifest": Path("/elsewhere/m.csv")}, "does not lie in"),
    ],
)
def test_a_manifest_of_no_use_is_one_sentence(
    tmp_path: Path, change: str | bytes | None, others: dict[str, Any], why: str
) -> None:
    (tmp_path / "raw").mkdir()
    if change is not None:
        data = change if isinstance(change, bytes) else change.encode()
        (tmp_path / "raw/manifest.csv").write_bytes(data)
    with pytest.raises(UserError, match=why) as found:
        list_manifest(params(tmp_path, **others))
    assert "\n" not in str(found.value)


def test_a_copy_on_both_sides_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, {"xsub": "test"})
    use(dataset="manifest", raw="raw", benchmarks=["xsub"], skeleton="coco17")
    run_stage("index")
    assert (
        "1 training clips are the same file as a test clip, such as clip1"
        in capsys.readouterr().out
    )


def test_a_manifest_needs_a_skeleton() -> None:
    with pytest.raises(ValueError, match="needs `skeleton`"):
        DataParams.model_validate({"dataset": "manifest", "raw": "raw", "benchmarks": ["xsub"]})
    with pytest.raises(ValueError, match="it is a column of the index, or"):
        params(Path(), benchmarks=["../x"])
    with pytest.raises(ValueError, match="`raw` is the folder that the manifest lies in"):
        params(Path(), raw="raw/manifest.csv")
    with pytest.raises(ValueError, match="`raw` is pyskl's file"):
        params(Path(), dataset="pyskl")
    with pytest.raises(UserError, match="is missing; put your clips there"):
        list_manifest(params(Path("nowhere")))
    with pytest.raises(ValueError, match="is for `dataset: manifest`"):
        params(Path(), dataset="ntu60", manifest="m.csv")


def test_a_manifest_may_say_the_size_of_the_images(project: Path) -> None:
    """Else each clip would end at its own outermost joint."""
    path = write(project)
    text = path.read_text().splitlines()
    path.write_text(
        "\n".join([f"{text[0]},width,height", *(f"{row},1920,1080" for row in text[1:])])
    )
    use(dataset="manifest", raw="raw", benchmarks=["xsub"], skeleton="coco17")
    run_stage("index")
    run_stage("skeleton")
    assert rows("index/index.parquet")["clip1"]["video_width"] == 1920
    row = rows("skeleton")["clip1"]
    expected = clip(1)[:, 0, :, :2] / (960, 540) - 1
    joints = row["joints"].reshape(-1, 2, 17, 3)[:, 0, :, :2]
    np.testing.assert_allclose(joints, expected, atol=1e-5)
    assert not row["note"]


def test_videos_alone_are_samples_where_the_skeleton_is_of_videos(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their skeletons are found in the videos, so index rows have none."""
    film(project / "raw/clips/7.avi", frames=12)
    (project / "raw/clips/8.avi").write_bytes(b"no video")
    none = {"skeleton": "", "class": "eat", "xsub": "train"}
    videos = [{**none, "sample": f"film{at}", "video": f"clips/{at}.avi"} for at in (7, 8)]
    write(project, *videos, columns=[*COLUMNS, "video"])
    use(dataset="manifest", raw="raw", benchmarks=["xsub"], skeleton="coco17")
    run_stage("index")
    said = capsys.readouterr().out
    assert "8 samples, 7 usable; excluded: 1 unreadable video" in said
    assert "samples with a video and no skeleton file: 1" in said
    index = rows("index/index.parquet")
    film7, film8 = index["film7"], index["film8"]
    assert (film7["status"], film7["xsub"], film7["skeleton_file"]) == ("ok", "train", None)
    assert (film7["video_frames"], film7["video_width"]) == (12, 64)
    assert "there is no skeleton file, and" in film8["reason"]
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["skeleton"]["max_failed"] = 0.5
    Path("params.yaml").write_text(yaml.safe_dump(params))
    run_stage("skeleton")
    row = rows("skeleton")["film7"]
    assert row["status"] == "video_alone" and "run `dvc repro pose`" in row["reason"]
    use(dataset="manifest", raw="raw", benchmarks=["xsub"], skeleton="h36m17")
    run_stage("index")
    why = rows("index/index.parquet")["film7"]["reason"]
    assert "joints found in a video are coco17, not h36m17; set `data.skeleton: coco17`" in why
