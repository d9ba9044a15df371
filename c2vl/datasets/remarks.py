"""Sentences on what a raw folder holds beside usable samples, so that nothing is missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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
    """A sentence about NTU RGB+D's samples not among `samples`, without those listed as missing."""
    if dataset not in SAMPLES:
        return []
    listed = sum(str(name) not in samples for name in missing_skeletons(dataset))
    absent = SAMPLES[dataset] - len(samples) - listed
    return (
        [f"{absent:,} of the {SAMPLES[dataset]:,} samples of {dataset} are not here"]
        if absent > 0
        else []
    )


def _shown(name: str, most: int = 80) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]
