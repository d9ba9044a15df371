"""The second world: NTU skeleton files, other actions and cameras; the first world is unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.studio.dataset import Take, performance_of
from c2vl.studio.other import ACTIONS, PAIR, SKELETONS, OtherWorldParams, simulate_other
from c2vl.studio.studio_params import StudioParams
from c2vl.studio.vocabulary import ACTIONS as FIRST

FIRST_WORLD = [
    34,
    657.0586,
    38,
    1057.7803,
    35,
    671.8857,
    36,
    297.1502,
    1407.1391,
    37,
    775.04,
    1423.4695,
]
PARAMS = OtherWorldParams(seed=7, setups=2, subjects=2, repetitions=1, frames_per_second=15)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = tmp_path_factory.mktemp("other")
    assert simulate_other(PARAMS, raw) == len(ACTIONS) * 2 * 3
    return raw


def test_its_classes_are_not_in_the_first_world(world: Path) -> None:
    assert not set(ACTIONS) & set(FIRST)
    assert (world / "classes.txt").read_text().split("\n")[:-1] == list(ACTIONS)


def test_every_file_denoises_to_as_many_actors_as_its_action_has(
    world: Path,
) -> None:
    files = sorted((world / SKELETONS).iterdir())
    assert len(files) == len(ACTIONS) * 2 * 3
    for path in files:
        action = ACTIONS[int(path.stem[-3:]) - 1]
        row = denoise(parse_skeleton(path.read_bytes()), "ctrgcn", "zeros").row()
        assert row["bodies"] == (2 if action in PAIR else 1), path.name
        assert row["frames"] >= 16


def test_the_same_parameters_give_the_same_bytes(world: Path, tmp_path: Path) -> None:
    simulate_other(PARAMS, tmp_path)
    for path in (world / SKELETONS).iterdir():
        assert path.read_bytes() == (tmp_path / SKELETONS / path.name).read_bytes()


def test_the_first_world_keeps_its_reference_values() -> None:
    """Sums of the joints in metres over all frames, for one-person and two-person actions."""
    params = StudioParams(
        seed=2, setups=4, subjects=13, repetitions=1, height=216, frames_per_second=15, broken=6
    )
    sums = []
    for action in (1, 5, 12, 17, 20):
        performance = performance_of(params, Take(1, 3, 1, action))
        sums.append(
            [
                len(performance.actors[0].joints),
                *(float(np.sum(actor.joints)) for actor in performance.actors),
            ]
        )
    assert [len(one) for one in sums] == [2, 2, 2, 3, 3]
    np.testing.assert_allclose(np.concatenate(sums), FIRST_WORLD, rtol=1e-6)
