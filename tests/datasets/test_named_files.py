"""Northwestern-UCLA and UTD-MHAD, by the names of their files, and through index and skeleton."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dataset_stages import rows, run_stage, use
from listed_files import kinect, nw_ucla_clip, utd_clip, utd_names
from ucla_grid import ucla_names

from c2vl.core.errors import UserError
from c2vl.core.layout_file import read_layout
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.listed.listed_index import list_samples
from c2vl.datasets.listed.listing import Listing

UCLA = [
    f"a{a:02}_s{s:02}_e{e:02}_v{v:02}"
    for a in (1, 12)
    for s in (1, 10)
    for e in (0, 7)
    for v in (1, 2, 3)
]


def listed(dataset: str, raw: Path) -> Listing:
    benchmark = {"nwucla": "xview", "utdmhad": "xsub"}[dataset]
    params = {"dataset": dataset, "raw": raw, "benchmarks": [benchmark]}
    return list_samples(DataParams.model_validate(params))


def test_nw_ucla_cross_view_has_its_published_numbers(tmp_path: Path) -> None:
    for name in ucla_names():
        (tmp_path / f"{name}.json").touch()
    found = listed("nwucla", tmp_path)
    sides = Counter(sample.splits["xview"] for sample in found.samples)
    assert (len(found.samples), sides["train"], sides["test"]) == (1484, 1020, 464)
    assert not found.notes and not found.strangers
    assert Counter(sample.label for sample in found.samples).keys() == set(range(10))
    by_camera = Counter((one.camera, one.splits["xview"]) for one in found.samples)
    assert by_camera == {(1, "train"): 516, (2, "train"): 504, (3, "test"): 464}


def test_utd_mhad_cross_subject_has_its_published_numbers(tmp_path: Path) -> None:
    for name in utd_names():
        (tmp_path / f"{name}_skeleton.mat").touch()
    found = listed("utdmhad", tmp_path)
    sides = Counter(sample.splits["xsub"] for sample in found.samples)
    assert (len(found.samples), sides["train"], sides["test"]) == (861, 431, 430)
    assert not found.notes and not found.strangers
    assert Counter(sample.label for sample in found.samples).keys() == set(range(27))
    assert len(found.classes) == 27 and found.classes[26] == "squat (two arms stretch out)"
    subjects = {sample.subject for sample in found.samples if sample.splits["xsub"] == "train"}
    assert subjects == {1, 3, 5, 7}


def test_nw_ucla_goes_through_index_and_skeleton(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = project / "raw"
    clips = {name: kinect(place, 20 + place) for place, name in enumerate(UCLA)}
    for name, joints in clips.items():
        nw_ucla_clip(raw / "all_sqe" / f"{name}.json", joints)
    for stranger in ("a07_s01_e00_v01.json", "notes.json", "a01_s01_e00.json"):
        (raw / stranger).write_text("{}")
    (raw / f"all_sqe/{UCLA[3]}.json").write_text('{"skeletons": [[[1, 2], [3, 4]]]}')
    (raw / f"all_sqe/{UCLA[4]}.json").write_text("")
    use(dataset="nwucla", raw="raw", benchmarks=["xview"])
    run_stage("index")
    said = capsys.readouterr().out
    assert "24 samples, 22 usable; excluded: 2 unreadable skeleton" in said
    assert "24 of the 1,484 samples of nwucla are here" in said
    assert "no sample's: 3, such as a01_s01_e00.json" in said
    run_stage("skeleton")
    assert read_layout(Path("data")).name == "kinect20"
    index, found = rows("index/index.parquet"), rows("skeleton")
    assert found.keys() == set(UCLA) - {UCLA[3], UCLA[4]}
    assert "has 2 joints" in index[UCLA[3]]["reason"] and "empty" in index[UCLA[4]]["reason"]
    for name, row in found.items():
        joints = row["joints"].reshape(-1, 2, 20, 3)
        centred = clips[name] - clips[name][0, 1]  # CTR-GCN's loader: value - value[0, 1]
        np.testing.assert_allclose(joints[:, 0], centred, atol=1e-5)
        assert not joints[:, 1].any() and row["bodies"] == 1
        action, subject, episode, camera = (int(part[1:]) for part in name.split("_"))
        assert index[name]["label"] == {1: 0, 12: 9}[action]
        assert (index[name]["subject"], index[name]["repetition"]) == (subject, episode)
        assert index[name]["xview"] == ("test" if camera == 3 else "train")
    assert len(json.loads(Path("data/index/classes.json").read_text())) == 10
    before = {path.name: path.read_bytes() for path in Path("data/skeleton").iterdir()}
    with zipfile.ZipFile(project / "all_sqe.zip", "w") as archive:
        for path in sorted((raw / "all_sqe").iterdir()):
            archive.write(path, f"all_sqe/{path.name}")
    packed = project / "packed"
    packed.mkdir()
    (project / "all_sqe.zip").rename(packed / "all_sqe.zip")
    use(dataset="nwucla", raw="packed", benchmarks=["xview"])
    run_stage("index")
    run_stage("skeleton")
    assert "reused 22" in capsys.readouterr().out  # results go by the bytes of files
    tables = {name for name in before if name.endswith(".parquet")}
    for name in tables:
        assert (Path("data/skeleton") / name).read_bytes() == before[name]


def test_utd_mhad_goes_through_index_and_skeleton(project: Path) -> None:
    clips = {name: kinect(place, 30) for place, name in enumerate(utd_names()[:12])}
    for name, joints in clips.items():
        utd_clip(project / f"raw/Skeleton/{name}_skeleton.mat", joints)
        (project / f"raw/{name}_inertial.mat").touch()
    (project / "raw/Depth").mkdir()
    (project / "raw/Depth/a1_s1_t1_depth.mat").touch()
    (project / "raw/a9_s9_t9_skeleton.mat").write_bytes(b"MATLAB 5.0 MAT-file, but cut")
    use(dataset="utdmhad", raw="raw", benchmarks=["xsub"])
    run_stage("index")
    run_stage("skeleton")
    index, found = rows("index/index.parquet"), rows("skeleton")
    assert found.keys() == clips.keys()
    assert "no MATLAB file of version 5" in index["a9_s9_t9"]["reason"]
    for name, row in found.items():
        expected = clips[name] - clips[name][0, 1]  # the spine
        np.testing.assert_allclose(row["joints"].reshape(-1, 2, 20, 3)[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("dataset", "file", "sample"),
    [
        ("nwucla", "multiview_action_videos/a05/v03_s02_e01.avi", "a05_s02_e01_v03"),
        ("nwucla", "view1/v01_s10_e05_a11.AVI", "a11_s10_e05_v01"),
        ("utdmhad", "RGB/a27_s8_t3_color.avi", "a27_s8_t3"),
        ("utdmhad", "A27_S8_T3.mp4", "a27_s8_t3"),
    ],
)
def test_videos_are_found_beside_skeletons(
    tmp_path: Path, dataset: str, file: str, sample: str
) -> None:
    skeleton = tmp_path / (f"{sample}.json" if dataset == "nwucla" else f"{sample}_skeleton.mat")
    skeleton.touch()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    (one,) = listed(dataset, tmp_path).samples
    assert (one.sample, one.skeletons, one.videos) == (sample, [skeleton.name], [file])


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"no file such as a01_s01_e00_v01\.json"):
        listed("nwucla", tmp_path)
    with pytest.raises(UserError, match=r"no file such as a1_s1_t1_skeleton\.mat"):
        listed("utdmhad", tmp_path)
