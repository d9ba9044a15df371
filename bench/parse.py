"""Time to read and denoise skeletons.

    python bench/parse.py [--stage 1000 2000 8000]

The files are the studio's, as long as NTU RGB+D's (2 to 3 seconds at 30 frames a second). The first
table has processor milliseconds a file of our parser and of the tests' plain per-line parser: same
files, same run, best of several rounds. With `--stage`, a second table has the time and peak
memory of the stages `index` and `skeleton` on that many files (minutes, 2 GB of disk), and an
extrapolation to NTU60.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/helpers")]

from ntu_text import naive_parse  # noqa: E402
from studio_skeletons import studio_files  # noqa: E402

from c2vl.datasets.names import SampleName  # noqa: E402
from c2vl.datasets.skeleton_file import parse_skeleton  # noqa: E402
from c2vl.datasets.skeletons.denoise import denoise  # noqa: E402
from c2vl.studio.vocabulary import ACTIONS  # noqa: E402

NTU60, CORES = 56_880, 8
SETUP = NTU60 // 17  # files of a setup, so that shards are as large as NTU60's
MEBIBYTE = 1024  # ru_maxrss is in KiB
WATCHED = """
import json, resource, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
peak = max(one.ru_maxrss for one in spent)
print(json.dumps([*(one.ru_utime + one.ru_stime for one in spent), peak]))
"""


def best(work: Callable[[Any], Any], items: Sequence[Any], rounds: int) -> float:
    """Processor seconds for all of `items`, best of `rounds`."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        for item in items:
            work(item)
        times.append(time.process_time() - began)
    return min(times)


def readers(files: Sequence[bytes], rounds: int) -> None:
    """Print the table of parsers."""
    parsed = [parse_skeleton(data) for data in files]
    size = sum(map(len, files))
    rows = {
        "plain per-line parser": best(naive_parse, files, max(1, rounds // 3)),
        "ours": best(parse_skeleton, files, rounds),
        "denoising, on top": best(denoise, parsed, rounds),
    }
    print(f"{len(files)} files, {size / len(files) / 1e3:.0f} KB each, one core, processor time\n")
    print(f"{'':24}{'ms a file':>12}{'MB/s':>10}{'ratio':>10}")
    for name, seconds in rows.items():
        ratio = rows["plain per-line parser"] / seconds
        print(
            f"{name:24}{seconds / len(files) * 1e3:12.2f}{size / seconds / 1e6:10.0f}{ratio:10.1f}"
        )


def write(folder: Path, number: int, pool: Sequence[bytes]) -> None:
    """Write `number` files with different content keys.

    They differ in a line after their last frame, which parsers do not read.
    """
    folder.mkdir()
    (folder / "classes.txt").write_text("\n".join(ACTIONS) + "\n", encoding="utf-8")
    for at, data in zip(range(number), _again(pool), strict=False):
        name = SampleName(
            at // SETUP + 1, at % 3 + 1, at // 3 % 13 + 1, at // 39 % 999 + 1, at % len(ACTIONS) + 1
        )
        (folder / f"{name}.skeleton").write_bytes(data + f"{at}\n".encode())


def _again(pool: Sequence[bytes]) -> Iterable[bytes]:
    return (pool[at % len(pool)] for at in count())


@dataclass(frozen=True)
class Spent:
    """Cost of a stage: seconds of wall time and of processor time; peak memory in MiB.

    Args:
        wall: wall time.
        own: processor time of the stage's own process.
        workers: processor time of its workers.
        peak: peak memory of the largest process.
    """

    wall: float
    own: float
    workers: float
    peak: float


def stage(name: str, folder: Path) -> Spent:
    """Run a stage in `folder` and return its cost."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "C2VL_HOME": str(folder / "home")}
    command = [sys.executable, "-c", WATCHED, str(ROOT / "stages" / f"{name}.py")]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    own, workers, peak = json.loads(done.stdout.splitlines()[-1])
    return Spent(time.perf_counter() - began, own, workers, peak / MEBIBYTE)


def stages(numbers: Sequence[int], pool: Sequence[bytes]) -> None:
    """Print the table of stages."""
    workers = os.environ.get("C2VL_WORKERS") or str(len(os.sched_getaffinity(0)))
    print(
        f"\nreal stages, C2VL_WORKERS={workers}, shards as large as NTU60's; seconds; "
        "own and workers: processor time\n"
    )
    print(f"{'files':>8}  {'stage':10}{'wall':>8}{'own':>8}{'workers':>9}{'peak MiB':>10}")
    base: dict[str, Spent] = {}
    for number in numbers:
        spent = {}
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write(folder / "raw", number, pool)
            params = yaml.safe_load((ROOT / "profiles" / "demo.yaml").read_text(encoding="utf-8"))
            params["data"] |= {"raw": "raw"}
            (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
            for name in ("index", "skeleton"):
                spent[name] = one = stage(name, folder)
                print(
                    f"{number:8,}  {name:10}{one.wall:8.1f}{one.own:8.1f}"
                    f"{one.workers:9.1f}{one.peak:10.0f}",
                    flush=True,
                )
        if not base:
            base, fewest = spent, number
    if number > fewest:
        # The difference between the first and the last row leaves out the start-up time.
        own, shared = (
            sum(getattr(spent[name], what) - getattr(base[name], what) for name in spent)
            / (number - fewest)
            for what in ("own", "workers")
        )
        minutes = (own + shared / CORES) * NTU60 / 60
        print(
            f"\na file more: {own * 1e3:.2f} ms in the stages' own processes, "
            f"{shared * 1e3:.2f} ms in workers"
        )
        print(
            f"NTU60's {NTU60:,} files on {CORES} free cores, if neither waits for the other: "
            f"{minutes:.1f} minutes at most"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--performances", type=int, default=40, help="distinct performances, three files each (40)"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds, of which the fastest counts (7)"
    )
    parser.add_argument(
        "--stage",
        type=int,
        nargs="+",
        default=[],
        metavar="FILES",
        help="also run the stages, on this many files",
    )
    parser.add_argument(
        "--frames-per-second",
        type=int,
        default=30,
        help="frame rate of the performances; lower rates make shorter files (30)",
    )
    arguments = parser.parse_args()
    files = [
        data for _, data, _ in studio_files(1, arguments.performances, arguments.frames_per_second)
    ]
    readers(files, arguments.rounds)
    if arguments.stage:
        stages(arguments.stage, files)


if __name__ == "__main__":
    main()
