"""Draw the splits of clips that have none: by class, or by subject."""

from __future__ import annotations

import random
from collections.abc import Sequence

from c2vl.datasets.listed.class_folders import ClassFolders


def split_clips(found: ClassFolders, share: float, seed: int) -> tuple[str, list[str], str]:
    """Return (column, a split for each clip, how they were made).

    - Folders `train`, `val` and `test`: column `split`, as they say.
    - Names that show subjects (three or more): column `xsub`; `share` of the subjects test.
    - Else column `split`: `share` of each class tests, drawn with `seed`; a class of two or more
      clips has one on either side.
    """
    if found.split_by_folder:
        return "split", [clip.split for clip in found.clips], "by the folders train, val and test"
    draw = random.Random(seed)
    if subjects := sorted(found.subjects, key=int):
        tests = set(draw.sample(subjects, _count(len(subjects), share)))
        sides = ["test" if clip.subject in tests else "train" for clip in found.clips]
        numbers = ", ".join(sorted(tests, key=int))
        return "xsub", sides, f"by subject, as the names show them; these test: {numbers}"
    sides = ["train"] * len(found.clips)
    for label in found.classes:
        places = [at for at, clip in enumerate(found.clips) if clip.label == label]
        for at in _drawn(draw, places, share):
            sides[at] = "test"
    return "split", sides, f"drawn in each class (seed {seed}, {share:.0%} test){_unnamed(found)}"


def _unnamed(found: ClassFolders) -> str:
    """That most names show a subject, and why that is not enough."""
    lacking = [clip.name for clip in found.clips if not clip.subject]
    if not 0 < len(lacking) <= len(found.clips) / 2:
        return ""
    return (
        f"; not by subject, because {len(lacking):,} of {len(found.clips):,} names show none, such "
        f"as {lacking[0]}"
    )


def _drawn(draw: random.Random, places: Sequence[int], share: float) -> list[int]:
    return draw.sample(places, _count(len(places), share)) if len(places) > 1 else []


def _count(items: int, share: float) -> int:
    """How many of `items` test: at least one, and one less than all at most."""
    return min(max(round(items * share), 1), items - 1)
