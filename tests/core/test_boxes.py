"""Intersection over union of boxes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from c2vl.core.boxes import iou


def naive_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Count unit cells: only for boxes with whole corners."""
    cells = [
        {(x, y) for x in range(int(q[0]), int(q[2])) for y in range(int(q[1]), int(q[3]))}
        for q in (a, b)
    ]
    union = cells[0] | cells[1]
    return len(cells[0] & cells[1]) / len(union) if union else 0.0


def test_iou_by_hand() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 4, 4]], np.float32)
    found = iou(np.array([0, 0, 2, 2.0]), boxes)
    assert found.tolist() == [pytest.approx([1, 1 / 7, 0, 0.25])]


def test_iou_by_hand_and_by_counting_cells() -> None:
    assert iou(np.array([[0, 0, 2, 2]]), np.array([[1, 1, 3, 3]])) == pytest.approx(1 / 7)
    assert iou(np.array([[0, 0, 2, 2]]), np.array([[2, 0, 4, 2]])) == 0  # touching
    assert iou(np.array([[1, 1, 1, 5]]), np.array([[1, 1, 1, 5]])) == 0  # no area
    generator = np.random.default_rng(0)
    corners = np.sort(generator.integers(0, 12, (2, 20, 2, 2)), axis=2).reshape(2, 20, 4)
    overlap = iou(*corners)
    for i, j in itertools.product(range(20), range(20)):
        assert overlap[i, j] == pytest.approx(naive_iou(corners[0, i], corners[1, j]))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_iou_keeps_the_precision_of_the_boxes(kind: type) -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], kind)
    assert iou(boxes, boxes).dtype == kind
    assert iou(boxes[:0], boxes).shape == (0, 2)
