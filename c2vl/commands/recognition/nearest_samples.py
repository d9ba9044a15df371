"""Find the samples nearest to a sentence, in the space that skeletons share with texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from c2vl.core.errors import UserError
from c2vl.evaluation.encoded import Encoded, load_encoded
from c2vl.evaluation.ranking import unit
from c2vl.models.streams import STREAMS

HEAD = "prompt_heads.language"


@dataclass(frozen=True)
class Hit:
    """A sample that was found.

    `score` is its cosine with the sentence in the shared space, from -1 to 1. With several streams
    it is their weighted mean.
    """

    sample: str
    split: str
    label: int
    score: float


def load_streams(results: Path, benchmark: str, stream: str | None) -> dict[str, Encoded]:
    """Load the features of a benchmark's samples by stream, from the stage `features`.

    Raises:
        UserError: there are none, or the encoder was not aligned with language.
    """
    names = (
        [stream]
        if stream
        else [name for name in STREAMS if (results / "features" / f"{benchmark}-{name}").is_dir()]
    )
    if not names:
        raise UserError(
            f"There are no features for the benchmark '{benchmark}' in {results / 'features'}; "
            "run `dvc repro features`."
        )
    found = {name: load_encoded(results / "features" / f"{benchmark}-{name}") for name in names}
    for name, encoded in found.items():
        if f"{HEAD}.weight" not in encoded.heads:
            raise UserError(
                f"The encoder {benchmark}-{name} shares no space with sentences; "
                "pretrain with `objective.knowledge: language` or `both`."
            )
    first = next(iter(found.values()))
    if any(
        (e.train_samples, e.test_samples) != (first.train_samples, first.test_samples)
        for e in found.values()
    ):
        raise UserError(
            f"The streams of {benchmark} were encoded from different samples; "
            "run `dvc repro features`."
        )
    return found


def nearest(
    sentence: np.ndarray,
    streams: Mapping[str, Encoded],
    weights: Mapping[str, float],
    split: str = "all",
    top: int = 10,
) -> list[Hit]:
    """The `top` samples most similar to a sentence, best first; equal scores are sorted by name.

    Args:
        sentence: text feature (width,) of the encoder that made the prompts.
        streams: as `load_streams` returns them.
        weights: of the streams' cosines.
        split: `train`, `test` or `all`.
        top: how many samples to return.

    Raises:
        UserError: the feature has another width than those the encoder was aligned with.
    """
    first = next(iter(streams.values()))
    samples = [*first.train_samples, *first.test_samples]
    splits = ["train"] * len(first.train_samples) + ["test"] * len(first.test_samples)
    labels = np.concatenate([first.features.train_labels, first.features.test_labels])
    score = cosines(sentence[None], streams, weights)[:, 0]
    order = sorted(range(len(samples)), key=lambda at: (-score[at], samples[at]))
    chosen = [at for at in order if split in ("all", splits[at])][:top]
    return [Hit(samples[at], splits[at], int(labels[at]), float(score[at])) for at in chosen]


def cosines(
    sentences: np.ndarray,
    streams: Mapping[str, Encoded],
    weights: Mapping[str, float],
    split: str = "all",
) -> np.ndarray:
    """Weighted means of the streams' cosines of skeletons and sentences, (skeletons, sentences).

    Args:
        sentences: text features (N, width) of the encoder that made the prompts.
        streams: as `load_streams` returns them.
        weights: of the streams.
        split: `train`, or `all` (train first).

    Raises:
        UserError: the features have another width than those the encoder was aligned with.
    """
    total = sum(weights[name] for name in streams)
    found: np.ndarray | float = 0.0
    for name, encoded in streams.items():
        width = encoded.heads[f"{HEAD}.weight"].shape[1]
        if sentences.shape[1] != width:
            raise UserError(
                f"The text encoder gives {sentences.shape[1]} numbers, but the skeletons were "
                f"aligned with {width}; set `embed.encoder` to the encoder of the training."
            )
        own = [encoded.features.train] + ([encoded.features.test] if split == "all" else [])
        skeletons = encoded.embedded("skeleton_head", np.concatenate(own))
        text = encoded.embedded(HEAD, unit(sentences))
        assert skeletons is not None and text is not None
        found = found + (weights[name] / total if total else 1 / len(streams)) * (
            skeletons @ text.T
        )
    return np.asarray(found)
