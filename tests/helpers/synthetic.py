"""Writes a small learnable data set: sinusoidal skeletons, noisy class vectors as prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import shipped_layout, write_layout
from c2vl.training.training_params import PretrainParams

CLASSES, WIDTH, K = 4, 12, 3
BENCHMARK = "xsub"
PARAMS = PretrainParams.model_validate(
    {
        "encoder": {"width": 4, "blocks": 3, "persons": "present"},
        "view": {"frames": 16, "shortest": 16},
        "batch": 16,
        "epochs": 6,
        "warmup_epochs": 1,
        "milestones": [5],
        "probe_every": 3,
        "objective": {"temperature": 0.3, "target_temperature": 0.3},
    }
)


def write_data(
    root: Path,
    clips: int = 64,
    seed: int = 0,
    wrong: float = 0.2,
    layout: SkeletonLayout | None = None,
) -> list[str]:
    """Write index, skeleton and embed tables of `clips` samples; every fourth is a test sample.

    Sample 0 has no usable skeleton, sample 1 no prompt, and sample 2 no language prompt k = 1.

    Args:
        root: the data folder to write to.
        clips: number of samples.
        seed: of all random values.
        wrong: share of prompts that show a random class.
        layout: the skeleton; None: ntu25, from an index that does not name it.

    Returns:
        The sample ids.
    """
    rng, skeleton = np.random.default_rng(seed), layout or shipped_layout("ntu25")
    each = skeleton.shape[1:]
    joint_phase = rng.uniform(0, 2 * np.pi, each)
    axis = rng.normal(size=(CLASSES, *each))
    centres = rng.normal(size=(2, CLASSES, WIDTH))
    index, skeletons = [], []
    embeds: dict[str, list[dict]] = {"vision": [], "language": []}
    samples = []
    for number in range(clips):
        label = number // 4 % CLASSES
        sample = f"S001C001P{number % 4 + 1:03d}R{number // 4 + 1:03d}A{label + 1:03d}"
        samples.append(sample)
        split = "test" if number % 4 == 3 else "train"
        index.append(
            {
                "sample": sample,
                "label": label,
                "action": label + 1,
                BENCHMARK: split,
                "status": "ok",
                "reason": "",
            }
        )
        frames = int(rng.integers(20, 40))
        time = np.arange(frames)[:, None, None] * (0.2 + 0.1 * label)
        joints = np.zeros((frames, *skeleton.shape), np.float32)
        joints[:, 0] = axis[label] * np.sin(time + joint_phase) * 0.3 + rng.normal(
            scale=0.05, size=(frames, *each)
        )
        if label == 0:
            joints[:, 1] = joints[:, 0] + 0.5
        if not skeleton.three_d:
            joints[..., 2] = np.where(joints.any(axis=(2, 3))[..., None], 0.9, 0)
        row = {
            "sample": sample,
            "frames": frames,
            "bodies": 1,
            "joints": joints,
            "status": "ok",
            "reason": "",
        }
        skeletons.append(
            {**row, "joints": None, "frames": 0, "status": "empty", "reason": "no body"}
            if number == 0
            else row
        )
        for which, kind in enumerate(embeds):
            for k in range(K):
                shown = int(rng.integers(CLASSES)) if rng.random() < wrong else label
                feature = (centres[which, shown] + rng.normal(scale=0.5, size=WIDTH)).astype(
                    np.float16
                )
                bad = number == 1 or (number == 2 and kind == "language" and k == 1)
                row = {
                    "sample": sample,
                    "k": k,
                    "feature": None if bad else feature,
                    "truncated": False,
                }
                embeds[kind].append(
                    {**row, "status": "empty" if bad else "ok", "reason": "nobody" if bad else ""}
                )
    tables.write(
        root / "index" / "index.parquet", tables.table_of(index, tables.schemas.index([BENCHMARK]))
    )
    if layout is not None:
        write_layout(root / "index", layout)
    write_json(root / "index" / "classes.json", [f"class {label}" for label in range(CLASSES)])
    tables.write(
        root / "skeleton" / "S001C001.parquet",
        tables.table_of(skeletons, tables.schemas.skeleton(skeleton)),
    )
    for kind, rows in embeds.items():
        tables.write(
            root / "embed" / kind / "S001C001.parquet",
            tables.table_of(rows, tables.schemas.feature(WIDTH)),
        )
    return samples
