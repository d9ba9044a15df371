"""Time to read raw files: members of a large zip archive, and clips of PKU-MMD's long skeletons.

    python bench/raw_files.py [--members 20000]

Prints the milliseconds for one member, with the archive's directory read once (as the pipeline
does) or for every member. Then it prints those for one clip, with the long file read once (as the
pipeline does) or for every clip. It uses one process and synthetic files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from c2vl.datasets import raw_files as places
from c2vl.datasets.pku_skeleton import LongSkeleton

FRAMES, CLIPS, CLIP = 5000, 20, 100  # roughly those of a video of PKU-MMD
MEMBER = 20_000  # bytes


def seconds(work: Callable[[], object], times: int) -> float:
    """Mean seconds of one call of `work`."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def archive(folder: Path, members: int) -> list[tuple[str, float]]:
    """(what, seconds) of reading members of one archive."""
    content = (
        " ".join(f"{number:.6f}" for number in np.random.default_rng(0).normal(size=MEMBER // 8))
        + "\n"
    ).encode()
    with zipfile.ZipFile(folder / "s.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for number in range(members):
            file.writestr(f"{number:06}.skeleton", content)
    names = iter(f"s.zip!{number:06}.skeleton" for number in range(members))

    def afresh() -> None:
        places._opened.cache_clear()
        places.read(folder, next(names))

    return [
        ("member, directory read once a member", seconds(afresh, 3)),
        (
            "member, directory read once",
            seconds(lambda: places.read(folder, next(names)), min(members - 3, 2000)),
        ),
    ]


def long_file(folder: Path) -> list[tuple[str, float]]:
    """(what, seconds) of cutting clips from one long file."""
    rows = np.random.default_rng(0).normal(size=(FRAMES, 150))
    (folder / "long.txt").write_text(
        "".join(" " + " ".join(f"{number:.6f}" for number in row) + "\n" for row in rows)
    )

    def cut(file: LongSkeleton, clip: int) -> None:
        begin = clip * FRAMES // CLIPS
        file.digest(begin, begin + CLIP)
        file.joints(begin, begin + CLIP)

    def once() -> None:
        file = LongSkeleton(places.read(folder, "long.txt"))
        for clip in range(CLIPS):
            cut(file, clip)

    def each() -> None:
        for clip in range(CLIPS):
            cut(LongSkeleton(places.read(folder, "long.txt")), clip)

    return [
        ("clip, long file read once a clip", seconds(each, 3) / CLIPS),
        ("clip, long file read once", seconds(once, 3) / CLIPS),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure how raw files are read.")
    parser.add_argument("--members", type=int, default=20_000, help="files in the archive")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what, spent in [*archive(Path(folder), options.members), *long_file(Path(folder))]:
            print(f"{spent * 1000:10.2f} ms a {what}")


if __name__ == "__main__":
    main()
