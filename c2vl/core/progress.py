"""Progress bars with rate and time left; quiet lines when nobody watches a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], what: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Iterate `items` behind a bar named `what` (`crop: 40 %|███ | 312/780 [00:12<00:18, 26.1 clips/s]`)."""
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
    """A bar to be updated by hand, `done` of `total` being there already; a context manager."""
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
