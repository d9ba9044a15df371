"""Progress bars with rate and remaining time; fewer lines if stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], what: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Iterate `items` behind a progress bar.

    Args:
        items: what to iterate.
        what: name of the bar.
        unit: what is counted, such as `clips`.
        total: number of items, if `items` has no length.
    """
    watched = sys.stderr.isatty()
    return iter(
        tqdm(
            items,
            desc=what,
            unit=f" {unit}",
            total=total,
            mininterval=0.2 if watched else 20,
            dynamic_ncols=watched,
        )
    )


def meter(total: int, what: str, unit: str, done: int = 0, shown: bool = True) -> tqdm:
    """A progress bar for manual updates; use it as a context manager.

    Args:
        total: number of units.
        what: name of the bar.
        unit: what is counted.
        done: units that are done at the start.
        shown: False for no output.
    """
    watched = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        unit_scale=True,
        disable=not shown,
        mininterval=0.2 if watched else 20,
        dynamic_ncols=watched,
    )
