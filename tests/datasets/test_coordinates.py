"""Coordinates of the skeleton table: about a joint of the skeleton, or about the image."""

from __future__ import annotations

import numpy as np
import pytest

from c2vl.core.layout_file import load_layout
from c2vl.datasets.skeletons.actors import centred
from c2vl.datasets.skeletons.coordinates import centred_on, in_pixels, relative_to_image

RNG = np.random.default_rng(0)


def test_ntu_s_clips_are_centred_as_by_the_published_rules() -> None:
    joints = RNG.normal(size=(9, 2, 25, 3)).astype(np.float32)
    joints[:3, 0] = joints[5:, 1] = 0
    np.testing.assert_array_equal(centred_on(joints, load_layout("ntu25")), centred(joints))


def test_a_centre_of_two_joints_is_their_middle() -> None:
    layout = load_layout("mediapipe33")
    joints = RNG.normal(size=(4, 2, 33, 3)).astype(np.float32)
    joints[0, 0] = joints[:, 1] = 0
    moved = centred_on(joints, layout)
    np.testing.assert_allclose(moved[1, 0, 23], -moved[1, 0, 24], atol=1e-6)
    assert not moved[0].any() and not moved[:, 1].any()
    np.testing.assert_allclose(np.diff(moved[1:, 0], axis=0), np.diff(joints[1:, 0], axis=0), 1e-4)


@pytest.mark.parametrize(
    ("joints", "says"),
    [
        (np.zeros((3, 2, 25, 3), np.float32), "first actor are all zero"),
        (np.ones((3, 2, 25, 3), np.float32), "one point"),
    ],
)
def test_a_clip_without_extent_is_refused(joints: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        centred_on(joints, load_layout("ntu25"))


def test_image_coordinates_are_pyskl_s() -> None:
    """Worked by hand for an image of 400x200: centre (200, 100), half size (200, 100)."""
    pixels = np.array([[200, 100, 1], [400, 0, 0.5], [100, 150, 0.02], [7, 9, 0.01]], np.float32)
    before = pixels.copy()
    made = relative_to_image(pixels, 400, 200)
    np.testing.assert_allclose(
        made, [[0, 0, 1], [1, -1, 0.5], [-0.5, 0.5, 0.02], [0, 0, 0.01]], atol=1e-6
    )
    np.testing.assert_array_equal(pixels, before)
    assert made.dtype == np.float32
    back = in_pixels(made, 400, 200)
    np.testing.assert_allclose(back[:3], pixels[:3, :2], atol=1e-4)
    assert np.isnan(back[3]).all()
