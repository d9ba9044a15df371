"""Writes a small synthetic set of outputs of every stage: what `score` and `report` read."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.files import write_json
from c2vl.core.tables import schemas
from c2vl.core.tables.fingerprint import data_fingerprint
from c2vl.training.finetuning.finetune_files import score_table, write_scores

CLASSES = ["drink water", "clap", "kick", "shake hands"]
PROMPTS, FRAMES = 2, 12
SENTENCES = [
    "The person is standing and holding a cup. "
    "The person is trying to bring something to the mouth.",
    "The person is standing and holding nothing. "
    "The person is trying to bring both hands together.",
    "The person is sitting and holding nothing. The person is trying to lift a leg.",
    "Two people are standing and holding nothing. They are trying to reach for each other.",
]
PHRASES = [
    "bring something to the mouth",
    "bring both hands together",
    "lift a leg",
    "reach for each other",
]
POSE = np.array(
    [[0.0, y, 0.1 * (j % 3)] for j, y in enumerate(np.linspace(-0.9, 0.7, 25))], np.float32
)
BROKEN = "S001C001P001R001A001"


def names() -> list[str]:
    """32 sample ids: two setups, two cameras, two subjects in each setup, four actions."""
    where = [
        (s, c, p, a)
        for s in (1, 2)
        for c in (1, 2)
        for p in (2 * s - 1, 2 * s)
        for a in range(1, 5)
    ]
    return [f"S{s:03}C{c:03}P{p:03}R001A{a:03}" for s, c, p, a in where]


def write_data(root: Path, dataset: str = "studio") -> None:
    """Write `data/*` with videos; one sample is excluded, one has no crop of its second frame."""
    raw, rows = root / "data/studio", []
    raw.mkdir(parents=True)
    for name in names():
        numbers = {"setup": 0, "camera": 4, "subject": 8, "repetition": 12, "action": 16}
        row = {key: int(name[at + 1 : at + 4]) for key, at in numbers.items()}
        split = {
            "xsub": "train" if row["subject"] % 2 else "test",
            "xview": "train" if row["camera"] == 1 else "test",
        }
        row |= {
            "sample": name,
            "dataset": dataset,
            "label": row["action"] - 1,
            "video_file": f"{name}.avi",
            "skeleton_frames": FRAMES,
        }
        row |= {"status": "ok", "reason": "", **split}
        if name == BROKEN:
            row |= {"status": "excluded", "reason": "no skeleton <file>", "xsub": "", "xview": ""}
        rows.append(row)
        _video(raw / f"{name}.avi", row["label"])
    tables.write(
        root / "data/index/index.parquet", tables.table_of(rows, schemas.index(["xsub", "xview"]))
    )
    write_json(root / "data/index/classes.json", CLASSES)
    usable = {row["sample"]: row for row in rows if row["status"] == "ok"}
    for shard, members in tables.by_shard(usable).items():
        _shard(root / "data", shard, [usable[sample] for sample in members])


def _video(path: Path, label: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15, (192, 108))
    for _ in range(FRAMES):
        writer.write(np.full((108, 192, 3), (40 * label, 90, 140), np.uint8))
    writer.release()


def _shard(data: Path, shard: str, rows: list[dict]) -> None:
    jpeg = cv2.imencode(".jpg", np.full((60, 30, 3), 120, np.uint8))[1].tobytes()
    skeletons, crops, captions, features = [], [], [], []
    for row in rows:
        joints = np.zeros((FRAMES, 2, 25, 3), np.float32)
        joints[:, 0] = POSE
        colour = np.full((FRAMES, 2, 25, 2), np.nan, np.float32)
        colour[:, 0] = POSE[:, :2] * (300, -400) + (960, 540)
        skeletons.append(
            {
                "sample": row["sample"],
                "frames": FRAMES,
                "bodies": 1,
                "joints": joints,
                "file_frames": FRAMES,
                "colour": colour,
            }
            | {"tracked": np.full((FRAMES, 2, 25), 2, np.uint8), "status": "ok", "reason": ""}
        )
        for k in range(PROMPTS):
            key = {"sample": row["sample"], "k": k}
            lost = row["sample"] == names()[-1] and k == 1
            box = np.array([70, 20, 120, 100], np.float32)
            crop = {
                **key,
                "frame": 3 + 6 * k,
                "boxes": box,
                "scores": np.ones(1, np.float32),
                "coverage": 0.9,
                "video_width": 192,
            }
            crop |= {
                "x0": 66.0,
                "y0": 16.0,
                "x1": 124.0,
                "y1": 104.0,
                "crop": jpeg,
                "chosen": np.zeros(1, np.int8),
                "video_height": 108,
            }
            bad = {"status": "undecodable", "reason": "frame 9 cannot be decoded"}
            crops.append({**key, **bad} if lost else {**crop, "status": "ok", "reason": ""})
            answer = SENTENCES[row["label"] if k == 0 else (row["label"] + 1) % 4]
            captions.append(
                {**key, **bad}
                if lost
                else {**key, "answer": answer, "finished": True, "status": "ok", "reason": ""}
            )
            feature = np.eye(4, 8, dtype=np.float16)[row["label"]]
            features.append(
                {**key, **bad}
                if lost
                else {**key, "feature": feature, "status": "ok", "reason": ""}
            )
    tables.write(data / f"skeleton/{shard}.parquet", tables.table_of(skeletons, schemas.SKELETON))
    tables.write(data / f"crop/{shard}.parquet", tables.table_of(crops, schemas.CROP))
    tables.write(data / f"caption/{shard}.parquet", tables.table_of(captions, schemas.CAPTION))
    tables.write(
        data / f"embed/vision/{shard}.parquet", tables.table_of(features, schemas.feature(8))
    )


def write_truth(folder: Path) -> None:
    """Write the truth about `write_data`: the detector found every person exactly."""
    people, answers = [], []
    for name in names():
        label = int(name[-3:]) - 1
        for frame in range(FRAMES):
            key = {"sample": name, "frame": frame}
            people.append(
                {
                    **key,
                    "person": 0,
                    "x0": 70,
                    "y0": 20,
                    "x1": 120,
                    "y1": 100,
                    "object": "nothing",
                    "posture": "standing",
                    "joints": np.zeros(17 * 3, np.float32),  # none is seen
                }
            )
            answers.append({**key, "sentence": SENTENCES[label]})
    tables.write(folder / "people.parquet", tables.table_of(people, schemas.PEOPLE))
    tables.write(folder / "answers.parquet", tables.table_of(answers, schemas.ANSWERS))
    tables.write(
        folder / "broken.parquet",
        tables.table_of([{"sample": BROKEN, "what": "no skeleton"}], schemas.BROKEN),
    )
    vocabulary = {
        "objects": ["cup", "ball"],
        "postures": ["standing", "sitting"],
        "phrases": PHRASES,
        "actions": CLASSES,
    }
    write_json(folder / "vocabulary.json", vocabulary)


def write_results(
    root: Path, benchmarks: tuple[str, ...] = ("xsub", "xview"), seed: int = 0
) -> None:
    """Write `results/{evaluate,pretrain,baselines}`; better methods have higher accuracy."""
    generator = np.random.default_rng(seed)
    index, names_of = (
        tables.rows_of(tables.read(root / "data/index/index.parquet")),
        _read_classes(root),
    )
    skill = {"random": 0.4, "infonce": 0.62, "c2vl": 0.72, "supervised": 0.8}
    metrics: dict = {
        "linear": {},
        "knn": {},
        "end_to_end": {},
        "samples": {},
        "zero_shot": {},
        "retrieval": {},
    }
    predictions, features, similarity, per_class, calibration = [], [], [], [], []
    centres = generator.normal(size=(len(names_of), 16))
    for benchmark in benchmarks:
        test = [row for row in index if row[benchmark] == "test"]
        labels = np.array([row["label"] for row in test])
        metrics["samples"][benchmark] = {
            "train": 40,
            "test": len(test),
            "classes": len(names_of),
            "chance": 1 / len(names_of),
        }
        linear = metrics["linear"].setdefault(benchmark, {})
        runs = [(method, "joint") for method in skill] + [
            ("c2vl", s) for s in ("bone", "motion", "fusion", "fusion_equal")
        ]
        for method, stream in runs:
            right = generator.random(len(test)) < skill[method] + (
                0.06 if stream == "fusion" else 0
            )
            predicted = np.where(right, labels, generator.integers(0, len(names_of), len(test)))
            value = {
                "top1": float((predicted == labels).mean()),
                "top5": 0.95,
                "mean_class": 0.7,
                "ece": 0.0625,
            }
            key = {"benchmark": benchmark, "stream": stream, "method": method}
            calibration += [
                {
                    **key,
                    "lower": 0.5,
                    "upper": 0.6,
                    "clips": len(test),
                    "confidence": 0.55,
                    "accuracy": 0.6,
                }
            ]
            calibration += [
                {**key, "lower": 0.6, "upper": 0.7, "clips": 0, "confidence": 0.0, "accuracy": 0.0}
            ]
            if method in ("c2vl", "infonce"):
                of = metrics["zero_shot"].setdefault(benchmark, {}).setdefault(stream, {})
                of[method] = {"top1": 0.5, "top5": 1.0, "mean_class": 0.5, "chance": 0.25}
                way = {
                    f"{what}{at}": (0.3 if what == "recall" else 0.1)
                    for what in ("recall", "chance")
                    for at in (1, 5, 10)
                }
                way |= {"median_rank": 2.5, "same_class": 0.4}
                found = {
                    "clips": 15,
                    "sentences": 4,
                    "sentence_to_skeleton": way,
                    "skeleton_to_sentence": way,
                }
                metrics["retrieval"].setdefault(benchmark, {}).setdefault(stream, {})[method] = (
                    found
                )
            linear.setdefault(stream, {})[method] = value | (
                {} if "fusion" in stream else {"best_on_test": value["top1"] + 0.01}
            )
            for protocol in ("linear", "knn"):
                key = {
                    "benchmark": benchmark,
                    "protocol": protocol,
                    "method": method,
                    "stream": stream,
                }
                predictions += [
                    {
                        **key,
                        "sample": row["sample"],
                        "label": row["label"],
                        "prediction": int(p),
                        "probability": 0.6,
                    }
                    for row, p in zip(test, predicted, strict=True)
                ]
                per_class += [
                    {
                        **key,
                        "label": c,
                        "name": names_of[c],
                        "samples": int((labels == c).sum()),
                        "accuracy": float((predicted == labels)[labels == c].mean()),
                    }
                    for c in np.unique(labels)
                ]
            if "fusion" in stream:
                continue
            metrics["knn"].setdefault(benchmark, {}).setdefault(stream, {})[method] = {
                "top1": value["top1"] * 0.9,
                "mean_class": 0.6,
            }
            x = centres[labels] * skill[method] * 2.4 + generator.normal(size=(len(test), 16))
            key = {"benchmark": benchmark, "method": method, "stream": stream}
            features += [
                {**key, "sample": row["sample"], "label": row["label"], "feature": list(f)}
                for row, f in zip(test, x, strict=True)
            ]
            folder = root / (
                f"results/pretrain/{benchmark}-{stream}"
                if method == "c2vl"
                else f"results/baselines/{benchmark}/{method}"
            )
            _curve(folder / "curves.csv", method, skill[method])
        metrics["end_to_end"][benchmark] = {
            "joint": {"supervised": {"top1": 0.83, "top5": 0.97, "mean_class": 0.8}}
        }
        for method in ("c2vl", "infonce"):
            for knowledge in ("vision", "language"):
                key = {"benchmark": benchmark, "method": method, "knowledge": knowledge}
                for kind, mean, count in (
                    ("positive", 0.6, len(test)),
                    ("negative", 0.2, 4 * len(test)),
                ):
                    similarity += [
                        {**key, "kind": kind, "similarity": v}
                        for v in generator.normal(mean, 0.15, count).clip(-1, 1)
                    ]
    out = root / "results/evaluate"
    write_json(out / "metrics.json", metrics)
    for name, rows in {
        "predictions": predictions,
        "features": features,
        "similarity": similarity,
    }.items():
        tables.write(out / f"{name}.parquet", pa.Table.from_pylist(rows))
    _csv(out / "per_class.csv", per_class)
    _csv(out / "calibration.csv", calibration)


def _curve(path: Path, method: str, skill: float) -> None:
    if method == "random":
        return
    epochs = range(1, 31)
    rows = [
        {
            "epoch": e,
            "loss": 1 + 3 * np.exp(-e / 8 * skill),
            "diagonal": 1 - 0.5 * e / 30 if method == "c2vl" else "",
            "probe": skill * (1 - np.exp(-e / 6)) if e % 5 == 0 and method != "supervised" else "",
        }
        for e in epochs
    ]
    _csv(path, rows)


def _csv(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _read_classes(root: Path) -> list[str]:
    import json

    return json.loads((root / "data/index/classes.json").read_text())


def write_compare(root: Path, seeds: int = 5) -> None:
    """Write `results/compare/compare.json`: C²VL wins in all seeds but the last."""
    top1 = {
        "c2vl": [0.72] * (seeds - 1) + [0.6],
        "infonce": [0.66] * seeds,
        "random": [0.4] * seeds,
    }

    def spread(values: list[float]) -> dict:
        return {
            "mean": float(np.mean(values)),
            "std": float(np.std(values, ddof=1)),
            "values": values,
        }

    methods = {
        method: {"linear": {"top1": spread(values)}, "knn": {"top1": spread(values)}}
        for method, values in top1.items()
    }
    gain = spread(
        [float(mine - hard) for mine, hard in zip(top1["c2vl"], top1["infonce"], strict=True)]
    )
    gains = {"linear": {"top1": gain}, "knn": {"top1": gain}}
    cell = {"benchmark": "xsub", "stream": "joint", "methods": methods, "gain": gains}
    write_json(
        root / "results/compare/compare.json",
        {
            "data": data_fingerprint(root / "data"),
            "seeds": list(range(seeds)),
            "cells": [cell],
        },
    )


def write_protocols(
    root: Path, targets: dict[str, str] | None = None, fractions: tuple[str, ...] = ("0.01", "0.1")
) -> None:
    """Write `results/protocols/metrics.json`: joint stream, xsub, a transfer to each target.

    Also the scores of the finetuned encoders: 8 clips of 4 classes, 4 and 5 of them right.

    Args:
        root: the folder to write to.
        targets: name of a target → its data set.
        fractions: shares of labels of the semi-supervised runs.
    """
    full = {
        start: {"top1": top1, "top5": 0.9} for start, top1 in (("scratch", 0.5), ("c2vl", 0.625))
    }
    labelled = dict(zip(fractions, (4, 40), strict=True))
    semi = {
        start: {
            f: {"labelled": labelled[f], "top1": {"mean": top1, "std": 0.0125, "values": [top1]}}
            for f in fractions
        }
        for start, top1 in (("scratch", 0.25), ("c2vl", 0.375))
    }
    transfer = {
        name: {
            "source": "xsub",
            "dataset": dataset,
            "benchmark": "xsub",
            "train": 8,
            "test": 8,
            "classes": 8,
        }
        | {"streams": {"joint": full}}
        for name, dataset in (targets or {}).items()
    }
    found = {
        "finetune": {"xsub": {"joint": full}},
        "semi": {"xsub": {"joint": semi}},
        "transfer": transfer,
    }
    write_json(root / "results/protocols/metrics.json", found)
    labels = np.arange(8) % 4
    parts = []
    for start, right in (("scratch", 4), ("c2vl", 5)):
        answers = np.where(np.arange(8) < right, labels, (labels + 1) % 4)
        names = [f"clip{number}" for number in range(8)]
        parts.append(score_table({"start": start}, names, labels, np.eye(4)[answers]))
    write_scores(root / "results/finetune/full/xsub-joint", parts)


def write_ablations(root: Path) -> None:
    """Write `results/ablations/ablations.json`: every declared sweep, all settings 50.0 ± 2.5."""
    import yaml

    declared = yaml.safe_load(
        (Path(__file__).resolve().parents[2] / "ablations.yaml").read_text(encoding="utf-8")
    )
    spread = {"mean": 0.5, "std": 0.025, "values": [0.475, 0.5, 0.525]}
    sweeps = {}
    for name, sweep in declared["sweeps"].items():
        benchmarks = sweep.get("benchmarks", ["xsub"])
        results = {benchmark: {"linear": spread, "knn": spread} for benchmark in benchmarks}
        rows = [
            {
                "name": row["name"],
                "x": row.get("x"),
                "paper": row.get("paper", {}),
                "results": results,
            }
            for row in sweep["settings"]
        ]
        described = {
            "title": sweep["title"],
            "reference": sweep.get("reference", ""),
            "split": sweep.get("split", "test"),
        }
        sweeps[name] = {
            **described,
            "axis": sweep.get("axis", ""),
            "benchmarks": benchmarks,
            "rows": rows,
        }
    head = {"stream": "joint", "seeds": [0, 1, 2], "base": {"epochs": 30}}
    head = {"data": data_fingerprint(root / "data"), **head}
    write_json(root / "results/ablations/ablations.json", {**head, "sweeps": sweeps})
