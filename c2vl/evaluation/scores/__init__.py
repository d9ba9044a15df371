"""Engine scores: against the studio's ground truth where there is one, and without it."""

from c2vl.evaluation.scores.ground_truth import Truth, read_truth
from c2vl.evaluation.scores.score_params import ScoreParams

__all__ = ["ScoreParams", "Truth", "read_truth"]
