"""Whether a sentence can match anything: are its words known, does it come near a skeleton.

A cosine has no zero point: a senseless sentence has a nearest skeleton too, and it is as near as
that of a good one. So the words decide. The distance is only a remark: in the demo it flags 5 of
19 senseless sentences and 4 of 40 good ones. Both look at the training split alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from c2vl.commands.recognition.nearest_samples import cosines
from c2vl.core import tables
from c2vl.evaluation.encoded import Encoded

MOST_SENTENCES = 512  # of the training split; more would take minutes on a large data set
SAY_LITTLE = frozenset(
    re.findall(
        r"\w+",
        """the and for from into with without out off over are being was were has have had does did
        she they his her its their him them this that these those there who while then not some any
        one two down something someone somebody anybody people person persons man woman men women
        boy girl child children human humans""",
    )
)
SUFFIXES = ("ing", "ed", "es", "s", "e")


class TextEncoder(Protocol):
    """What `why_nothing_matches` needs of the text encoder."""

    def known_words(self, words: Sequence[str]) -> set[str]:
        """Those of `words` that are one token."""


def why_nothing_matches(
    sentence: str, encoder: TextEncoder, classes: Sequence[str], data: Path, samples: Sequence[str]
) -> str | None:
    """Why no skeleton can match a sentence; None if some may.

    One of its words has to be known: a word of the class names, of the answers about the training
    split, or one that the text encoder has as a single token. Endings do not count.

    Args:
        sentence: as the user wrote it.
        encoder: the text encoder.
        classes: names of the actions.
        data: the folder with `caption`, which may be missing.
        samples: of the training split.
    """
    words = telling(sentence)
    if not words:
        return "the sentence says nothing of what people do"
    texts = [*classes, *_answers(data, samples)]
    known = stems(word for text in texts for word in telling(text))
    if stems(words) & known or encoder.known_words(words):
        return None
    return f"neither the text encoder nor the training split knows {_listed(words)}"


def is_far(
    feature: np.ndarray, streams: Mapping[str, Encoded], weights: Mapping[str, float], data: Path
) -> bool:
    """Whether every sentence of the training split comes nearer to some of its skeletons.

    Args:
        feature: of the sentence (width,).
        streams: the encoded skeletons.
        weights: of the streams' cosines.
        data: the folder with `embed/language`, which may be missing.
    """
    sentences = _sentences(data, next(iter(streams.values())).train_samples)
    if not len(sentences):
        return False
    best = cosines(np.concatenate([feature[None], sentences]), streams, weights, "train").max(0)
    return bool(best[0] < best[1:].min())


def telling(text: str) -> list[str]:
    """The words of a text that say something: three letters or more, and no function words."""
    words = re.findall(r"[^\W\d_]{3,}", text.lower())
    return [word for word in dict.fromkeys(words) if word not in SAY_LITTLE]


def stems(words: Iterable[str]) -> set[str]:
    """Words without their endings, roughly: `drinks`, `drinking` and `drink` share one.

    Examples:
        >>> stems(["claps"]) & stems(["clapping"])
        {'clap'}
    """
    found: set[str] = set()
    for word in words:
        ways = {word} | {
            word.removesuffix(end) for end in SUFFIXES if len(word.removesuffix(end)) >= 3
        }
        found |= ways | {way[:-1] for way in ways if way[-1] == way[-2] and len(way) > 3}
    return found


def _answers(data: Path, samples: Sequence[str]) -> set[str]:
    """Distinct answers about the training split; none where the captions are not here."""
    found: set[str] = set()
    if not (data / "caption").is_dir():
        return found
    for _, table in tables.shards(data / "caption", ["sample", "answer"]):
        found |= set(pc.unique(_of(table, samples)["answer"]).to_pylist())
    return found - {None}


def _sentences(data: Path, samples: Sequence[str]) -> np.ndarray:
    """Distinct text features (N, width) float32 of the training split, `MOST_SENTENCES` at most."""
    parts = []
    if (data / "embed/language").is_dir():
        for _, table in tables.shards(data / "embed/language", ["sample", "feature"]):
            column = _of(table, samples)["feature"].drop_null()
            if len(column):
                parts.append(np.unique(tables.vectors(column).astype(np.float32), axis=0))
    if not parts:
        return np.zeros((0, 0), np.float32)
    every = np.unique(np.concatenate(parts), axis=0)
    return every[np.linspace(0, len(every) - 1, min(len(every), MOST_SENTENCES)).astype(int)]


def _of(table: pa.Table, samples: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["sample"], pa.array(samples, pa.string())))


def _listed(words: Sequence[str]) -> str:
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
