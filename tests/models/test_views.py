"""Graph, views and streams against per-sample definitions written from the rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from c2vl.core.layout_file import shipped_layout
from c2vl.models.graph import NTU25, SkeletonGraph
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import bone, motion, to_stream
from c2vl.models.views import ViewParams, draw, rotation_matrices, test_view, train_view

BONES = [
    *[
        (1, 2),
        (2, 21),
        (3, 21),
        (4, 3),
        (5, 21),
        (6, 5),
        (7, 6),
        (8, 7),
        (9, 21),
        (10, 9),
        (11, 10),
        (12, 11),
    ],
    *[
        (13, 1),
        (14, 13),
        (15, 14),
        (16, 15),
        (17, 1),
        (18, 17),
        (19, 18),
        (20, 19),
        (22, 23),
        (23, 8),
        (24, 25),
        (25, 12),
    ],
]
test_view.__test__ = False  # type: ignore[attr-defined]  # a function of the package, not a test
NTU = shipped_layout("ntu25")


def clips(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = [rng.normal(size=(length, 2, 25, 3)).astype(np.float32) for length in lengths]
    for clip in made[::2]:
        clip[:, 1] = 0
    return made


def naive_resize(clip: np.ndarray, frames: int) -> np.ndarray:
    """As CTR-GCN's feeder: bilinear interpolation of a (CVM, T) image; (C, T, V, M)."""
    t, m, v, c = clip.shape
    image = torch.from_numpy(clip).permute(3, 2, 1, 0).reshape(1, 1, c * v * m, t)
    image = interpolate(image, size=(c * v * m, frames), mode="bilinear", align_corners=False)
    return image.view(c, v, m, frames).permute(0, 3, 1, 2).numpy()


def naive_rotation(angles: np.ndarray) -> np.ndarray:
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles), np.cos(angles)
    x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return z @ y @ x


def valid_frames(clip: np.ndarray) -> int:
    return int(np.sum(clip.sum((1, 2, 3)) != 0))


LENGTHS = [1, 11, 40, 63, 64, 65, 100, 173]


def test_test_view_is_the_middle_95_percent_resized() -> None:
    data = clips(LENGTHS)
    data[3][-5:] = 0  # trailing empty frames do not count
    view = test_view(RaggedSkeletons.from_clips(data), torch.arange(len(data)), 64)
    for row, clip in enumerate(data):
        n = valid_frames(clip)
        bias = int((1 - 0.95) * n / 2)
        np.testing.assert_allclose(view[row], naive_resize(clip[bias : n - bias], 64), atol=1e-5)


@pytest.mark.parametrize("frames", [64, 32])
def test_train_view_crops_resizes_and_rotates(frames: int) -> None:
    data, params = clips(LENGTHS, seed=1), ViewParams(frames=frames, rotation=0.3, shortest=32)
    draws = draw(len(data), params, torch.Generator().manual_seed(3))
    view = train_view(RaggedSkeletons.from_clips(data), torch.arange(len(data)), params, draws)
    for row, clip in enumerate(data):
        n, p = len(clip), float(draws.share[row])
        assert 0.5 <= p <= 1
        length = min(max(math.floor(p * n), 32), n)
        start = min(int(float(draws.start[row]) * (n - length + 1)), n - length)
        rotation = naive_rotation(draws.angles[row].numpy())
        expected = np.einsum(
            "ij,jtvm->itvm", rotation, naive_resize(clip[start : start + length], frames)
        )
        np.testing.assert_allclose(view[row], expected, atol=1e-5)


def test_rows_choose_clips_and_switches_turn_augmentation_off() -> None:
    data = RaggedSkeletons.from_clips(clips([20, 30, 40]))
    rows, params = torch.tensor([2, 0]), ViewParams(frames=16, rotation=0.0, crop=False)
    view = train_view(data, rows, params, draw(2, params, torch.Generator()))
    torch.testing.assert_close(view, test_view(data, rows, 16))
    torch.testing.assert_close(view[0], test_view(data, torch.arange(3), 16)[2])


def test_draws_cover_their_ranges() -> None:
    draws = draw(4000, ViewParams(rotation=0.3), torch.Generator().manual_seed(0))
    assert 0.5 <= float(draws.share.min()) < 0.51
    assert 0.99 < float(draws.share.max()) <= 1
    assert float(draws.angles.abs().max()) <= 0.3
    assert float(draws.angles.mean()) == pytest.approx(0, abs=0.01)


def test_rotations_are_rotations() -> None:
    rotation = rotation_matrices(torch.rand(5, 3, dtype=torch.float64))
    torch.testing.assert_close(
        rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    )
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(5, dtype=torch.float64))


def test_empty_clips_and_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="clip 1"):
        RaggedSkeletons.from_clips([*clips([5]), np.zeros((4, 2, 25, 3), np.float32)])
    with pytest.raises(ValueError, match="frames in all"):
        RaggedSkeletons(torch.ones(5, 2, 25, 3), torch.tensor([4]))


def test_streams() -> None:
    x = torch.randn(2, 3, 6, 25, 2)
    expected = torch.zeros_like(x)
    for joint, parent in BONES:
        expected[:, :, :, joint - 1] = x[:, :, :, joint - 1] - x[:, :, :, parent - 1]
    torch.testing.assert_close(bone(x, NTU), expected)
    moved = torch.zeros_like(x)
    for t in range(5):
        moved[:, :, t] = x[:, :, t + 1] - x[:, :, t]
    torch.testing.assert_close(motion(x, NTU), moved)
    assert to_stream(x, "joint", NTU) is x


def test_spatial_partition_of_the_ntu_graph() -> None:
    """Against ST-GCN's definition with distances to the centre measured over the whole graph."""
    a = np.eye(25)
    for joint, parent in BONES:
        a[joint - 1, parent - 1] = a[parent - 1, joint - 1] = 1
    distance = np.full(25, np.inf)
    distance[20] = 0
    for _ in range(25):
        for joint in range(25):
            distance[joint] = min(distance[joint], min(distance[np.flatnonzero(a[joint])] + 1))
    normalised = a / a.sum(0, keepdims=True)
    expected = np.zeros((3, 25, 25))
    for j in range(25):
        for i in range(25):
            subset = 0 if distance[j] == distance[i] else (1 if distance[j] > distance[i] else 2)
            expected[subset, j, i] = normalised[j, i]
    np.testing.assert_allclose(NTU25.spatial_partition(), expected, atol=1e-7)
    assert NTU25.root == 20


def test_graph_description_is_checked() -> None:
    with pytest.raises(ValueError, match="root"):
        SkeletonGraph("two roots", (0, 1))
    with pytest.raises(ValueError, match="lead to the root"):
        SkeletonGraph("loop", (0, 2, 1))
    chain = SkeletonGraph.from_bones("chain", [(2, 1), (3, 2)], root=1)
    assert [chain.depth(joint) for joint in range(3)] == [0, 1, 2]
