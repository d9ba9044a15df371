"""CTR-GCN's and pyskl's files: ours come back equal, theirs are read, hostile ones do nothing."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dataset_stages import run_stage
from hypothesis import given, settings
from hypothesis import strategies as st
from studio_skeletons import write_studio_files

from c2vl.cli import main
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.datasets.preprocessed import open_preprocessed
from c2vl.datasets.safe_pickle import load_pickle

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    f"S00{setup}C00{camera}P00{subject}R001A00{action}"
    for setup, camera, subject, action in itertools.product((1, 2), (1, 2, 3), (1, 3), (1, 2))
]


def use(raw: Path, dataset: str, *benchmarks: str, **others: Any) -> None:
    """Write `params.yaml` for a data set that lies at `raw`."""
    params = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    params["data"] = {"dataset": dataset, "raw": str(raw), "benchmarks": list(benchmarks), **others}
    params["data"] |= {"train_subjects": [1, 2, 3, 4]} if dataset == "studio" else {}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def skeletons() -> dict[str, dict[str, Any]]:
    """The usable rows of the skeleton table with shaped joints, and each sample's index row."""
    index = {
        row["sample"]: row for row in tables.rows_of(tables.read(Path("data/index/index.parquet")))
    }
    rows = {
        row["sample"]: row
        for row in tables.rows_of(tables.read(Path("data/skeleton")))
        if row["status"] == "ok"
    }
    return {
        name: {**index[name], **row, "joints": row["joints"].reshape(-1, 2, 25, 3)}
        for name, row in rows.items()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index and skeletons of some studio files, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("C2VL_HOME", str(folder / "home"))
        patch.setenv("C2VL_WORKERS", "1")
        write_studio_files(folder / "raw", 3, 14, 20)
        use(folder / "raw", "studio", "xsub", "xview")
        run_stage("index")
        run_stage("skeleton")
    return folder


def clip(random: np.random.Generator, frames: int, persons: int = 1) -> np.ndarray:
    """(T, 2, 25, 3) as CTR-GCN's scripts leave it: joint 2 of the first frame is the origin."""
    joints = np.zeros((frames, 2, 25, 3), np.float32)
    joints[:, :persons] = random.normal(size=(frames, persons, 25, 3))
    joints[:, :persons] -= joints[0, 0, 1].copy()
    return joints


def ctrgcn(
    path: Path, clips: dict[str, list[tuple[np.ndarray, int]]], classes: int = 60, **changes: Any
) -> Path:
    """What seq_transformation.py saves."""
    arrays = {}
    for split, members in clips.items():
        x = np.zeros((len(members), 300, 150), np.float32)
        for row, (joints, _) in zip(x, members, strict=True):
            row[: len(joints)] = joints.reshape(len(joints), 150)
        arrays |= {f"x_{split}": x, f"y_{split}": np.eye(classes)[[label for _, label in members]]}
    np.savez(path, **(arrays | changes))
    return path


def test_a_ctrgcn_file_goes_through_index_and_skeleton(project: Path) -> None:
    random = np.random.default_rng(0)
    train = [(clip(random, 30), 5), (clip(random, 300, 2), 59), (clip(random, 1), 0)]
    test = [(clip(random, 64, 2), 7)]
    raw = ctrgcn(project / "NTU60_CV.npz", {"train": train, "test": test})
    for compressed in (False, True):
        if compressed:
            with np.load(raw) as arrays:
                np.savez_compressed(raw.with_name("other_xview.npz"), **arrays)
            raw = raw.with_name("other_xview.npz")
        use(raw, "ntu60", "xview")
        run_stage("index")
        run_stage("skeleton")
        found = skeletons()
        assert list(found) == ["test_000000", "train_000000", "train_000001", "train_000002"]
        for split, members in (("train", train), ("test", test)):
            for place, (joints, label) in enumerate(members):
                row = found[f"{split}_{place:06d}"]
                np.testing.assert_array_equal(row["joints"], joints)  # without the padding
                assert (row["label"], row["xview"], row["xsub"], row["frames"]) == (
                    label,
                    split,
                    "",
                    len(joints),
                )
                assert (
                    row["bodies"] == (2 if joints[:, 1].any() else 1)
                    and "preprocessed elsewhere" in row["note"]
                )
    assert {path.stem for path in Path("data/skeleton").glob("*.parquet")} == {
        "test_000",
        "train_000",
    }


@pytest.mark.parametrize("what", ["ctrgcn", "pyskl"])
def test_ours_goes_out_and_comes_back_equal(project: Path, made: Path, what: str) -> None:
    shutil.copytree(made / "data", "data")
    ours = skeletons()
    main(["skeletons", what, "out"])
    classes = (made / "raw" / "classes.txt").read_text().splitlines()
    written = sorted((project / "out").glob("STUDIO_*.npz")) or [
        project / "out" / "studio_3danno.pkl"
    ]
    assert len(written) == (2 if what == "ctrgcn" else 1)
    for path in written:
        benchmarks = open_preprocessed(path).benchmarks
        use(path, "studio", *benchmarks, class_names=classes)
        run_stage("index")
        run_stage("skeleton")
        theirs = skeletons()
        assert theirs.keys() == ours.keys()
        for name, row in theirs.items():
            np.testing.assert_array_equal(row["joints"], ours[name]["joints"])
            same = ["label", "bodies", "subject", "camera", *benchmarks]
            assert [row[column] for column in same] == [ours[name][column] for column in same]
    before = [path.read_bytes() for path in written]
    shutil.rmtree("data")
    shutil.copytree(made / "data", "data")
    main(["skeletons", what, "out"])
    assert [path.read_bytes() for path in written] == before


def test_class_names_come_from_params_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A classes.txt beside the file is no dependency of the stage: DVC would not see a change."""
    joints = np.ones((2, 30, 150), np.float32) * np.arange(1, 31)[:, None]
    arrays = {"x_train": joints, "x_test": 2 * joints}
    np.savez(project / "NTU60_CS.npz", y_train=np.eye(2), y_test=np.eye(2), **arrays)
    (project / "classes.txt").write_text("drink\nwave\n")
    use(project / "NTU60_CS.npz", "ntu60", "xsub")
    run_stage("index")
    assert len(json.loads(Path("data/index/classes.json").read_text())) == 60
    assert "classes.txt is not read" in capsys.readouterr().out
    use(project / "NTU60_CS.npz", "ntu60", "xsub", class_names=["drink", "wave"])
    run_stage("index")
    assert json.loads(Path("data/index/classes.json").read_text()) == ["drink", "wave"]
    assert "classes.txt" not in capsys.readouterr().out
    use(project / "NTU60_CS.npz", "ntu60", "xsub", class_names=["drink", "drink"])
    with pytest.raises(SystemExit):
        run_stage("index")
    assert "none twice" in capsys.readouterr().err


def test_the_ctrgcn_file_is_what_its_feeder_reads(project: Path, made: Path) -> None:
    shutil.copytree(made / "data", "data")
    main(["skeletons", "ctrgcn", "out", "--benchmark", "xsub"])
    ours = skeletons()
    with np.load("out/STUDIO_xsub.npz", allow_pickle=False) as file:
        x, y, names = file["x_test"], file["y_test"], file["names_test"]
        assert (
            x.dtype == np.float32
            and x.shape[1:] == (300, 150)
            and y.shape == (len(x), 20)
            and len(file["x_train"])
        )
    by_subject = sorted(
        (name for name, row in ours.items() if row["xsub"] == "test"),
        key=lambda name: (name[9:12], name),
    )
    assert names.tolist() == by_subject
    data = x.reshape(len(x), 300, 2, 25, 3).transpose(
        0, 4, 1, 3, 2
    )  # N, C, T, V, M as feeder_ntu.py has it
    for row, hot, name in zip(data, y, names, strict=True):
        frames = ours[name]["frames"]
        np.testing.assert_array_equal(row[:, :frames].transpose(1, 3, 2, 0), ours[name]["joints"])
        assert (
            not row[:, frames:].any()
            and hot.sum() == 1
            and np.flatnonzero(hot > 0) == ours[name]["label"]
        )


def test_the_pyskl_file_opens_with_plain_pickle_and_an_old_numpy(project: Path, made: Path) -> None:
    shutil.copytree(made / "data", "data")
    main(["skeletons", "pyskl", "out"])
    data = Path("out/studio_3danno.pkl").read_bytes()
    assert b"numpy._core" not in data
    content, ours = pickle.loads(data), skeletons()
    assert set(content["split"]) == {"xsub_train", "xsub_val", "xview_train", "xview_val"}
    assert content["split"]["xview_val"] == [name for name in ours if "C001" in name]
    for annotation in content["annotations"]:
        row = ours[annotation["frame_dir"]]
        persons, frames, joints, coordinates = annotation["keypoint"].shape
        assert (persons, frames, joints, coordinates) == (
            row["bodies"],
            annotation["total_frames"],
            25,
            3,
        )
        np.testing.assert_array_equal(
            annotation["keypoint"].transpose(1, 0, 2, 3), row["joints"][:, :persons]
        )
        assert annotation["label"] == row["label"]


def pyskl(path: Path, annotations: list[dict[str, Any]], protocol: int = 4) -> Path:
    names = [annotation["frame_dir"] for annotation in annotations]
    split = {"xsub_train": names[::2], "xsub_val": names[1::2]}
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_pyskl_file_goes_through_index_and_skeleton(project: Path, protocol: int) -> None:
    random = np.random.default_rng(1)
    keypoints = {
        name: random.normal(1, 1, (1 + place % 2, 20, 25, 3)).astype(np.float16)
        for place, name in enumerate(NAMES)
    }
    keypoints[NAMES[0]][:, 15:] = 0  # padding
    annotations = [
        {"frame_dir": name, "label": int(name[-1]) - 1, "keypoint": keypoint, "total_frames": 20}
        for name, keypoint in keypoints.items()
    ]
    annotations[2]["label"] = np.int64(annotations[2]["label"])
    annotations[3]["label"] = 17  # not what its name says
    annotations[4]["keypoint"] = annotations[4]["keypoint"][..., :2]
    annotations[5]["keypoint"][0, 3, 3, 1] = np.inf
    annotations[6]["keypoint"] = np.full(
        (1, 20, 25, 3), 3e38, np.float32
    )  # finite, but not the difference of two such
    annotations[7]["keypoint"] = np.ones((1, 20, 25, 3), np.float16)
    use(pyskl(project / "ntu60_3danno.pkl", annotations, protocol), "ntu60", "xsub")
    run_stage("index")
    run_stage("skeleton")
    found = skeletons()
    assert found.keys() == set(NAMES) - set(NAMES[3:8])
    index = {
        row["sample"]: row for row in tables.rows_of(tables.read(Path("data/index/index.parquet")))
    }
    assert (
        "class 1, the file says 17" in index[NAMES[3]]["reason"]
        and "the skeleton ntu25 needs (M, T, 25, 3)" in index[NAMES[4]]["reason"]
    )
    assert "infinite" in index[NAMES[5]]["reason"] and "absurd" in index[NAMES[6]]["reason"]
    unusable = {
        row["sample"]: row["reason"]
        for row in tables.rows_of(tables.read(Path("data/skeleton")))
        if row["reason"]
    }
    assert list(unusable) == [NAMES[7]] and "one point" in unusable[NAMES[7]]
    for place, name in enumerate(NAMES):
        if name in found:
            expected = keypoints[name].astype(np.float32).transpose(1, 0, 2, 3)
            expected = expected[:15] if place == 0 else expected
            np.testing.assert_array_equal(
                found[name]["joints"][:, : expected.shape[1]], expected - expected[0, 0, 1]
            )
            assert found[name]["xsub"] == ("test" if place % 2 else "train")


def test_what_a_pyskl_file_names_and_has_not_or_has_and_names_not_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keypoint = np.random.default_rng(1).normal(1, 1, (1, 20, 25, 3)).astype(np.float16)
    names = [*NAMES[:4:2], "kinetics_0001"]
    annotations = [{"frame_dir": name, "label": 0, "keypoint": keypoint} for name in names]
    split = {"xsub_train": [names[0], "S001C001P009R001A001"], "xsub_val": []}
    (project / "a.pkl").write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
    use(project / "a.pkl", "ntu60", "xsub")
    run_stage("index")
    printed = capsys.readouterr().out
    assert "1 clips of its lists are not in it, such as S001C001P009R001A001" in printed
    assert "ignored for a name that is no sample's: 1, such as kinetics_0001" in printed
    assert "2 of the 56,880 samples of ntu60 are here; 56,878 are not, 302 of" in printed
    index = {
        row["sample"]: row for row in tables.rows_of(tables.read(Path("data/index/index.parquet")))
    }
    assert [index[name]["xsub"] for name in names[:2]] == ["train", ""]
    assert [index[name]["reason"] for name in names[:2]] == ["", "it is in no list of xsub"]
    split["xsub_val"] = [names[0]]
    (project / "a.pkl").write_bytes(pickle.dumps({"split": split, "annotations": annotations}))
    with pytest.raises(SystemExit):
        run_stage("index")
    assert f"has '{names[0]}' among both training and test clips of xsub" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_one_sentence(
    project: Path, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "data", "data")
    Path("out").write_text("a file")
    for what in ("ctrgcn", "pyskl"):
        with pytest.raises(SystemExit):
            main(["skeletons", what, "out"])
        assert (
            capsys.readouterr().err
            == "c2vl: out cannot be written (File exists); name another place.\n"
        )


def test_a_file_that_does_not_fit_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    clips = {split: [(clip(random, 5), 1)] for split in ("train", "test")}
    good = ctrgcn(project / "NTU60_CS.npz", clips)
    cases: list[tuple[Path, str, str, str]] = [
        (good, "ntu60", "xview", "has splits of xsub, not of xview"),
        (
            ctrgcn(project / "NTU120_CSub.npz", clips, classes=120),
            "ntu60",
            "xsub",
            "120 classes, ntu60 has 60",
        ),
        (ctrgcn(project / "mine.npz", clips), "ntu60", "xsub", "must end in _CS"),
        (project / "none_CS.npz", "ntu60", "xsub", "is missing"),
        (
            ctrgcn(project / "a_CS.npz", clips, x_test=np.zeros((1, 300, 75), np.float32)),
            "ntu60",
            "xsub",
            "expected x",
        ),
        (
            ctrgcn(project / "b_CS.npz", clips, x_test=np.array([{"a": 1}])),
            "ntu60",
            "xsub",
            "not plain numbers",
        ),
        (
            ctrgcn(project / "c_CS.npz", clips, y_test=np.array(["x"], object)),
            "ntu60",
            "xsub",
            "not plain numbers",
        ),
        (
            ctrgcn(project / "d_CS.npz", clips, names_train=np.array(["../../x"])),
            "ntu60",
            "xsub",
            "no CTR-GCN file",
        ),
        (pyskl(project / "e.pkl", [{"frame_dir": 3}]), "ntu60", "xsub", "no `frame_dir`"),
        (
            pyskl(project / "f.pkl", [{"frame_dir": NAMES[0]}] * 2),
            "ntu60",
            "xsub",
            "two annotations",
        ),
    ]
    (project / "g.pkl").write_bytes(pickle.dumps([1, 2]))
    cases.append((project / "g.pkl", "ntu60", "xsub", "no pyskl file"))
    cut = good.read_bytes()
    for place, size in enumerate((0, 10, 1000, len(cut) // 2, len(cut) - 30)):
        (project / f"cut{place}_CS.npz").write_bytes(cut[:size])
        cases.append((project / f"cut{place}_CS.npz", "ntu60", "xsub", "no CTR-GCN file"))
    for path, dataset, benchmark, expected in cases:
        use(path, dataset, benchmark)
        with pytest.raises(SystemExit):
            run_stage("index")
        printed = capsys.readouterr().err.splitlines()[-1]
        assert printed.startswith("c2vl: ") and expected in printed, (path, printed)


class Hostile:
    """Writes a file when it is unpickled the usual way."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def test_a_hostile_pickle_does_nothing(project: Path) -> None:
    keypoint = np.zeros((1, 2, 25, 3), np.float16)
    for protocol in range(6):
        hostile = [
            Hostile(),
            {"split": {}, "annotations": [{"frame_dir": NAMES[0], "keypoint": Hostile()}]},
        ]
        hostile.append({"split": {}, "annotations": [{"keypoint": np.array([Hostile()], object)}]})
        for place, content in enumerate(hostile):
            path = project / f"{place}.pkl"
            path.write_bytes(pickle.dumps(content, protocol))
            with pytest.raises(UserError, match="is not loaded"):
                open_preprocessed(path)
    dtype = (
        b"cnumpy\ndtype\n(S'%s'\ntR(I3\nS'%s'\nN(S'a'\nt"
        b"(dS'a'\n(cnumpy\ndtype\n(S'%s'\ntRI%d\ntsI%d\nI1\nI0\ntb."
    )
    programs = {
        "getattr": b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'x'\ntR.",
        "eval": b"c__builtin__\neval\n(S'1'\ntR.",
        "import": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch pwned\x85R.",
        "a large array": b"cnumpy\nndarray\n((I1000000000000\ntI0\ntR.",
        "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0fndarray.__new__\x93.",
        "persistent": b"Psomething\n.",
        "a memo of 64 GB": b"\x80\x04Nr\xff\xff\xff\xff.",
        # NumPy believes such states; whoever then looks at the array follows pointers out of
        # the file.
        "objects made of bytes": dtype % (b"V8", b"|", b"O", 0, 8),
        "fields past the end": dtype % (b"f8", b"<", b"f8", 9, -1),
    }
    for name, program in programs.items():
        (project / "p.pkl").write_bytes(program)
        with pytest.raises(UserError):
            load_pickle(project / "p.pkl")
            pytest.fail(name)
    assert not (project / "pwned").exists()
    (project / "p.pkl").write_bytes(
        pickle.dumps({"a": keypoint, "b": [np.float32(1), np.int64(2), 3.5, None, True, b"x", {1}]})
    )
    assert load_pickle(project / "p.pkl")["b"][:3] == [1, 2, 3.5]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_pickle_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(
        pickle.dumps(
            {"split": {}, "annotations": [{"keypoint": np.zeros((1, 2), np.float16), "label": 3}]}
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        load_pickle(path)
    except UserError as error:
        assert "\n" not in str(error)


def test_metrics_and_counts_are_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    hot = np.eye(60)[[1, 1]]
    hot[1] = 0
    clips = {split: [(clip(random, 5), 1), (clip(random, 6), 1)] for split in ("train", "test")}
    use(ctrgcn(project / "NTU60_CS.npz", clips, y_test=hot), "ntu60", "xsub")
    run_stage("index")
    run_stage("skeleton")
    assert "index: 4 samples, 3 usable; excluded: 1 unreadable skeleton." in capsys.readouterr().out
    metrics = json.loads(Path("data/skeleton/metrics.json").read_text())
    assert (metrics["ok"], metrics["frames"]) == (3, 16)
