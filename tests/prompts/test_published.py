"""Published answers instead of a captioner: the file, the matching, and training without videos."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from dataset_stages import run_stage
from studio_skeletons import write_studio_files

from c2vl.cli import main
from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.datasets.sample_ids import sample_id
from c2vl.datasets.video.middle_frames import middle_frames
from c2vl.prompts.published import PublishedStage, read_for_captions
from c2vl.prompts.published_file import read_published
from c2vl.store import run
from c2vl.training.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
K = 3


def zipped(path: Path, content: Any, name: str = "language.json") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, json.dumps(content, indent=4))
    return path


def crops_of(folder: Path, *samples: str, status: str = "no_video") -> Path:
    """A crop table of two frames a clip."""
    rows = [
        {"sample": sample, "k": k, "status": status, "reason": "none"}
        for sample in samples
        for k in range(2)
    ]
    for shard, members in tables.by_shard(samples).items():
        mine = [row for row in rows if row["sample"] in members]
        tables.write(folder / f"{shard}.parquet", tables.table_of(mine, tables.schemas.CROP))
    return folder


A, B, C = (f"S001C001P001R001A{action:03d}" for action in (1, 2, 3))


def test_a_zip_a_json_file_and_a_folder_say_the_same(tmp_path: Path) -> None:
    published = {A: ["He is standing.", " He waves. "], B: ["She sits."]}
    expected = {A: ["He is standing.", "He waves."], B: ["She sits."]}
    (tmp_path / "one.json").write_text(json.dumps(published))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, sentences in published.items():
        zipped(
            folder / f"{name}.zip", {name: sentences}, f"inside/../../{name}.json"
        )  # its path is never used as one
    for path in (zipped(tmp_path / "one.zip", published), tmp_path / "one.json", folder):
        assert read_published(path).sentences == expected
    assert read_published(tmp_path / "one.json").most == 2


def test_a_folder_that_cannot_be_listed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=r"cannot be read \(Permission denied\); change its"):
        read_published(tmp_path)


def test_any_change_of_the_file_is_another_key(tmp_path: Path) -> None:
    crops = crops_of(tmp_path / "crop", A)
    first = PublishedStage(zipped(tmp_path / "a.zip", {A: ["x", "y"]}), crops).description()
    same = PublishedStage(
        zipped(tmp_path / "b.zip", {A: ["x", "y"]}, "other.json"), crops
    ).description()
    other = PublishedStage(zipped(tmp_path / "c.zip", {A: ["x", "z"]}), crops).description()
    assert first == same != other


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b'{"a": 1}',
        b'{"a": [1]}',
        b"{}",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a": ["x"' + b', "x"' * 200 + b"]}",
    ],
)
def test_what_is_no_answers_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json"):
        read_published(tmp_path / "a.json")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip"):
        read_published(tmp_path / "a.zip")


def test_a_damaged_zip_and_contradictions_are_one_sentence(tmp_path: Path) -> None:
    data = bytearray(
        zipped(tmp_path / "a.zip", {A: ["x" * 50, "He is standing."] * 20}).read_bytes()
    )
    for at in range(0, len(data), 7):
        broken = data.copy()
        broken[at] ^= 0xFF
        (tmp_path / "b.zip").write_bytes(broken)
        try:
            read_published(tmp_path / "b.zip")
        except UserError as error:
            assert "b.zip" in str(error)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "1.json").write_text(json.dumps({A: ["x"]}))
    (folder / "2.json").write_text(json.dumps({A: ["y"]}))
    with pytest.raises(UserError, match="other sentences"):
        read_published(folder)
    (tmp_path / "twice.json").write_text(f'{{"{A}": ["x"], "{A} ": ["y"]}}')
    with pytest.raises(UserError, match="twice"):
        read_published(tmp_path / "twice.json")
    with pytest.raises(UserError, match="is not there; name a published answers file"):
        read_published(tmp_path / "none.zip")
    with pytest.raises(UserError, match=r"is not there; .* set `caption.published` to null"):
        read_for_captions(tmp_path / "none.zip", per_clip=False)


def test_names_of_another_data_set_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another data set"):
        PublishedStage(
            zipped(tmp_path / "a.zip", {"A013N008V002C048L005": ["x"]}),
            crops_of(tmp_path / "crop", A),
        )


def test_names_of_any_kind_are_matched_to_their_ids(tmp_path: Path) -> None:
    names = ["brush hair/April 09.avi", "v_Basketball_g01_c02", "../../x"]
    ids = [sample_id(name) for name in names]
    file = zipped(tmp_path / "a.zip", {name: [f"He is {name}."] for name in names})
    stage = PublishedStage(file, crops_of(tmp_path / "crop", *ids))
    found = {
        unit.identity["sample"]: unit.payload
        for shard in stage.shards()
        for unit in stage.units(shard, "f")
    }
    assert found == {one: f"He is {name}." for one, name in zip(ids, names, strict=True)}
    assert stage.metrics()["published"]["clips_not_in_the_index"]["count"] == 0


def test_sentences_of_other_frames_than_the_crops_are_said(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {A: ["x", "y", "z"]})
    assert "not about crop k" not in PublishedStage(path, crops_of(tmp_path / "none", A)).summary()
    crops = crops_of(tmp_path / "crop", A, status="ok")
    assert (
        "there are crops of 2 frames per clip and 3 sentences"
        in PublishedStage(path, crops).summary()
    )
    assert (
        "not about crop k"
        not in PublishedStage(zipped(tmp_path / "b.zip", {A: ["x", "y"]}), crops).summary()
    )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A project without videos; published answers for all clips but two, which it returns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("C2VL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("C2VL_WORKERS", "1")
    frames = write_studio_files(tmp_path / "raw", 5, 24, 8)
    published = {
        sample: [answers[at] for at in middle_frames(len(answers), K)]
        for sample, answers in frames.items()
    }
    zipped(
        tmp_path / "language.zip",
        dict(list(published.items())[2:]) | {"A1": ["x"]},
    )
    params = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text())
    params["data"] |= {"raw": "raw", "benchmarks": ["xsub"], "train_subjects": [*range(1, 9)]}
    params["caption"] |= {"published": "language.zip"}
    params["caption"]["captioner"]["model"] = str(ROOT / "checkpoints" / "tiny" / "captioner")
    params["embed"]["encoder"]["model"] = str(ROOT / "checkpoints" / "tiny" / "encoder")
    params["pretrain"] |= {
        "epochs": 1,
        "batch": 16,
        "milestones": [1],
        "probe_every": 0,
        "warmup_epochs": 0,
    }
    params["pretrain"]["objective"]["knowledge"] = "language"
    params["pretrain"]["encoder"] |= {"width": 4, "blocks": 3}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return published


def test_skeletons_alone_learn_from_published_language(
    world: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("index", "skeleton", "crop"):
        run_stage(stage)
    crops = tables.rows_of(tables.read(Path("data/crop"), ["sample", "status"]))
    assert len(crops) == 4 * len(world) and {row["status"] for row in crops} <= {
        "no_video",
        "no_skeleton",
    }

    run_stage("caption")
    assert (
        "70 of 71 published clips are in the index; 1 clips not in the index (A1)"
        in capsys.readouterr().out
    )
    rows = tables.rows_of(tables.read(Path("data/caption")))
    assert {(row["sample"], row["k"]): row["answer"] for row in rows if row["status"] == "ok"} == {
        (sample, k): answer
        for sample, sentences in list(world.items())[2:]
        for k, answer in enumerate(sentences)
    }
    assert [row["status"] for row in rows if row["sample"] in list(world)[:2]] == [
        "not_published"
    ] * 2 * K
    metrics = json.loads(Path("data/caption/metrics.json").read_text())
    assert metrics["published"]["clips_without_sentences"] == {"count": 2, "first": list(world)[:2]}
    assert metrics["failed"] == {"not_published": 2 * K} and metrics["ok"] == 70 * K

    run_stage("embed", "vision")
    assert not any(
        row["feature"] is not None for row in tables.rows_of(tables.read(Path("data/embed/vision")))
    )
    run_stage("embed", "language")
    run_stage("pretrain", "xsub", "joint")
    config = json.loads(Path("results/pretrain/xsub-joint/config.json").read_text())
    assert list(config["prompts"]) == ["language"] and config["left_out"] == 2
    assert Path("results/pretrain/xsub-joint/encoder.safetensors").exists()


def test_without_videos_and_without_a_file_the_captioner_has_nothing_to_ask(
    world: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["caption"]["published"] = None
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for stage in ("index", "skeleton", "crop", "caption"):
        run_stage(stage)
    assert "caption.published" in capsys.readouterr().out
    for knowledge in ("vision", "language"):
        run_stage("embed", knowledge)
    run_stage("pretrain", "xsub", "joint")
    run_stage("baselines", "xsub")
    made = {
        str(path.relative_to("results")): (path / "encoder.safetensors").exists()
        for path in [Path("results/pretrain/xsub-joint"), *Path("results/baselines/xsub").iterdir()]
    }
    assert made == {
        "pretrain/xsub-joint": False,
        "baselines/xsub/infonce": False,
        "baselines/xsub/random": True,
        "baselines/xsub/supervised": True,
    }
    reason = json.loads(Path("results/pretrain/xsub-joint/absent.json").read_text())["reason"]
    assert "videos" in reason and "caption.published" in reason
    with pytest.raises(UserError, match=r"holds no encoder.*caption\.published"):
        load_checkpoint(Path("results/pretrain/xsub-joint"))


def test_videos_of_which_none_gave_a_crop_stop_the_captioner(
    world: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a data set of skeletons alone goes on without prompts."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["caption"]["published"] = None
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for stage in ("index", "skeleton", "crop"):
        run_stage(stage)
    for path in Path("data/crop").glob("*.parquet"):
        rows = tables.rows_of(table := tables.read(path))
        rows[0] |= {"status": "unreadable"}
        tables.write(path, tables.table_of(rows, table.schema))
    with pytest.raises(SystemExit):
        run_stage("caption")
    printed = capsys.readouterr()
    assert "no sample can be used" in printed.err and "caption.published" in printed.out


def test_the_command_counts_sentences_and_tokens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "word " * 80
    path = zipped(tmp_path / "a.zip", {A: ["He's here, 12!", "He's here, 12!"], B: [long], C: [""]})
    main(["prompts", str(path)])
    printed = capsys.readouterr().out
    assert "3 (2 with 1, 1 with 2)" in printed and "4, 3 unique, 1 empty" in printed
    assert "1 at least" in printed and "in 1 clips" in printed
    merges = tmp_path / "merges.txt"  # CLIP's layout: a line about the version, then a pair a line
    merges.write_text("#version\nh e</w>\nw o\nwo r\nwor d</w>\n")
    main(["prompts", str(path), "--merges", str(merges)])
    # he 's(2) h e r e(4) ,(1) 1 2 !(3), start and end: 13; `word` is one token: 82
    lengths = capsys.readouterr().out.split("from the shortest to the longest\n")[1].splitlines()
    assert {int(line.split()[0]) for line in lengths} == {2, 13, 82}
    whole = bytearray(gzip.compress(merges.read_bytes()))
    whole[10] ^= 0xFF  # behind the header: an error of zlib's own kind
    for damaged in (whole, whole[:15], b"\x1f\x8b", b""):
        (tmp_path / "merges.txt.gz").write_bytes(damaged)
        with pytest.raises(SystemExit):
            main(["prompts", str(path), "--merges", str(tmp_path / "merges.txt.gz")])
        assert "is no merges file of CLIP" in capsys.readouterr().err


def test_files_that_macos_adds_are_not_read(tmp_path: Path) -> None:
    junk = b"\0\5\x16\7junk"
    (tmp_path / "answers").mkdir()
    for name in ("a.zip", "answers/a.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("./a.json", json.dumps({A: ["He waves."]}))
            for hidden in ("__MACOSX/._a.json", "._a.json", "__MACOSX/b.json"):
                archive.writestr(hidden, junk)
    (tmp_path / "answers/._a.zip").write_bytes(junk)
    (tmp_path / "answers/._a.json").write_bytes(junk)
    for path in ("a.zip", "answers"):
        assert read_published(tmp_path / path).sentences == {A: ["He waves."]}


def test_half_a_character_becomes_the_replacement_character(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = {A: ["\ud83d cup", "\ud83d\ude00"], f"{B}\udc00": ["\x1b[2Jx"]}
    (tmp_path / "halves.json").write_text(json.dumps(halves))
    crops = crops_of(tmp_path / "crop", A)
    notes: dict[str, Any] = {}
    run.run(PublishedStage(tmp_path / "halves.json", crops), tmp_path / "caption", notes)
    answers = tables.read(tmp_path / "caption").column("answer").to_pylist()
    assert answers == ["\ufffd cup", "\U0001f600"]
    main(["prompts", str(tmp_path / "halves.json")])
    assert "\x1b" not in capsys.readouterr().out
