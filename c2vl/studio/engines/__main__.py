"""Train the shipped tiny engines: render stills, train four engines and score them.

`python -m c2vl.studio.engines` runs all phases, two at a time on two cores. You can also run single
phases:

    stills ──┬─ detector ──┬─ boxes ─┬─ captioner ─┬─ scores
             ├─ tower ─────┘         ├─ encoder ───┤
             └─ pose ────────────────┴─────────────┘
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError, one_sentence
from c2vl.core.files import read_json, write_json
from c2vl.core.machine import state_dir, workers
from c2vl.studio.engines.stills_on_disk import HELD_OUT, Frames, cached

# Processor minutes, with one thread.
MINUTES = {"detector": 24.0, "tower": 15.0, "captioner": 14.0, "encoder": 13.0, "pose": 24.0}
PHASES = ("stills", "detector", "tower", "boxes", "captioner", "encoder", "pose", "scores")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m c2vl.studio.engines", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "phases",
        nargs="*",
        default=["all"],
        choices=["all", *PHASES],
        metavar="PHASE",
        help=" ".join(PHASES),
    )
    parser.add_argument(
        "--minutes", type=float, help="processor minutes of each training phase (default: its own)"
    )
    parser.add_argument("--steps", type=int, help="train for a number of steps instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--start",
        type=Path,
        help="folder of trained engines from which captioner and encoder continue "
        "(default: what the phase `tower` wrote)",
    )
    parser.add_argument("--stills", type=int, default=14_000, help="frames to train on")
    parser.add_argument("--held-out", type=int, default=1_000, help="frames to score on")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/tiny"))
    parser.add_argument(
        "--work",
        type=Path,
        default=state_dir() / "tiny",
        help="folder for stills, crops and intermediate results",
    )
    return parser.parse_args()


def stills(options: argparse.Namespace, which: str = "train") -> Frames:
    """The cached stills; renders them if the cache is empty."""
    first, count = (0, options.stills) if which == "train" else (HELD_OUT, options.held_out)
    return cached(options.work / which, first, count, workers())


def crops(options: argparse.Namespace, of_detector: bool) -> Any:
    """Training crops from true and jittered boxes, or from the detector's boxes."""
    from c2vl.studio.engines.detected import detected_boxes, source
    from c2vl.studio.engines.training_crops import exact, jittered, make, saved

    frames = stills(options)
    if not of_detector:
        return saved(
            options.work / "crops", lambda: make(frames, [exact, jittered, jittered], options.seed)
        )
    boxes = detected_boxes(frames, options.out / "detector", options.work / "detected.npy")
    sources = [source(boxes), source(boxes, 0.02), source(boxes, 0.04), jittered]
    return saved(options.work / "detected-crops", lambda: make(frames, sources, options.seed + 1))


def train_phase(phase: str, options: argparse.Namespace) -> None:
    """Run one training phase in this process and record its recipe, seed and time."""
    from c2vl.studio.engines.train_loop import Budget

    began = time.time()

    def budget() -> Budget:
        return (
            Budget(steps=options.steps)
            if options.steps
            else Budget(minutes=options.minutes or MINUTES[phase])
        )

    if phase in ("detector", "pose"):
        from c2vl.studio.engines import train_detector, train_pose

        trainer = train_detector if phase == "detector" else train_pose
        record: dict[str, Any] = trainer.run(
            stills(options), budget(), options.seed, options.out / phase
        )
        record = {**record, "recipe": trainer.RECIPE}
    else:
        from c2vl.studio.engines import train_tower

        own = phase != "tower"
        begin = options.start or options.work / "tower"
        start = {engine: begin / engine for engine in ("captioner", "encoder")} if own else None
        out = options.out if own else options.work / "tower"
        record = train_tower.run(
            phase, crops(options, of_detector=own), budget(), options.seed, out, start
        )
        record = {**record, "recipe": vars(train_tower.RECIPES[phase])}
    record |= {
        "seed": options.seed,
        "wall_minutes": round((time.time() - began) / 60, 2),
        "stills": options.stills,
        **({"start": str(options.start)} if options.start else {}),
    }
    write_json(options.work / "records" / f"{phase}.json", record)


def score(options: argparse.Namespace) -> None:
    """Score the engines on held-out stills and write `SCORES.json` beside them."""
    from c2vl.studio.engines.held_out_scores import evaluate

    scores = evaluate(options.out, stills(options, "held-out"))
    records = {
        path.stem: read_json(path) for path in sorted((options.work / "records").glob("*.json"))
    }
    scores["first_seed"] = HELD_OUT
    write_json(options.out / "SCORES.json", {"held_out": scores, "training": records})
    for engine in ("detector", "pose", "captioner", "encoder"):
        shown = {
            name: value
            for name, value in scores.get(engine, {}).items()
            if not isinstance(value, dict)
        }
        print(engine, shown)


def together(phases: tuple[str, ...], options: argparse.Namespace) -> None:
    """Run phases side by side, each in a process of its own with one thread.

    Raises:
        UserError: a phase failed.
    """
    shared = [
        "--seed",
        str(options.seed),
        "--stills",
        str(options.stills),
        "--held-out",
        str(options.held_out),
    ]
    shared += ["--out", str(options.out), "--work", str(options.work)]
    for name in ("minutes", "steps"):
        if getattr(options, name):
            shared += [f"--{name}", str(getattr(options, name))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    children = [
        (
            phase,
            subprocess.Popen(
                [sys.executable, "-m", "c2vl.studio.engines", phase, *shared], env=environment
            ),
        )
        for phase in phases
    ]
    failed = [phase for phase, child in children if child.wait()]
    if failed:
        raise UserError(
            f"The training phase {' and '.join(failed)} failed; see its messages above."
        )


@one_sentence
def main() -> None:
    """Run the chosen phases."""
    options = arguments()
    if options.phases == ["all"]:
        stills(options), stills(options, "held-out")
        together(("detector", "tower"), options)
        together(("boxes", "pose"), options)
        together(("captioner", "encoder"), options)
        together(("scores",), options)
        return
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for phase in options.phases:
        if phase == "stills":
            stills(options), stills(options, "held-out")
        elif phase == "boxes":
            crops(options, of_detector=True)
        elif phase == "scores":
            score(options)
        else:
            train_phase(phase, options)


if __name__ == "__main__":
    main()
