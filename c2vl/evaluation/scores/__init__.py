"""Engine scores: against the studio's ground truth where there is one, and what can be said without it."""

from c2vl.evaluation.scores.score_params import ScoreParams
from c2vl.evaluation.scores.truth import Truth, read_truth

__all__ = ["ScoreParams", "Truth", "read_truth"]
