"""Sentences of the studio: what they state is true of the picture, in wordings that vary."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from c2vl.studio import vocabulary
from c2vl.studio.cast import subject
from c2vl.studio.colours import COLOURS, colour_name
from c2vl.studio.draws import Chance, Draws
from c2vl.studio.engines.targets import PHRASES, THINGS, read
from c2vl.studio.performance import perform
from c2vl.studio.poses import POSES, pose_of
from c2vl.studio.sentences import GUESSES, MISTAKEN, Facts, say
from c2vl.studio.stills import still
from c2vl.studio.truth import frame_facts

FACTS = Facts(
    people=1,
    posture="standing",
    object="cup",
    phrase=vocabulary.PHRASES["mouth"],
    pose="with a hand near the face",
    clear=True,
    shirt="orange",
    trousers="grey",
    shorts=True,
    long_hair=True,
)


class Fixed(Draws):
    """The same number for each choice, but for those that are named."""

    def __init__(self, number: float, **others: float) -> None:
        self._number, self._others = number, others

    def number(self, choice: str) -> float:
        return self._others.get(choice.replace(" ", "_"), self._number)


def test_the_truth_states_posture_object_and_phrase_in_every_wording() -> None:
    chance = Chance(np.random.default_rng(0))
    for people, posture, thing, phrase in itertools.product(
        (1, 2), vocabulary.POSTURES, THINGS, PHRASES
    ):
        facts = replace(FACTS, people=people, posture=posture, object=thing, phrase=phrase)
        for _ in range(4):
            text = say(facts, chance)
            assert read(text) == (posture, thing, phrase), text


def test_words_follow_from_the_facts_and_the_draws() -> None:
    assert say(FACTS, Fixed(0.0)) == (
        "She is wearing an orange shirt, standing and holding a cup in her hand. "
        "She is likely trying to bring something to the mouth."
    )
    assert say(FACTS, Fixed(0.99, extra=0.4)) == (
        "The person in the image is holding a mug. They are standing still, "
        "with a hand near the face. They are trying to touch the mouth."
    )
    assert say(replace(FACTS, people=2), Fixed(0.99, extra=0.0)).endswith(
        "One of them is wearing an orange shirt and grey shorts."
    )


def test_answers_guess_more_where_the_picture_is_unclear() -> None:
    chance = Chance(np.random.default_rng(0))
    shares = []
    for clear in (True, False):
        texts = [say(replace(FACTS, clear=clear), chance, guesses=True) for _ in range(600)]
        assert len(set(texts)) > 300
        shares.append(np.mean([read(text)[2] is None for text in texts]))
        assert {guess for guess in GUESSES if any(guess in text for text in texts)} == set(GUESSES)
        wrong = np.mean([read(text)[1] != "cup" for text in texts])
        assert wrong == pytest.approx(MISTAKEN["cup"][0], abs=0.03)
    assert 0.3 < shares[0] < 0.5 < shares[1] < 0.75


def test_a_word_has_one_meaning_and_none_is_a_class() -> None:
    ways = [*vocabulary.SYNONYMS, *itertools.chain(*vocabulary.SYNONYMS.values())]
    assert max(Counter(ways).values()) == 1
    assert not {*ways, *GUESSES} & set(vocabulary.ACTIONS)
    assert all(read(f"He is trying to {guess}.")[2] is None for guess in GUESSES)
    mistaken = itertools.chain(*(things for _, things in MISTAKEN.values()))
    assert all(read(f"He is holding {thing}.")[1] is None for thing in mistaken)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((10, 10, 12), "black"),
        ((250, 250, 245), "white"),
        ((128, 128, 128), "grey"),
        ((230, 20, 30), "red"),
        ((250, 140, 20), "orange"),
        ((120, 70, 30), "brown"),
        ((240, 230, 60), "yellow"),
        ((40, 180, 60), "green"),
        ((40, 80, 220), "blue"),
        ((130, 50, 200), "purple"),
        ((250, 120, 190), "pink"),
    ],
)
def test_colours_have_the_names_that_people_give_them(rgb: tuple[int, int, int], name: str) -> None:
    assert colour_name(rgb) == name and name in COLOURS


def test_clothes_in_the_picture_have_the_colour_that_the_facts_name() -> None:
    right = seen = 0
    for seed in range(300, 330):
        shot = still(seed, 216)
        if len(shot.people) != 1:
            continue
        person = shot.people[0]
        x, y = person.joints[1].round().astype(int)  # the middle of the spine, in pixels
        patch = shot.image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(float)
        seen += 1
        right += colour_name(np.median(patch, axis=0)) == person.facts.shirt
    assert seen > 15 and right / seen > 0.6  # hands may be in front; light changes some names


def test_poses_are_those_of_the_gestures() -> None:
    cast = [subject(1, 1), subject(1, 2)]
    expected = {
        "wave a hand": {"with one arm raised", "with a hand near the face"},
        "make a phone call": {"with a hand near the face"},
        "bow": {"leaning forward"},
        "clap": {"with both hands in front of the body"},
    }
    for action, poses in expected.items():
        performance = perform(action, cast, np.random.default_rng(4), 15)
        actor = performance.actors[0]
        found = pose_of(actor.joints[int(actor.strength.argmax())])
        assert found in poses and found in POSES
        assert frame_facts(performance, 0).pose in POSES
