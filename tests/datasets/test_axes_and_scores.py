"""What the numbers of an array are: the order of its axes, and scores beside 2D joints."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from c2vl.core.layout_file import load_layout
from c2vl.datasets.formats.arrays import parse_npy, parse_npz
from c2vl.datasets.formats.fit import fitted
from c2vl.datasets.formats.json_skeleton import parse_json
from c2vl.datasets.skeleton_file import SkeletonError

PARSERS = {"npz": parse_npz, "json": parse_json}


def saved(save: Callable[..., Any], *arguments: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments, **named)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_scores_are_no_third_coordinate(suffix: str) -> None:
    """BODY_25 has as many joints as the Kinect v2."""
    flat = np.full((6, 1, 25, 3), 0.5, np.float32)
    people = [{"people": [{"pose_keypoints_2d": frame[0].reshape(-1).tolist()}]} for frame in flat]
    data = {
        "json": json.dumps(people).encode(),
        "npz": saved(np.savez, keypoints=flat[..., :2], scores=flat[..., 2]),
    }
    with pytest.raises(SkeletonError, match="x, y and a score, the skeleton ntu25 is 3D"):
        fitted(PARSERS[suffix](data[suffix]), load_layout("ntu25"))
    fitted(PARSERS[suffix](data[suffix]), load_layout("openpose25"))


def test_pyskls_order_of_axes_is_told_by_their_sizes() -> None:
    joints = np.random.default_rng(0).normal(size=(12, 2, 20, 3)).astype(np.float32)
    for values in (joints, joints.swapaxes(0, 1)):
        np.testing.assert_array_equal(parse_npy(saved(np.save, values)).joints, joints)
