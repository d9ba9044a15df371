"""What the keys of the stages with samples cover: what each parameter does to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from c2vl.commands.pipeline.store_stages import STAGES, stages_named
from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.store.plan import described

ROOT = Path(__file__).resolve().parents[2]
SHARD, NAME = "S001C001", "S001C001P001R001A001"
ENGINES = {"pose": "engine", "crop": "detector", "caption": "captioner", "embed": "encoder"}
FOLDERS = {**ENGINES, "pose": "pose"}  # of checkpoints/tiny
SECTION = {stage.name: stage.name.split("-")[0] for stage in STAGES} | {"video_skeleton": "pose"}
KEPT, CHANGED = "keys stay", "keys change"

CHANGES: dict[str, tuple[Any, str]] = {
    "pose.frames": (7, CHANGED),
    "pose.look_every": (2, CHANGED),
    "pose.max_failed": (0.5, KEPT),
    "pose.engine.revision": ("a branch", KEPT),
    "pose.engine.dataset_index": (3, CHANGED),
    "pose.engine.dtype": ("bfloat16", CHANGED),
    "skeleton.rules": ("aligned", CHANGED),
    "skeleton.solo": ("copy", KEPT),  # applied when the output is written
    "skeleton.max_failed": (0.5, KEPT),
    "crop.frames_per_clip": (12, KEPT),  # more frames, those of before among them
    "crop.margin": (0.5, CHANGED),
    "crop.square": (True, CHANGED),
    "crop.jpeg_quality": (50, CHANGED),
    "crop.fallback": ("drop", CHANGED),
    "crop.max_failed": (0.5, KEPT),
    "crop.video_backend": ("decord", CHANGED),
    "crop.detector.revision": ("a branch", KEPT),  # of a local checkpoint: its bytes count
    "crop.detector.prompt": ("people.", CHANGED),
    "crop.detector.box_threshold": (0.4, CHANGED),
    "crop.detector.text_threshold": (0.4, CHANGED),
    "crop.detector.shortest_edge": (320, CHANGED),
    "crop.detector.longest_edge": (640, CHANGED),
    "crop.detector.dtype": ("bfloat16", CHANGED),
    "caption.max_failed": (0.5, KEPT),
    "caption.per": ("clip", CHANGED),
    "caption.clip_question": ("What is it?", KEPT),  # not asked with `per: frame`
    "caption.captioner.revision": ("a branch", KEPT),
    "caption.captioner.question": ("What is it?", CHANGED),
    "caption.captioner.template": ("<image> {question}", CHANGED),
    "caption.captioner.max_new_tokens": (7, CHANGED),
    "caption.captioner.max_pixels": (5000, CHANGED),
    "caption.captioner.temperature": (0.9, CHANGED),
    "caption.captioner.pad_to_square": (True, CHANGED),
    "caption.captioner.server": ({"model": "llava", "revision": "2024-05-01"}, CHANGED),
    "caption.captioner.dtype": ("float16", CHANGED),
    "embed.max_failed": (0.5, KEPT),
    "embed.encoder.revision": ("a branch", KEPT),
    "embed.encoder.normalise": (False, CHANGED),
    "embed.encoder.pad_to_square": (True, CHANGED),
    "embed.encoder.dtype": ("bfloat16", CHANGED),
}
OTHERWISE = {"caption.published", "crop.detector.backend", "pose.compare"} | {
    f"{section}.{engine}.model" for section, engine in ENGINES.items()
}  # tests below


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with one sample in every table."""
    made = tmp_path_factory.mktemp("keys")
    shutil.copytree(ROOT / "checkpoints", made / "checkpoints")
    entry = {
        "sample": NAME,
        "dataset": "ntu60",
        "skeleton_file": f"{NAME}.skeleton",
        "skeleton_hash": "ab",
        "status": "ok",
    }
    entry |= {"video_file": f"{NAME}_rgb.avi", "video_hash": "cd", "video_frames": 60}
    tables.write(
        made / "data/index/index.parquet", tables.table_of([entry], tables.schemas.index([]))
    )
    joints = {
        "colour": np.ones((60, 2, 25, 2), np.float32),
        "tracked": np.ones((60, 2, 25), np.uint8),
    }
    skeleton = {
        "sample": NAME,
        "bodies": 1,
        "file_frames": 60,
        "status": "ok",
        "reason": "",
        **joints,
    }
    tables.write(
        made / "data/skeleton" / f"{SHARD}.parquet",
        tables.table_of([skeleton], tables.schemas.SKELETON),
    )
    prompts = [{"sample": NAME, "k": k, "status": "ok", "reason": ""} for k in range(2)]
    crops = [{**row, "frame": k, "crop": b"jpeg %d" % k} for k, row in enumerate(prompts)]
    tables.write(
        made / "data/crop" / f"{SHARD}.parquet", tables.table_of(crops, tables.schemas.CROP)
    )
    answers = [{**row, "answer": f"answer {k}"} for k, row in enumerate(prompts)]
    tables.write(
        made / "data/caption" / f"{SHARD}.parquet", tables.table_of(answers, tables.schemas.CAPTION)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("C2VL_HOME", str(made / "home"))
        patch.delenv("C2VL_STORE", raising=False)
        patch.chdir(made)
        yield made


def params() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / "profiles" / "demo.yaml").read_text(encoding="utf-8")
    )
    return content


def put(content: dict[str, Any], name: str, value: Any) -> None:
    *sections, last = name.split(".")
    for section in sections:
        content = content[section]
    assert content[last] != value, f"{name} is {value} already"
    content[last] = value


def keys(stage: str, content: dict[str, Any]) -> list[bytes]:
    """Keys of all units of a stage under params."""
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (known,) = stages_named(stage)
    stage = known.open()
    fingerprint, _ = described(stage)
    return [
        unit.key
        for shard in stage.shards()
        for unit in stage.units(shard, fingerprint)
        if unit.key is not None
    ]


@pytest.fixture(scope="module")
def usual(folder: Path) -> dict[str, list[bytes]]:
    return {stage.name: keys(stage.name, params()) for stage in STAGES}


def leaves(tree: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}"


def test_no_parameter_is_forgotten_here() -> None:
    content = params()
    assert {
        name for section in set(SECTION.values()) for name in leaves(content[section], section)
    } == {*CHANGES, *OTHERWISE}


@pytest.mark.parametrize("name", CHANGES)
def test_a_parameter_changes_the_keys_of_its_own_stage_or_of_none(
    name: str, usual: dict[str, list[bytes]]
) -> None:
    value, expected = CHANGES[name]
    content = params()
    put(content, name, value)
    for stage, before in usual.items():
        now = keys(stage, content)
        sees = stage == "video_skeleton" and name.startswith(("crop.detector", "crop.video"))
        if (SECTION[stage] == name.split(".")[0] or sees) and expected == CHANGED:
            assert set(now).isdisjoint(before), stage
        elif name == "crop.frames_per_clip" and stage == "crop":
            assert set(before) < set(now)  # 12 equal segments have the middles of 4
        else:
            assert now == before, stage


@pytest.mark.parametrize("section", ENGINES)
def test_a_checkpoint_is_known_by_its_bytes_and_not_by_its_place(
    section: str, folder: Path, usual: dict[str, list[bytes]]
) -> None:
    elsewhere = folder / "elsewhere" / section
    shutil.copytree(folder / "checkpoints" / "tiny" / FOLDERS[section], elsewhere)
    content = params()
    put(content, f"{section}.{ENGINES[section]}.model", str(elsewhere))
    stages = [stage for stage, its in SECTION.items() if its == section]
    assert all(keys(stage, content) == usual[stage] for stage in stages)
    weights = elsewhere / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert all(set(keys(stage, content)).isdisjoint(usual[stage]) for stage in stages)


def test_skeletons_from_videos_beside_the_sensor_s_are_found_only_to_compare(
    folder: Path, usual: dict[str, list[bytes]]
) -> None:
    content = params()
    content["pose"]["compare"] = False
    assert len(usual["video_skeleton"]) == 1 and keys("video_skeleton", content) == []
    assert usual["pose"] == [] and keys("skeleton", content) == usual["skeleton"]


def test_questions_about_clips_have_keys_of_the_question_that_is_asked(folder: Path) -> None:
    content = params()
    content["caption"]["per"] = "clip"
    (of_clip,) = keys("caption", content)
    content["caption"]["captioner"]["question"] = "What is it?"  # of crops
    assert keys("caption", content) == [of_clip]
    content["caption"]["clip_question"] = "What is it?"
    assert keys("caption", content) != [of_clip]


def test_another_backend_reads_other_weights_and_is_another_key(
    folder: Path, usual: dict[str, list[bytes]]
) -> None:
    content = params()
    content["crop"]["detector"] |= {
        "backend": "groundingdino",
        "model": str(folder / "original.pth"),
    }
    found = []
    for weights in (b"weights", b"others"):
        (folder / "original.pth").write_bytes(weights)
        found.append(keys("crop", content))
    assert len({found[0][0], found[1][0], usual["crop"][0]}) == 3


def test_crops_by_joints_have_keys_of_their_own_and_need_no_weights(
    folder: Path, usual: dict[str, list[bytes]]
) -> None:
    found = [usual["crop"]]
    for backend, model in (("skeleton", None), ("auto", "checkpoints/tiny/detector")):
        content = params()
        content["crop"]["detector"] |= {"backend": backend, "model": model}
        found.append(keys("crop", content))
    assert len({one for keys_of in found for one in keys_of}) == sum(map(len, found))
    content["crop"]["detector"] |= {"backend": "skeleton", "model": "nowhere", "prompt": "people."}
    assert keys("crop", content) == found[1]


def test_machine_settings_and_the_raw_folder_are_in_no_key(
    monkeypatch: pytest.MonkeyPatch, usual: dict[str, list[bytes]]
) -> None:
    settings = {
        "C2VL_WORKERS": "3",
        "C2VL_DEVICE": "cuda:7",
        "LOCAL_RANK": "2",
        "C2VL_BATCH_CROP": "5",
        "C2VL_BATCH_CAPTION": "5",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    content = params()
    content["data"]["raw"] = "moved/elsewhere"
    assert {stage: keys(stage, content) for stage in usual} == usual


def rewritten(path: Path, **changes: Any) -> Callable[[], None]:
    """Change columns of a table's first row; returns what undoes it."""
    before = path.read_bytes()
    table = tables.read(path)
    first, *others = tables.rows_of(table)
    tables.write(path, tables.table_of([{**first, **changes}, *others], table.schema))
    return lambda: path.write_bytes(before) and None


BYTES = {
    "skeleton": ("data/index/index.parquet", {"skeleton_hash": "ee"}),
    "crop": ("data/index/index.parquet", {"video_hash": "ee"}),
    "caption": (f"data/crop/{SHARD}.parquet", {"crop": b"another jpeg"}),
    "embed-vision": (f"data/crop/{SHARD}.parquet", {"crop": b"another jpeg"}),
    "embed-language": (f"data/caption/{SHARD}.parquet", {"answer": "another answer"}),
}


@pytest.mark.parametrize("stage", BYTES)
def test_other_bytes_are_other_keys(stage: str, usual: dict[str, list[bytes]]) -> None:
    path, change = BYTES[stage]
    undo = rewritten(Path(path), **change)
    try:
        now = keys(stage, params())
        assert now[0] != usual[stage][0]
        if SECTION[stage] in ("caption", "embed"):
            assert now[1:] == usual[stage][1:]
    finally:
        undo()


def test_the_joints_that_choose_the_people_are_in_the_crops_key(
    usual: dict[str, list[bytes]],
) -> None:
    undo = rewritten(
        Path("data/skeleton") / f"{SHARD}.parquet", colour=np.full((60, 2, 25, 2), 9, np.float32)
    )
    try:
        assert set(keys("crop", params())).isdisjoint(usual["crop"])
    finally:
        undo()


def test_moved_files_keep_their_keys(usual: dict[str, list[bytes]]) -> None:
    undo = rewritten(
        Path("data/index/index.parquet"), skeleton_file="deep/er.skeleton", video_file="deep/er.avi"
    )
    try:
        assert [keys(stage, params()) for stage in ("skeleton", "crop")] == [
            usual["skeleton"],
            usual["crop"],
        ]
    finally:
        undo()


def test_published_answers_are_known_by_their_content(
    folder: Path, usual: dict[str, list[bytes]]
) -> None:
    content = params()
    found = []
    answers = {"a.json": "He waves.", "b.json": "He waves.", "c.json": "She waves."}
    for place, answer in answers.items():
        write_json(folder / place, {NAME: [answer]})
        content["caption"]["published"] = str(folder / place)
        found.append(keys("caption", content))
    assert found[0] == found[1] != found[2]
    assert set(found[0]).isdisjoint(usual["caption"])


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_a_new_version_of_a_stage_is_another_key(
    stage: str, usual: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import c2vl.datasets.skeletons.skeleton_stage
    import c2vl.prompts.caption
    import c2vl.prompts.crop
    import c2vl.prompts.embed
    import c2vl.prompts.pose.pose_stage

    module = {
        "pose": c2vl.prompts.pose.pose_stage,
        "video_skeleton": c2vl.prompts.pose.pose_stage,
        "skeleton": c2vl.datasets.skeletons.skeleton_stage,
        "crop": c2vl.prompts.crop,
        "caption": c2vl.prompts.caption,
    }
    monkeypatch.setattr(module.get(stage, c2vl.prompts.embed), "VERSION", 99)
    assert set(keys(stage, params())).isdisjoint(usual[stage])
