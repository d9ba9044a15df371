"""What lies in the store: by stage and fingerprint, how much, whether it is whole, and what nobody needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.disk_errors import said_plainly
from c2vl.core.errors import UserError
from c2vl.store.segments import SUFFIX, is_intact
from c2vl.store.store import Store

FRESH_SECONDS = (
    600  # a folder written to since may have a worker, perhaps one with other parameters
)


@dataclass(frozen=True)
class Holding:
    """Results of one stage under one fingerprint.

    Attributes:
        rows: results; one in two segments counts once.
        files, size: of the segments, in bytes.
        set_aside: files and bytes of what is no segment: damaged ones, and what killed processes left half-written.
        written: when a file was last added, seconds since 1970.
    """

    stage: str
    folder: Path
    rows: int
    files: int
    size: int
    set_aside: tuple[int, int]
    written: float

    @property
    def fingerprint(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def is_fresh(self) -> bool:
        """Whether somebody may still be writing."""
        return time.time() - self.written < FRESH_SECONDS


def holdings(root: Path) -> Iterator[Holding]:
    """All that lies in the store `root`, by stage and fingerprint; only keys are read."""
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        store = Store(root, folder.parent.name, folder.name, verify=False)
        segments = [path.stat() for path in folder.glob(f"*{SUFFIX}")]
        aside = [path.stat().st_size for path in left_over(folder)]
        written = max([status.st_mtime for status in segments], default=folder.stat().st_mtime)
        size = sum(status.st_size for status in segments)
        yield Holding(
            store.folder.parent.name,
            folder,
            store.count(),
            len(segments),
            size,
            (len(aside), sum(aside)),
            written,
        )


def left_over(folder: Path) -> list[Path]:
    """Damaged segments that were set aside, and half-written files of processes that are gone."""
    parts = [
        path
        for path in folder.glob(".*.part")
        if time.time() - path.stat().st_mtime > FRESH_SECONDS
    ]
    return sorted([*folder.glob("*.damaged"), *parts])


def damaged(holding: Holding) -> Iterator[Path]:
    """Hold every segment to its checksum; yield those that fail. Changes nothing."""
    for path in sorted(holding.folder.glob(f"*{SUFFIX}")):
        try:
            if not is_intact(holding.folder, path.stem):
                yield path
        except FileNotFoundError:  # merged meanwhile
            continue
        except OSError:
            yield path


def superfluous(found: list[Holding], needed: Mapping[str, Set[str]]) -> list[Holding]:
    """Those that no needed fingerprint names; a stage that `needed` does not know is left alone.

    Args:
        found: what there is.
        needed: fingerprints by stage.
    """
    return [
        holding
        for holding in found
        if holding.stage in needed and holding.fingerprint not in needed[holding.stage]
    ]


def remove(folder: Path) -> None:
    """Remove a fingerprint's folder; it disappears for other processes at once.

    Raises:
        UserError: it cannot be removed.
    """
    with said_plainly(folder):
        away = folder.with_name(f".{folder.name}.removed")
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)
    if away.exists():
        raise UserError(f"{away} could not be removed entirely; remove it by hand.")
