"""Sentences on what a raw folder holds beside usable samples, so that nothing is missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from c2vl.core.unicode_text import printable
from c2vl.datasets.benchmarks import SAMPLES, missing_skeletons


def passed_over(strangers: Sequence[str], packed: Sequence[str] = ()) -> list[str]:
    """Sentences about files that were not used.

    Args:
        strangers: that look like raw files but bear no sample's name.
        packed: archives that are not looked into.
    """
    notes = []
    if strangers:
        notes.append(
            f"ignored for a name that is no sample's: {len(strangers):,}, "
            f"such as {_shown(strangers[0])}"
        )
    if packed:
        notes.append(
            f"archives not looked into: {len(packed):,}, such as {_shown(packed[0])}; "
            "unpack what is needed of them"
        )
    return notes


def not_here(dataset: str, samples: Collection[str]) -> list[str]:
    """A sentence on how many of NTU RGB+D's samples are here; none if only listed ones lack.

    Listed are those whose skeletons the authors know to be missing.
    """
    if dataset not in SAMPLES:
        return []
    whole, listed = (
        SAMPLES[dataset],
        sum(str(name) not in samples for name in missing_skeletons(dataset)),
    )
    absent = whole - len(samples)
    if absent <= listed:
        return []
    known = f", {listed:,} of which have no skeleton by its authors' list" if listed else ""
    return [
        f"{len(samples):,} of the {whole:,} samples of {dataset} are here; "
        f"{absent:,} are not{known}"
    ]


def _shown(name: str, most: int = 80) -> str:
    name = printable(name)
    return name if len(name) <= most else "…" + name[1 - most :]
