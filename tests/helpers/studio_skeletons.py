"""Skeleton files of the studio without videos, because rendering is the slow part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from c2vl.studio.cameras import AZIMUTHS, Camera, camera
from c2vl.studio.cast import subject
from c2vl.studio.draws import Chance
from c2vl.studio.ntu_files import sample_name, skeleton_text
from c2vl.studio.performance import perform
from c2vl.studio.seeds import generator
from c2vl.studio.sensor import sense
from c2vl.studio.truth import frame_sentence
from c2vl.studio.vocabulary import ACTIONS

SUBJECTS = 13


def studio_files(
    seed: int, performances: int, frames_per_second: int
) -> Iterator[tuple[str, bytes, list[str]]]:
    """Yield (name, `.skeleton` bytes, true sentence of each frame); actions take turns.

    Each performance has three cameras.
    """
    views: dict[tuple[int, int], Camera] = {}
    for number in range(performances):
        # 20 actions and 13 subjects have no common factor, so all pairs occur.
        action, person = (
            number % len(ACTIONS),
            number % SUBJECTS + 1,
        )
        rest = number // (len(ACTIONS) * SUBJECTS)
        setup, repetition = rest % 30 + 1, rest // 30 + 1
        rng = generator("files", seed, number)
        cast = [subject(seed, person), subject(seed, person % SUBJECTS + 1)]
        performance = perform(ACTIONS[action], cast, rng, frames_per_second)
        frames = len(performance.actors[0].joints)
        words = Chance(generator("words", seed, number))
        sentences = [frame_sentence(performance, frame, words) for frame in range(frames)]
        for at in AZIMUTHS:
            seen_from = views.setdefault((setup, at), camera(seed, setup, at))
            text = skeleton_text(sense(performance, seen_from, rng), frames, seen_from)
            yield sample_name(setup, at, person, repetition, action + 1), text.encode(), sentences


def write_studio_files(
    folder: Path, seed: int, performances: int, frames_per_second: int
) -> dict[str, list[str]]:
    """Write such files and `classes.txt`; return the true sentences of each sample's frames."""
    folder.mkdir(parents=True, exist_ok=True)
    true_sentences = {}
    for name, data, sentences in studio_files(seed, performances, frames_per_second):
        (folder / f"{name}.skeleton").write_bytes(data)
        true_sentences[name] = sentences
    (folder / "classes.txt").write_text("\n".join(ACTIONS) + "\n", encoding="utf-8")
    return true_sentences
