"""Time of linear evaluation and KNN at the size of a data set.

    python bench/linear.py [--size ntu60] [--device cpu]

The features are random with some class structure, because the time depends only on their shapes.
Prints one line for each protocol; `C2VL_THREADS` sets the number of threads.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from c2vl.evaluation.evaluate_params import LinearParams
from c2vl.evaluation.features import Features
from c2vl.evaluation.knn import knn_evaluation
from c2vl.evaluation.linear import linear_evaluation
from c2vl.training.environment import threads
from c2vl.training.metrics import top1

# Training clips, test clips and classes of xsub.
SIZES = {
    "ntu60": (40_091, 16_487, 60),
    "ntu120": (63_026, 50_919, 120),
    "pku2": (5_339, 1_613, 51),
}


def stand_in(train: int, test: int, classes: int, width: int) -> Features:
    """Features (N, width) float32: Gaussian clouds around random class centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, width)).astype(np.float32)
    labels = [rng.integers(classes, size=count) for count in (train, test)]
    values = [centres[y] + 4 * rng.normal(size=(len(y), width)).astype(np.float32) for y in labels]
    return Features(values[0], labels[0], values[1], labels[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="ntu60")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(threads())
    train, test, classes = SIZES[arguments.size]
    features = stand_in(train, test, classes, arguments.width)
    shape = (
        f"{train:,} x {arguments.width} features, {classes} classes, {threads()} threads, "
        f"{arguments.device}"
    )
    began = time.perf_counter()
    linear = linear_evaluation(features, classes, LinearParams(), 0, arguments.device)
    spent = time.perf_counter() - began
    reached = top1(features.test_labels, linear.scores.argmax(1))
    print(f"linear, {LinearParams().epochs} epochs: {spent:.1f} s (top 1 {reached:.3f}; {shape})")
    began = time.perf_counter()
    nearest = knn_evaluation(features, device=arguments.device)
    spent = time.perf_counter() - began
    reached = top1(features.test_labels, nearest.predictions)
    print(f"KNN of {test:,} clips: {spent:.1f} s (top 1 {reached:.3f})")


if __name__ == "__main__":
    main()
