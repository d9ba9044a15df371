"""Write videos of the studio as a user's own clips: a folder for each class, and nothing else.

`python -m c2vl.studio.class_folders data/raw` writes 200 clips in 8 folders, such as
`data/raw/clap/p07.avi`. Each person does each action once, before one of three cameras.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from c2vl.core.errors import UserError, one_sentence, writing
from c2vl.core.machine import workers
from c2vl.core.progress import progress
from c2vl.studio.cameras import AZIMUTHS
from c2vl.studio.dataset import Take, performance_of, shots, takes
from c2vl.studio.ntu_files import write_video
from c2vl.studio.seeds import generator
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.vocabulary import ACTIONS

log = logging.getLogger(__name__)

CLASSES = (
    "drink water",
    "wave a hand",
    "throw",
    "clap",
    "kick",
    "bow",
    "sit down",
    "shake hands",
)
MOST = 106  # people in a world


def write_class_folders(folder: Path, clips: int, seed: int, height: int = 216) -> int:
    """Write the videos, and return how many.

    Args:
        folder: the folders of the classes are made here.
        clips: of each class; so many people take part.
        seed: of the world.
        height: of the videos in pixels.

    Raises:
        UserError: a file cannot be written, or a worker process was killed.
    """
    params = StudioParams(
        seed=seed,
        setups=4,
        subjects=clips,
        repetitions=1,
        height=height,
        frames_per_second=15,
        broken=0,
        actions=list(CLASSES),
    )
    plan = takes(params)
    with ProcessPoolExecutor(workers(), mp_context=multiprocessing.get_context("spawn")) as pool:
        done = pool.map(film_clip, [params] * len(plan), plan, [folder] * len(plan), chunksize=4)
        try:
            with writing(folder):
                return sum(1 for _ in progress(done, "film", "clips", total=len(plan)))
        except BrokenProcessPool:
            raise UserError(
                "A worker process was killed, most likely for lack of memory; lower C2VL_WORKERS "
                "and run again."
            ) from None


def film_clip(params: StudioParams, take: Take, folder: Path) -> Path:
    """Write the video of one performance into the folder of its class; return its path."""
    cv2.setNumThreads(1)
    action = ACTIONS[take.action - 1]
    number = (take.subject + take.action) % len(AZIMUTHS) + 1
    rng = generator("own clip", params.seed, take.subject, take.action)
    frames = shots(params, take, performance_of(params, take), number, rng)
    path = folder / action / f"p{take.subject:02d}.avi"
    size = params.height * 16 // 9, params.height
    write_video(path, (frame.image for frame in frames), size, params.frames_per_second)
    return path


@one_sentence
def main() -> None:
    """Write the videos.

    Raises:
        UserError: the number of clips is not possible.
    """
    parser = argparse.ArgumentParser(
        prog="python -m c2vl.studio.class_folders", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", type=Path, help="where the folders of the classes are made")
    parser.add_argument("--clips", type=int, default=25, help="clips of each class (default 25)")
    parser.add_argument("--seed", type=int, default=11, help="seed of the world (default 11)")
    chosen = parser.parse_args()
    if not 3 <= chosen.clips <= MOST:
        raise UserError(f"--clips {chosen.clips}: take 3 to {MOST}, one of each person.")
    count = write_class_folders(chosen.folder, chosen.clips, chosen.seed)
    log.info(f"wrote {count} videos in {len(CLASSES)} folders: {chosen.folder}")


if __name__ == "__main__":
    main()
