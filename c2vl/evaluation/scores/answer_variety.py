"""How varied the answers are and what they tell of the class, without looking at a skeleton."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from c2vl.evaluation.scores.bag_of_words import bag_of_words
from c2vl.evaluation.scores.clip_quality import plain

WORD = re.compile(r"\w")
MOST_CLIPS = 6_000  # clips a side for the bag of words; more are thinned by a seeded draw


def answer_variety(
    answers: Mapping[str, Sequence[str]],
    labels: Mapping[str, int],
    splits: Mapping[str, Mapping[str, str]],
    most: int = MOST_CLIPS,
) -> dict[str, Any]:
    """Measure the answers of clips.

    Args:
        answers: the answers of each clip, in order of time.
        labels: 0-based label of each clip.
        splits: `train` or `test` of each clip, by benchmark.
        most: clips a side for the bag of words.

    Returns:
        `answers` and `clips` (counts), `distinct` (share of the answers that differ), `words` (mean
        number), `agreement` (see `agreement`), and by benchmark `one_answer` and `all_answers` (top
        1 accuracy of a bag of words from the middle answer and from all answers of a clip) and
        `chance`. Shares are None without answers.
    """
    texts = [text for of_clip in answers.values() for text in of_clip]
    lengths = [len(text.split()) for text in texts]
    found: dict[str, Any] = {
        "answers": len(texts),
        "clips": len(answers),
        "distinct": len({plain(text) for text in texts}) / len(texts) if texts else None,
        "words": float(np.mean(lengths)) if texts else None,
        "agreement": agreement(list(answers.values())),
    }
    told = {
        benchmark: bag_of_words(thinned(answers, split, most), labels, split)
        for benchmark, split in splits.items()
    }
    for name, measure in (("one_answer", "middle"), ("all_answers", "all"), ("chance", "chance")):
        found[name] = {benchmark: values[measure] for benchmark, values in told.items()}
    return found


def agreement(clips: Sequence[Sequence[str]]) -> float | None:
    """Mean cosine of two answers of a clip: TF-IDF of words, IDF over all answers given here.

    First the mean over the pairs of a clip, then over the clips with two answers or more; None
    without such a clip. An answer without words agrees with none.

    Examples:
        >>> agreement([["he sits", "he sits"], ["he stands"]])
        1.0
    """
    texts = [text for of_clip in clips for text in of_clip]
    if not any(len(of_clip) > 1 for of_clip in clips) or not any(map(WORD.search, texts)):
        return None
    vectors = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit_transform(texts)
    means, begin = [], 0
    for count in map(len, clips):
        own = vectors[begin : begin + count]
        begin += count
        if count > 1:
            # Of unit vectors: |sum|² = their squares + twice the sum over pairs.
            total = np.asarray(own.sum(axis=0)).ravel()
            squares = own.multiply(own).sum()
            means.append((float(total @ total) - float(squares)) / (count * (count - 1)))
    return round(float(np.mean(means)), 12)


def thinned(
    answers: Mapping[str, Sequence[str]], split: Mapping[str, str], most: int, seed: int = 0
) -> dict[str, Sequence[str]]:
    """At most `most` clips of each side of a split, by a seeded draw."""
    generator, kept = np.random.default_rng(seed), dict[str, Sequence[str]]()
    for side in ("train", "test"):
        members = [clip for clip in sorted(answers) if split.get(clip) == side]
        few = generator.permutation(len(members))[: min(len(members), most)]
        kept |= {members[at]: answers[members[at]] for at in few}
    return kept
