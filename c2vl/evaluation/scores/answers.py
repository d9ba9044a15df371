"""Captioner answers against the true sentence: posture, object and action phrase, part by part.

Both texts are read by one parser, which takes any text at all: what it does not find is None, and a
part that is not found is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

PARTS = ("posture", "object", "phrase")
NOTHING = "nothing"
UNREAD = "(not said)"
_HOLDING = re.compile(r"\b(?:holding|holds|hold|carrying|carries|with)\b", re.IGNORECASE)
_NOT_HOLDING = re.compile(
    r"(?:\bnot|n't|n’t|\bnever)\s+(?:\w+\s+)?(?:holding|hold|carrying)\b"
    r"|\bno\s+objects?\b|\bempty[- ]handed\b",
    re.I,
)


@dataclass(frozen=True)
class Vocabulary:
    """The names an answer can contain, as in `truth/studio/vocabulary.json`.

    Attributes:
        postures, objects, phrases: the names.
        synonyms: other ways to say a name.
    """

    postures: tuple[str, ...]
    objects: tuple[str, ...]
    phrases: tuple[str, ...]
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def ways(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Pairs (words, name): each of `names`, and its synonyms."""
        return tuple((way, name) for name in names for way in (name, *self.synonyms.get(name, ())))

    def things(self) -> tuple[str, ...]:
        """The objects, and `nothing` whether or not it was listed among them."""
        return self.objects if NOTHING in self.objects else (*self.objects, NOTHING)


@dataclass(frozen=True)
class Found:
    """A vocabulary name and where the text says it: `text[start:end]`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Parsed:
    """The three parts of an answer; None where the text does not say it."""

    posture: Found | None
    object: Found | None
    phrase: Found | None

    def names(self) -> tuple[str | None, str | None, str | None]:
        """The three names in the order of `PARTS`."""
        return tuple(
            found.name if found else None for found in (self.posture, self.object, self.phrase)
        )  # type: ignore[return-value]


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(
        (name for name in names if name.strip()), key=len, reverse=True
    )  # "cell phone" before "phone"
    words = ("\\s+".join(re.escape(word) for word in name.split()) for name in longest_first)
    return re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})(?!\w)", re.IGNORECASE)


def _first(
    text: str, ways: tuple[tuple[str, str], ...], spans: Sequence[tuple[int, int]]
) -> Found | None:
    """The first of `ways` (words, name) in `text` inside one of `spans`, tried in order."""
    canonical = {" ".join(words.lower().split()): name for words, name in ways}
    pattern = _pattern(tuple(words for words, _ in ways))
    for start, end in spans:
        hit = pattern.search(text, start, end)
        if hit:
            return Found(canonical[" ".join(hit.group().lower().split())], hit.start(), hit.end())
    return None


def parse(text: str, vocabulary: Vocabulary) -> Parsed:
    """Read posture, object and phrase out of any text.

    The object is looked for after "holding" (to the end of that sentence), then anywhere outside
    the phrase: "trying to read a book" alone does not say what is held. "Not holding anything" is
    `nothing`.
    """
    phrase = _first(text, vocabulary.ways(vocabulary.phrases), [(0, len(text))])
    things = vocabulary.ways(vocabulary.things())
    outside = [(0, len(text))] if phrase is None else [(0, phrase.start), (phrase.end, len(text))]
    spans = []
    for start, end in outside:
        for verb in _HOLDING.finditer(text, start, end):
            stop = re.search(r"[.!?\n]", text[verb.end() : end])
            spans.append((verb.end(), verb.end() + stop.start() if stop else end))
    held: Found | None = None
    denial = _NOT_HOLDING.search(text)
    if denial:
        held = Found(NOTHING, denial.start(), denial.end())
    return Parsed(
        posture=_first(text, vocabulary.ways(vocabulary.postures), [(0, len(text))]),
        object=held or _first(text, things, spans) or _first(text, things, outside),
        phrase=phrase,
    )


def summarise(
    answers: Iterable[tuple[Parsed, Parsed]],
) -> dict[str, float | int | dict[str, float]]:
    """Shares of (answer, truth) pairs whose parts agree, and what the commonest would reach.

    `balanced` is the mean over the true names of the share said right, so that the commonest does
    not decide. A truth whose part is None (a frame without people) asks nothing of that part and is
    left out of it.
    """
    pairs = [(answer.names(), truth.names()) for answer, truth in answers]
    result: dict[str, float | int | dict[str, float]] = {"frames": len(pairs)}
    commonest: dict[str, float] = {}
    balanced: dict[str, float] = {}
    for position, part in enumerate(PARTS):
        asked = [
            (said[position], true[position]) for said, true in pairs if true[position] is not None
        ]
        if asked:
            result[part] = sum(said == true for said, true in asked) / len(asked)
            number, right = (
                Counter(true for _, true in asked),
                Counter(true for said, true in asked if said == true),
            )
            balanced[part] = sum(right[name] / number[name] for name in number) / len(number)
            commonest[part] = number.most_common(1)[0][1] / len(asked)
    whole = [said == true for said, true in pairs if None not in true]
    if whole:
        result["all_three"] = sum(whole) / len(whole)
    result |= {"commonest": commonest, "balanced": balanced}
    return result


def confusion(
    answers: Iterable[tuple[Parsed, Parsed]], part: str, names: Sequence[str]
) -> dict[str, list[str] | list[list[int]]]:
    """Count what was said (columns) for each truth (rows).

    Returns `rows`, `columns` (with "(not said)" last) and `counts`.

    Names that are never true have no row; a name outside `names` counts as not said.
    """
    position = PARTS.index(part)
    pairs = [(answer.names()[position], truth.names()[position]) for answer, truth in answers]
    rows = [name for name in names if any(true == name for _, true in pairs)]
    columns = [*names, UNREAD]
    counts = [[0] * len(columns) for _ in rows]
    for said, true in pairs:
        if true is not None and true in rows:
            counts[rows.index(true)][
                columns.index(said) if said is not None and said in names else len(names)
            ] += 1
    return {"rows": rows, "columns": columns, "counts": counts}
