"""What the store holds by stage and fingerprint: its size, damage, and what needs it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from c2vl.core.disk_errors import explained
from c2vl.core.errors import UserError
from c2vl.store.segments import SUFFIX, is_intact
from c2vl.store.store import Store
from c2vl.store.trained import FOLDER as TRAINED

FRESH_SECONDS = 600  # a process may still use a folder that was written to this recently


@dataclass(frozen=True)
class Holding:
    """Results of one stage under one fingerprint.

    Attributes:
        rows: number of results; one that is in two segments counts once.
        files, size: number and bytes of the segments.
        set_aside: number and bytes of damaged and half-written files that no longer count.
        damaged: segments whose keys cannot be read; the next run sets them aside.
        written: when a file was last added, seconds since 1970.
    """

    stage: str
    folder: Path
    rows: int
    files: int
    size: int
    set_aside: tuple[int, int]
    damaged: int
    written: float

    @property
    def fingerprint(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def is_fresh(self) -> bool:
        """True if a process may still write here."""
        return time.time() - self.written < FRESH_SECONDS


def holdings(root: Path) -> Iterator[Holding]:
    """Yield all that the store `root` holds. Reads keys only and changes nothing.

    Raises:
        UserError: the store cannot be read.
    """
    with explained(root):
        stages = sorted(
            entry for entry in _entries(root) if entry.is_dir() and entry.name != TRAINED
        )
        folders = [path for stage in stages for path in sorted(_entries(stage)) if path.is_dir()]
    for folder in folders:
        with explained(folder):
            yield _holding(root, folder)


def _entries(folder: Path) -> list[Path]:
    """Return what a folder holds; unlike `Path.glob`, raise an error if it cannot be read."""
    return [*folder.iterdir()] if folder.exists() else []


def _holding(root: Path, folder: Path) -> Holding:
    store = Store(root, folder.parent.name, folder.name, verify=False, look=True)
    segments = [path.stat() for path in folder.glob(f"*{SUFFIX}")]
    aside = [path.stat().st_size for path in left_over(folder)]
    return Holding(
        stage=folder.parent.name,
        folder=folder,
        rows=store.count(),
        files=len(segments),
        size=sum(status.st_size for status in segments),
        set_aside=(len(aside), sum(aside)),
        damaged=store.damaged,
        written=max([one.st_mtime for one in segments], default=folder.stat().st_mtime),
    )


def left_over(folder: Path) -> list[Path]:
    """Return damaged segments that were set aside, and files that killed processes left."""
    parts = [
        path
        for path in folder.glob(".*.part")
        if time.time() - path.stat().st_mtime > FRESH_SECONDS
    ]
    return sorted([*folder.glob("*.damaged"), *parts])


def damaged(holding: Holding) -> Iterator[Path]:
    """Compare every segment with its checksum and yield the damaged ones. Changes nothing."""
    for path in sorted(holding.folder.glob(f"*{SUFFIX}")):
        try:
            if not is_intact(holding.folder, path.stem):
                yield path
        except FileNotFoundError:  # merged meanwhile
            continue
        except OSError:
            yield path


def superfluous(found: list[Holding], needed: Mapping[str, Set[str]]) -> list[Holding]:
    """Return what no needed fingerprint names. A stage that is not in `needed` keeps everything.

    Args:
        found: all that the store holds.
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
    with explained(folder):
        away = folder.with_name(f".{folder.name}.removed")
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)
    if away.exists():
        raise UserError(f"{away} could not be removed completely. Remove it: rm -r {away}")
