"""Accuracy on unseen classes, alone and together with the seen ones, and the gate between them.

Zero-shot (ZSL): test clips of unseen classes, scored against the unseen classes only. Generalized
zero-shot (GZSL): all test clips against all classes; accuracy on clips of seen and of unseen
classes, and the harmonic mean of the two. A model prefers what it was trained on, so a constant is
subtracted from the scores of seen classes: calibrated stacking (Chao et al., "An Empirical Study
and Analysis of Generalized Zero-Shot Learning for Object Recognition in the Wild", ECCV 2016). The
constant is chosen on seen classes that a second training held out, never on test clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from c2vl.training.metrics import mean_class, top1


def harmonic(seen: float, unseen: float) -> float:
    """Harmonic mean of two accuracies; 0 where either is 0."""
    return 2 * seen * unseen / (seen + unseen) if seen > 0 and unseen > 0 else 0.0


def zsl(scores: np.ndarray, labels: np.ndarray, unseen: Sequence[int]) -> dict[str, float]:
    """Accuracy of the clips of unseen classes among the unseen classes.

    Args:
        scores: (N, classes) of all test clips.
        labels: (N,).
        unseen: labels of the unseen classes.

    Returns:
        `top1`, `mean_class` and `chance`, shares in 0…1; `clips`, how many were asked.
    """
    rows, columns = np.isin(labels, unseen), np.array(unseen)
    predictions = columns[scores[rows][:, columns].argmax(1)]
    return {
        "top1": top1(labels[rows], predictions),
        "mean_class": mean_class(labels[rows], predictions),
        "chance": 1 / len(columns),
        "clips": int(rows.sum()),
    }


def gated(scores: np.ndarray, unseen: Sequence[int], gate: float) -> np.ndarray:
    """Labels (N,) predicted after `gate` is taken off the seen classes' scores (N, classes)."""
    lowered = scores - gate
    lowered[:, list(unseen)] = scores[:, list(unseen)]
    return lowered.argmax(1)


def gzsl(
    scores: np.ndarray, labels: np.ndarray, unseen: Sequence[int], gate: float
) -> dict[str, float]:
    """Accuracy on seen and unseen classes among all, their harmonic mean, and the gate."""
    predictions, of_unseen = gated(scores, unseen, gate), np.isin(labels, unseen)
    seen = top1(labels[~of_unseen], predictions[~of_unseen])
    new = top1(labels[of_unseen], predictions[of_unseen])
    return {"seen": seen, "unseen": new, "harmonic": harmonic(seen, new), "gate": gate}


def choose_gate(scores: np.ndarray, labels: np.ndarray, unseen: Sequence[int]) -> float:
    """The constant with the largest harmonic mean on validation clips.

    Predictions change only where the constant passes a clip's margin, its best seen score minus its
    best unseen one. So every interval between two margins is tried once, at its middle; of equally
    good ones the middle one counts.

    Args:
        scores: (N, classes) of validation clips; classes that take no part hold -inf.
        labels: (N,) of both seen and held-out classes.
        unseen: labels of the held-out classes, which play the unseen ones.
    """
    columns = np.isin(np.arange(scores.shape[1]), unseen)
    kept, new = np.where(columns, -np.inf, scores), np.where(columns, scores, -np.inf)
    margins = kept.max(1) - new.max(1)  # the clip goes to an unseen class from here on
    of_unseen = columns[labels]
    right_kept, right_new = kept.argmax(1) == labels, new.argmax(1) == labels
    steps = np.unique(margins)
    between = (steps[1:] + steps[:-1]) / 2
    candidates = np.concatenate([[steps[0] - 1.0], between, [steps[-1] + 1.0]])
    best = []
    for gate in candidates:
        to_new = margins < gate
        seen = (right_kept & ~to_new)[~of_unseen].mean()
        unseen_share = (right_new & to_new)[of_unseen].mean()
        best.append(harmonic(float(seen), float(unseen_share)))
    tied = np.flatnonzero(np.isclose(best, max(best), rtol=0, atol=1e-12))
    return float(candidates[tied[len(tied) // 2]])
