"""The sample store at full size, a Markdown table.

    python bench/store.py [--sizes 1000 10000 114480] [--payloads caption]

Synthetic samples with 16 prompts each go through the store as a stage's do: filled, planned,
written, and run once more by DVC with nothing changed. Only the engine is replaced, by one that
returns random bytes of a real result's size. Each step runs in a process of its own. Its peak
memory is above that of its imports; its time is in processor / clock seconds (a busy machine
lengthens only the latter; µs are the former's). Crops of 114,480 samples would take 30 GB three
times (store, output, DVC's cache), so `crop` is not in the default.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from c2vl.core.tables import schemas
from c2vl.store import plan, run
from c2vl.store.keys import content_key
from c2vl.store.share import ALL
from c2vl.store.stage import Failure, Row, Stage, Unit

HERE = Path(__file__).resolve()
SHARDS, PROMPTS = 96, 16  # NTU RGB+D 120: 32 setups, 3 cameras
BATCHES = {"crop": 16, "caption": 32, "embed": 128}  # as on one large GPU
WIDTH = 768
POOL = np.random.default_rng(0).integers(0, 256, 2**22, np.uint8).tobytes()  # cut into results
SCHEMAS = {"caption": schemas.CAPTION, "embed": schemas.feature(WIDTH), "crop": schemas.CROP}
CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"


class Synthetic(Stage):
    """A stage without inputs whose engine costs nothing.

    Args:
        payload: the stage whose results these are like.
        samples: how many; spread evenly over the shards.
    """

    done, max_failed, most_threads = "made", 0.1, 1

    def __init__(self, payload: str, samples: int) -> None:
        self.name, self.samples, self.rows = payload, samples, 0

    def description(self) -> dict[str, Any]:
        return {"synthetic": 1}

    def schema(self, stored: pa.Schema | None) -> pa.Schema:
        return SCHEMAS[self.name]

    def shards(self) -> list[str]:
        return [
            f"S{number // 3 + 1:03d}C{number % 3 + 1:03d}"
            for number in range(min(SHARDS, self.samples))
        ]

    def units(self, shard: str, fingerprint: str) -> list[Unit]:
        number = (int(shard[1:4]) - 1) * 3 + int(shard[5:]) - 1
        identities = ({"frame": 7} if self.name == "crop" else {}) | {"sample": "", "k": 0}
        units = []
        for index in range(number, self.samples, SHARDS):
            sample = f"{shard}P{index // 12000:03d}R{index // 120 % 100:03d}A{index % 120:03d}"
            for k in range(PROMPTS):
                key = content_key(fingerprint, sample, k)
                units.append(
                    Unit({**identities, "sample": sample, "k": k}, key, index * PROMPTS + k)
                )
        return units

    def batch_size(self) -> int:
        return BATCHES[self.name]

    def compute(self, units: Sequence[Unit], ready: Sequence[Any]) -> list[Row | Failure]:
        return [self.row(number * 7919 % (len(POOL) - 40_000)) for number in ready]

    def row(self, at: int) -> Row:
        """A result of a real one's size, cut from the pool at `at`."""
        if self.name == "caption":
            return {"answer": POOL[at : at + 50].hex(), "finished": True}
        if self.name == "embed":
            return {"feature": np.frombuffer(POOL, np.int16, WIDTH, at).astype(np.float16)}
        numbers = np.frombuffer(POOL, np.uint8, 5, at).astype(np.float32)
        corners = dict(zip(("x0", "y0", "x1", "y1"), numbers, strict=False))
        size = 10_000 + 40 * int(numbers[4])
        return {
            "crop": POOL[at : at + size],
            **corners,
            "boxes": numbers[:4],
            "scores": numbers[:1],
        }

    def observe(self, table: pa.Table) -> None:
        self.rows += len(table)


def peak() -> float:
    """Largest resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == "darwin" else 1e3
    )


def step(name: str, payload: str, samples: int) -> dict[str, float]:
    """One step in this process: how many seconds and MB it took."""
    stage, out, before = Synthetic(payload, samples), Path("out"), peak()
    began, worked = time.perf_counter(), time.process_time()
    if name == "fill":
        run.fill_share(stage, out, ALL, {})
    elif name == "plan":
        assert not len(plan.plan(stage, plan.open_store(stage, verify=False)[0]).missing)
    else:
        run.run(stage, out, {})
        assert stage.rows == samples * PROMPTS
    spent = {"seconds": time.perf_counter() - began, "processor": time.process_time() - worked}
    return {**spent, "megabytes": peak() - before}


def measured(name: str, payload: str, samples: int) -> dict[str, float]:
    """`step` in a process of its own."""
    command = [
        sys.executable,
        str(HERE),
        "--step",
        name,
        "--payloads",
        payload,
        "--sizes",
        str(samples),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def size_of(folder: Path) -> tuple[int, float]:
    """Files under `folder` and their bytes in MB."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files) / 1e6


def dvc(payload: str, samples: int) -> float:
    """Seconds of a `dvc repro` that finds nothing changed; the output is a stage's."""
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text(CONFIG, encoding="utf-8")
    command = f"{sys.executable} {HERE} --step write --payloads {payload} --sizes {samples}"
    stage = {"cmd": command, "deps": [str(HERE)], "outs": ["out"]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {payload: stage}}), encoding="utf-8")
    subprocess.run(["dvc", "repro", "-q"], check=True, stdout=sys.stderr)
    began = time.perf_counter()
    subprocess.run(["dvc", "repro", "-q"], check=True)
    return time.perf_counter() - began


def lines(payload: str, sizes: Sequence[int]) -> Iterator[str]:
    """The table's rows of one payload."""
    for samples in sizes:
        with tempfile.TemporaryDirectory(
            prefix="c2vl-bench-", dir=os.environ.get("C2VL_BENCH")
        ) as place:
            before = Path.cwd()
            os.chdir(place)
            os.environ["C2VL_HOME"], units = str(Path(place) / "home"), samples * PROMPTS
            try:
                fill, planned, written = (
                    measured(name, payload, samples) for name in ("fill", "plan", "write")
                )
                store, out = size_of(Path("home/store")), size_of(Path("out"))
                shutil.rmtree("out")
                unchanged = dvc(payload, samples)
            finally:
                os.chdir(before)
        cells = [payload, f"{samples:,}", f"{units:,}"]
        cells += [
            f"{one['processor']:.1f} / {one['seconds']:.1f}" for one in (fill, planned, written)
        ]
        cells += [f"{one['processor'] / units * 1e6:.0f}" for one in (fill, planned, written)]
        cells += [f"{one['megabytes']:.0f}" for one in (fill, planned, written)]
        cells += [f"{count} / {megabytes:,.0f}" for count, megabytes in (store, out)] + [
            f"{unchanged:.1f}"
        ]
        yield "| " + " | ".join(cells) + " |"


HEADS = [
    *(
        "results like",
        "samples",
        "units",
        "fill, s",
        "plan, s",
        "run that only writes, s",
        "µs a unit: fill",
        "plan",
        "write",
    ),
    *(
        "peak MB: fill",
        "plan",
        "write",
        "store, files / MB",
        "output, files / MB",
        "no-change `dvc repro`, s",
    ),
]


def main() -> None:
    """Print the table, or, as a child of that, what one step took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_000, 10_000, 114_480], help="numbers of samples"
    )
    parser.add_argument("--payloads", nargs="+", choices=SCHEMAS, default=["caption", "embed"])
    parser.add_argument("--step", choices=["fill", "plan", "write"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.step:
        print(json.dumps(step(chosen.step, chosen.payloads[0], chosen.sizes[0])))
        return
    print("| " + " | ".join(HEADS) + " |")
    print("|---" + "|---:" * (len(HEADS) - 1) + "|")
    for payload in chosen.payloads:
        for line in lines(payload, chosen.sizes):
            print(line, flush=True)


if __name__ == "__main__":
    main()
