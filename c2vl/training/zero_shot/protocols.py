"""The published lists of unseen classes (`protocols.json`), and seeded draws of unseen classes.

There are four families of published protocols. Their numbers are not comparable with each other,
so no table mixes them: SynSE's splits; the same classes on the official benchmarks (STAR, Neuron);
the three random splits of SMIE and of SA-DVAE; PURLS' splits with more unseen classes. Draws of
ours, `draw-1`, `draw-2`, …, are a fifth.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from c2vl.core.errors import UserError

DRAWN = "drawn"
NOTE = "absent.json"  # {"reason": …} in the place of encoders: the split could not be run
DRAW = re.compile(r"draw-([1-9]\d{0,3})")
SOURCE_OF_DRAWS = "drawn with `zero_shot.seed`, not published"


@dataclass(frozen=True)
class ZeroShotSplit:
    """Which classes of a data set are unseen; all others are seen.

    Attributes:
        name: as in `zero_shot.splits`.
        family: `synse`, `official`, `random`, `purls` or `drawn`.
        title: of the family, for people.
        source: where the list was published.
        dataset: short name of the data set.
        classes: how many classes it has.
        unseen: 0-based labels, ascending.
    """

    name: str
    family: str
    title: str
    source: str
    dataset: str
    classes: int
    unseen: tuple[int, ...]

    @property
    def seen(self) -> tuple[int, ...]:
        """0-based labels of the seen classes, ascending."""
        return tuple(sorted(set(range(self.classes)) - set(self.unseen)))

    @property
    def held_out(self) -> int:
        """How many seen classes are held out to choose the gate: about the unseen classes' share.

        55/5 gives 5 of the 55, 48/12 gives 10 of the 48; at least one.
        """
        return max(1, round(len(self.seen) * len(self.unseen) / self.classes))


class NotRunError(UserError):
    """The split cannot be run on this data; the other splits and stages go on."""


@cache
def published() -> dict[str, Any]:
    """Content of `protocols.json`."""
    text = (resources.files(__package__) / "protocols.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def unseen_of(name: str) -> tuple[int, ...]:
    """Unseen labels of a published split; a name in their place means the classes of that split."""
    unseen = published()["splits"][name]["unseen"]
    return unseen_of(unseen) if isinstance(unseen, str) else tuple(unseen)


def names_for(dataset: str, benchmark: str | None = None) -> list[str]:
    """Published splits of a data set, and of one of its benchmarks."""
    families = published()["families"]
    return [
        name
        for name, split in published()["splits"].items()
        if split["dataset"] == dataset
        and (
            benchmark is None
            or benchmark in families[split["family"]]["benchmarks"].get(dataset, ())
        )
    ]


def is_split(name: str) -> bool:
    """Whether `zero_shot.splits` may name it: a published split or a draw."""
    return DRAW.fullmatch(name) is not None or name in published()["splits"]


def find_split(
    name: str, dataset: str, benchmark: str, classes: int, unseen: int, seed: int
) -> ZeroShotSplit:
    """The split that `zero_shot.splits` names.

    Args:
        name: a published split's, or `draw-N`.
        dataset: short name of this project's data set.
        benchmark: column of the index that the split is evaluated on.
        classes: how many classes the data set has.
        unseen: unseen classes of a draw.
        seed: of the draws.

    Raises:
        NotRunError: it is published for another data set, or for another benchmark.
        UserError: there is no such split, or a draw leaves fewer than two seen classes.
    """
    drawn = DRAW.fullmatch(name)
    if drawn:
        if classes - unseen < 2:
            raise UserError(
                f"params.yaml: `zero_shot.unseen`: {unseen} unseen of {classes} classes leave "
                f"fewer than two seen ones; at most {classes - 2} can be unseen."
            )
        order = np.random.default_rng([seed, int(drawn[1])]).permutation(classes)
        labels = tuple(sorted(order[:unseen].tolist()))
        title = f"seeded draws of {unseen} unseen classes"
        return ZeroShotSplit(name, DRAWN, title, SOURCE_OF_DRAWS, dataset, classes, labels)
    split = published()["splits"].get(name)
    if split is None:
        known = ", ".join(names_for(dataset, benchmark)) or "none"
        raise UserError(
            f"params.yaml: `zero_shot.splits`: there is no split {name[:60]!r}; for {dataset} "
            f"{benchmark} there are {known}, and seeded draws draw-1, draw-2, ….".replace("..", ".")
        )
    if split["dataset"] != dataset:
        known = ", ".join(names_for(dataset, benchmark)) or "no published one"
        raise NotRunError(
            f"`zero_shot.splits` names {name}, which is of {split['dataset']} and not of "
            f"{dataset}; for {dataset} {benchmark} there are {known}, and draw-1, draw-2, …."
        )
    family = published()["families"][split["family"]]
    if benchmark not in family["benchmarks"][dataset]:
        defined = ", ".join(family["benchmarks"][dataset])
        raise NotRunError(
            f"`zero_shot.splits` names {name}, which is defined on {defined} and not on "
            f"{benchmark}; take an official-… split, or name its benchmark first in "
            "`data.benchmarks`."
        )
    return ZeroShotSplit(
        name, split["family"], family["title"], family["source"], dataset, classes, unseen_of(name)
    )
