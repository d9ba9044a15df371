"""A project with results: what `predict`, `search` and `export` need of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from synthetic import BENCHMARK, CLASSES, WIDTH, write_data

from c2vl.core import tables
from c2vl.core.layout import SkeletonLayout
from c2vl.evaluation.frozen_features import make_features
from c2vl.evaluation.head_files import save_head
from c2vl.evaluation.linear import LinearHead
from c2vl.models.clips import load_clips
from c2vl.models.encoders.registry import STGCNParams
from c2vl.training.checkpoint import EncoderConfig, save_checkpoint

FRAMES = 8


def write_project(root: Path, layout: SkeletonLayout | None = None) -> Path:
    """Tables of a small data set, three random encoders with heads, their features, and params.

    Args:
        root: the folder to write to.
        layout: a 2D skeleton; None: ntu25.
    """
    write_data(root / "data", layout=layout)
    shard = root / "data/skeleton/S001C001.parquet"
    if layout is None:
        rows = tables.rows_of(tables.read(shard))
        rows = [{**row, "joints": centred_by_hand(row)} for row in rows]
        tables.write(shard, tables.table_of(rows, tables.schemas.SKELETON))
    graph = {"graph": layout.name} if layout else {}
    clips = [load_clips(root / "data", BENCHMARK, split, "cpu") for split in ("train", "test")]
    rng = np.random.default_rng(0)
    for number, stream in enumerate(("joint", "motion", "bone")):
        torch.manual_seed(number)
        config = EncoderConfig(
            method="c2vl",
            benchmark=BENCHMARK,
            stream=stream,
            seed=0,
            encoder=STGCNParams(width=4, blocks=3, persons="present", **graph),
            frames=FRAMES,
            prompts={"vision": WIDTH, "language": WIDTH},
        )
        name = f"{BENCHMARK}-{stream}"
        save_checkpoint(root / "results/pretrain" / name, config.build(), config, [])
        make_features(root / "results/pretrain" / name, *clips, root / "results/features" / name)
        values = [rng.normal(size=shape) for shape in ((CLASSES, 16), (CLASSES,), (16,))] + [
            rng.uniform(0.01, 0.1, 16)
        ]
        about = {
            "classes": [f"class {label}" for label in range(CLASSES)],
            "benchmark": BENCHMARK,
            "stream": stream,
            "top1": 0.5,
        }
        save_head(root / "results/evaluate/heads", name, LinearHead(*values), about)
    sections = {
        "data": {"dataset": "ntu60", "raw": "raw", "benchmarks": [BENCHMARK]},
        "skeleton": {"rules": "ctrgcn", "solo": None, "max_failed": 0.1},
        "evaluate": {},
        "embed": {
            "max_failed": 0.1,
            "encoder": {"model": "nowhere", "revision": None, "dtype": "float32"},
        },
    }
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    return root


def centred_by_hand(row: dict[str, Any]) -> np.ndarray | None:
    """Joints (T, 2, 25, 3) of a row, centred on joint 2 of person 1's first frame.

    An absent second person stays zero.
    """
    if row["joints"] is None:
        return None
    joints = np.asarray(row["joints"], np.float32).reshape(-1, 2, 25, 3)
    return np.where(joints.any(axis=(2, 3), keepdims=True), joints - joints[0, 0, 1], 0)
