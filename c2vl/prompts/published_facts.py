"""Describe a published answers file in numbers: how many sentences, how long, how many equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from c2vl.prompts.clip_tokens import CONTEXT, token_counts
from c2vl.prompts.engines.server.server_text import clean_message
from c2vl.prompts.published_file import PublishedPrompts

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1)
BAR = 50  # characters of the histogram's widest bar
STEP = 8  # tokens for each bar
EXAMPLES = 6


def facts(published: PublishedPrompts, merges: Path | None) -> Iterator[str]:
    """The lines that `c2vl prompts` prints.

    Args:
        published: content of a file.
        merges: CLIP's merges file; without it token counts are lower bounds.
    """
    sentences = [sentence for of_clip in published.sentences.values() for sentence in of_clip]
    counts = Counter(len(of_clip) for of_clip in published.sentences.values())
    each = ", ".join(f"{clips:,} with {size}" for size, clips in sorted(counts.items()))
    unique = Counter(sentences)
    yield f"clips                {len(published.sentences):,} ({each})"
    yield (
        f"sentences            {len(sentences):,}, {len(unique):,} unique, "
        f"{unique.get('', 0):,} empty"
    )
    yield f"digest               {published.digest}"
    if not sentences:
        return
    words = np.array([len(sentence.split()) for sentence in sentences])
    counted = dict(zip(unique, token_counts(list(unique), merges), strict=True))
    tokens = np.array([counted[sentence] for sentence in sentences])
    exact = "CLIP tokens" if merges else "CLIP tokens, at least"
    yield ""
    yield f"{'quantile':20} " + " ".join(f"{share:>6.0%}" for share in QUANTILES) + "    mean"
    for name, values in (("words", words), (exact, tokens)):
        quantiles = np.quantile(values, QUANTILES, method="inverted_cdf")
        yield (
            f"{name:20} "
            + " ".join(f"{value:>6.0f}" for value in quantiles)
            + f"  {values.mean():6.1f}"
        )
    bound = "" if merges else " at least (each word counts as one token; --merges counts exactly)"
    over = int((tokens > CONTEXT).sum())
    clips = _clips_over(published, tokens)
    share = f"{over / len(sentences):.3%}"
    yield f"over {CONTEXT} tokens       {over:,}{bound}, {share}, in {clips:,} clips"
    yield ""
    yield f"{exact} (start and end included)"
    yield from _histogram(tokens)
    yield ""
    yield "commonest"
    yield from (
        f"{count:7,}  {clean_message(sentence, most=100)}"
        for sentence, count in unique.most_common(EXAMPLES)
    )
    order = np.argsort(tokens, kind="stable")
    yield ""
    yield "from the shortest to the longest"
    for place in np.linspace(0, len(order) - 1, EXAMPLES).round().astype(int):
        yield f"{tokens[order[place]]:7}  {clean_message(sentences[order[place]], most=1000)}"


def _clips_over(published: PublishedPrompts, tokens: np.ndarray) -> int:
    sizes = [len(of_clip) for of_clip in published.sentences.values()]
    clip = np.repeat(np.arange(len(sizes)), sizes)
    return len(np.unique(clip[tokens > CONTEXT]))


def _histogram(values: np.ndarray) -> Iterator[str]:
    low = int(values.min()) // STEP * STEP
    counts = np.bincount((values - low) // STEP)
    for place, count in enumerate(counts):
        start = low + place * STEP
        bar = "#" * int(np.ceil(BAR * count / counts.max()))
        yield f"{start:4}-{start + STEP - 1:<4} {count:9,}  {bar}"
