"""Writes a whole data set with its ground truth: each subject performs each action on 3 cameras."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes, write_json
from c2vl.core.machine import workers
from c2vl.core.progress import progress
from c2vl.studio.broken import break_sample, choose_broken
from c2vl.studio.cameras import AZIMUTHS, Camera, camera
from c2vl.studio.cast import subject
from c2vl.studio.drawing import Image
from c2vl.studio.draws import Chance
from c2vl.studio.further import FURTHER, further_motion
from c2vl.studio.ntu_files import sample_name, write_skeleton, write_video
from c2vl.studio.performance import Performance, perform, perform_motion
from c2vl.studio.room import background
from c2vl.studio.scene import Frame, empty_set, grain_tile, render
from c2vl.studio.seeds import generator
from c2vl.studio.sensor import sense
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.truth import frame_sentence, posture
from c2vl.studio.vocabulary import ACTIONS, NOTHING, OBJECTS, PHRASES, POSTURES, SYNONYMS

EVERY = (*ACTIONS, *FURTHER)  # in the order of their numbers
Rows = list[dict[str, Any]]  # rows of a table of the ground truth
SKELETONS, VIDEOS = "nturgb+d_skeletons", "nturgb+d_rgb"


@dataclass(frozen=True)
class Take:
    """One performance; numbers as in the sample names."""

    setup: int
    subject: int
    repetition: int
    action: int


def takes(params: StudioParams) -> list[Take]:
    """All performances of a data set, sorted by name.

    Raises:
        UserError: `studio.actions` names an unknown class.
    """
    chosen = EVERY if params.actions == "all" else params.actions or ACTIONS
    unknown = sorted(set(chosen) - set(EVERY))
    if unknown:
        raise UserError(
            f"params.yaml: `studio.actions` names '{unknown[0]}', "
            f"which is none of: {', '.join(EVERY)}."
        )
    numbers = [k + 1 for k, name in enumerate(EVERY) if name in chosen]
    return sorted(
        (
            Take((person + repetition - 2) % params.setups + 1, person, repetition, action)
            for person in range(1, params.subjects + 1)
            for repetition in range(1, params.repetitions + 1)
            for action in numbers
        ),
        key=lambda take: (take.setup, take.subject, take.repetition, take.action),
    )


@lru_cache(maxsize=8)
def _set(world: int, setup: int, number: int, height: int) -> tuple[Camera, Image]:
    seen_from = camera(world, setup, number)
    return seen_from, background(world, setup, seen_from, height)


def performance_of(params: StudioParams, take: Take) -> Performance:
    """The performance of a take; it depends only on the seed and the take's numbers."""
    rng = generator("take", params.seed, take.subject, take.repetition, take.action)
    partner = int(rng.integers(1, params.subjects)) + take.subject
    cast = [
        subject(params.seed, take.subject),
        subject(params.seed, (partner - 1) % params.subjects + 1),
    ]
    action = EVERY[take.action - 1]
    if action in FURTHER:
        return perform_motion(action, further_motion(action), cast, rng, params.frames_per_second)
    return perform(action, cast, rng, params.frames_per_second)


def film(params: StudioParams, take: Take, raw: Path) -> list[dict[str, Rows]]:
    """Write the files of one performance on its three cameras; return the truth about each."""
    cv2.setNumThreads(1)
    performance = performance_of(params, take)
    return [_film_one(params, take, performance, number, raw) for number in AZIMUTHS]


def _film_one(
    params: StudioParams, take: Take, performance: Performance, number: int, raw: Path
) -> dict[str, Rows]:
    name = sample_name(take.setup, number, take.subject, take.repetition, take.action)
    rng = generator("shot", params.seed, name)
    seen_from, _ = _set(params.seed, take.setup, number, params.height)
    frames = len(performance.actors[0].joints)
    people: Rows = []
    answers: Rows = []
    images = []
    words = Chance(generator("words", params.seed, name))
    for index, drawn in enumerate(shots(params, take, performance, number, rng)):
        images.append(drawn.image)
        answers.append(
            {
                "sample": name,
                "frame": index,
                "sentence": frame_sentence(performance, index, words),
            }
        )
        each = zip(performance.actors, drawn.boxes, drawn.joints, strict=True)
        for k, (actor, box, joints) in enumerate(each):
            people.append(
                {
                    "sample": name,
                    "frame": index,
                    "person": k,
                    **dict(zip(("x0", "y0", "x1", "y1"), box.tolist(), strict=True)),
                    "object": actor.held[index],
                    "posture": posture(actor, index),
                    "phrase": actor.phrases[index],
                    "action": performance.action,
                    "joints": joints.astype(np.float32).ravel(),
                }
            )
    size = (params.height * 16 // 9, params.height)
    write_video(raw / VIDEOS / f"{name}_rgb.avi", images, size, params.frames_per_second)
    write_skeleton(
        raw / SKELETONS / f"{name}.skeleton", sense(performance, seen_from, rng), frames, seen_from
    )
    return {"people": people, "answers": answers}


def shots(
    params: StudioParams,
    take: Take,
    performance: Performance,
    number: int,
    rng: np.random.Generator,
) -> Iterator[Frame]:
    """The frames of a performance as camera `number` sees them."""
    seen_from, room = _set(params.seed, take.setup, number, params.height)
    chair = generator("chair", params.seed, take.subject, take.repetition, take.action)
    empty, grain = empty_set(performance, seen_from, room, chair), grain_tile(params.height, rng)
    for index in range(len(performance.actors[0].joints)):
        yield render(performance, index, seen_from, empty, grain)


def simulate(params: StudioParams, raw: Path, truth: Path) -> dict[str, int]:
    """Write the data set to `raw` and its ground truth to `truth`.

    Returns:
        The number of `samples`, `frames` and `broken` samples.

    Raises:
        UserError: `studio.actions` names an unknown class, or a worker process was killed.
    """
    plan = takes(params)
    people: Rows = []
    answers: Rows = []
    # Spawned, because a fork copies the threads of OpenCV and pyarrow in an unknown state.
    with ProcessPoolExecutor(workers(), mp_context=multiprocessing.get_context("spawn")) as pool:
        films = pool.map(film, [params] * len(plan), plan, [raw] * len(plan), chunksize=4)
        try:
            for views in progress(films, "simulate", "performances", total=len(plan)):
                for view in views:
                    people += view["people"]
                    answers += view["answers"]
        except BrokenProcessPool:
            raise UserError(
                "simulate: a worker process was killed, most likely for lack of memory; "
                "lower C2VL_WORKERS and run again."
            ) from None
    names = [
        sample_name(take.setup, number, take.subject, take.repetition, take.action)
        for take in plan
        for number in AZIMUTHS
    ]
    broken = choose_broken(names, params.broken, generator("broken", params.seed))
    for name, what in broken.items():
        break_sample(raw / SKELETONS / f"{name}.skeleton", raw / VIDEOS / f"{name}_rgb.avi", what)
    known = EVERY if any(take.action > len(ACTIONS) for take in plan) else ACTIONS
    write_bytes(raw / "classes.txt", ("\n".join(known) + "\n").encode())
    for file, rows, schema in (
        ("people", people, tables.schemas.PEOPLE),
        ("answers", answers, tables.schemas.ANSWERS),
        (
            "broken",
            [{"sample": name, "what": what} for name, what in sorted(broken.items())],
            tables.schemas.BROKEN,
        ),
    ):
        key = ("sample", "frame", "person")
        rows.sort(key=lambda row: tuple(row[part] for part in key if part in row))
        tables.write(truth / f"{file}.parquet", tables.table_of(rows, schema))
    vocabulary = {
        "objects": [NOTHING, *OBJECTS],
        "postures": list(POSTURES),
        "phrases": list(PHRASES.values()),
        "actions": list(known),
        "synonyms": {name: list(others) for name, others in SYNONYMS.items()},
    }
    write_json(truth / "vocabulary.json", vocabulary)
    return {"samples": len(names), "frames": len(answers), "broken": len(broken)}
