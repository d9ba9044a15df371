"""Further classes: `all` has them after the first 20, with words that the captioner knows."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl.studio.anatomy import Joint
from c2vl.studio.dataset import EVERY, Take, performance_of, takes
from c2vl.studio.further import FURTHER
from c2vl.studio.performance import Performance
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.vocabulary import ACTIONS, PHRASES

WORLD = StudioParams(
    seed=3, setups=3, subjects=4, repetitions=1, height=108, frames_per_second=15, broken=0
)
HANDS = [Joint.HAND_LEFT, Joint.HAND_RIGHT]


def performed(action: str, subject: int) -> Performance:
    return performance_of(WORLD, Take(1, subject, 1, EVERY.index(action) + 1))


def test_all_adds_classes_and_leaves_the_numbers_of_the_first() -> None:
    first, every = takes(WORLD), takes(WORLD.model_copy(update={"actions": "all"}))
    assert {take.action for take in first} == set(range(1, 21))
    assert [take for take in every if take.action <= 20] == first
    assert len(set(EVERY)) == len(EVERY) == 32 and {take.action for take in every} == set(
        range(1, 33)
    )
    one = takes(WORLD.model_copy(update={"actions": ["knock"]}))
    assert {EVERY[take.action - 1] for take in one} == {"knock"}


@pytest.mark.parametrize("action", FURTHER)
def test_a_further_action_moves_a_body_and_is_named_in_known_words(action: str) -> None:
    for subject in (1, 2):
        performance = performed(action, subject)
        phrases = {phrase for actor in performance.actors for phrase in actor.phrases}
        gesture, _ = FURTHER[action]
        assert phrases == {PHRASES["wait"], PHRASES[gesture]} and performance.action == action
        joints = performance.actors[0].joints
        assert np.isfinite(joints).all()
        assert float(np.ptp(joints, axis=0).max()) > 0.15, "metres: nobody moved"
    assert len(performance.actors) == (2 if action in ("high five", "hug") else 1)


def test_actions_of_one_phrase_differ_in_where_the_hands_are() -> None:
    """Else no encoder could tell the classes apart, whatever taught it."""

    def hands(action: str) -> np.ndarray:
        """Mean place of both hands while the gesture is visible, from the neck, in metres."""
        found = []
        for subject in (1, 2, 3, 4):
            actor = performed(action, subject).actors[0]
            shown = np.array([phrase != PHRASES["wait"] for phrase in actor.phrases])
            relative = actor.joints[:, HANDS] - actor.joints[:, [Joint.NECK]]
            found.append(np.sort(relative[shown].mean(0)[:, 1]))  # heights, whichever hand acts
        return np.mean(found, axis=0)

    assert hands("salute")[0] < hands("put on a hat")[0] - 0.3  # one hand up, or both
    assert hands("stretch").min() > hands("cross the arms").max() + 0.3
    assert hands("knock")[1] > hands("rub the hands")[1] + 0.1


def test_no_further_class_is_one_of_the_first() -> None:
    assert not set(FURTHER) & set(ACTIONS)
