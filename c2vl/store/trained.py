"""Results of trainings by content key, each in a folder `<store>/trained/<key>/`.

An entry is complete or absent. Its `manifest.json` holds a checksum of every file. An entry that
does not match is set aside and counts as missing. The entries that were used last are kept, up to
`C2VL_TRAINED_GB` (default 10). This module does not import the code that trains.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.files import make_durable, read_json, write_bytes, write_json
from c2vl.core.machine import store_dir
from c2vl.store.seed import cached_files

log = logging.getLogger(__name__)

FOLDER, MANIFEST = "trained", "manifest.json"
GIGABYTES = 10.0
FRESH_SECONDS = 600  # a process may still write to a folder younger than this


@dataclass(frozen=True)
class Entry:
    """One result of a training.

    Attributes:
        about: description by the writer: `name`, and what its key is made of.
        size: bytes of its files.
        used: when it was last written or taken, seconds since 1970.
    """

    key: str
    folder: Path
    about: dict[str, Any]
    size: int
    used: float

    @property
    def name(self) -> str:
        """Name of the training, for people."""
        return str(self.about.get("name", ""))


class TrainedStore:
    """The entries in one folder.

    Args:
        folder: default: `trained` in the sample store.
        most_bytes: limit for all entries together; default: `C2VL_TRAINED_GB`.

    Example:
        >>> store = TrainedStore(Path("somewhere/trained"))
        >>> store.put("0a1b", {"weights": b"123"}, {"name": "pretrain xsub-joint"})
        >>> store.take("0a1b")
        {'weights': b'123'}
    """

    def __init__(self, folder: Path | None = None, most_bytes: int | None = None) -> None:
        self.folder = store_dir() / FOLDER if folder is None else folder
        self.most_bytes = most_bytes if most_bytes is not None else _bytes_allowed()

    def has(self, key: str) -> bool:
        """True if there is an entry, damaged or not."""
        return (self.folder / key / MANIFEST).is_file()

    def about(self, key: str) -> dict[str, Any] | None:
        """Return an entry's description by its writer; None if there is none that can be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            about: dict[str, Any] = read_json(self.folder / key / MANIFEST)["about"]
            return about
        return None

    def take(self, key: str) -> dict[str, bytes] | None:
        """Return the files of an entry by name, checked; None if there is no entry.

        A damaged entry is set aside with a warning.
        """
        folder = self.folder / key
        try:
            files = _sound_files(folder, key)
        except FileNotFoundError:
            if not self.has(key):
                return None
            files = None
        except OSError as error:
            log.warning(f"{folder} cannot be read ({error.strerror}); not used.")
            return None
        if files is None:
            log.warning(f"{folder} is damaged; it is set aside and not used.")
            self._set_aside(folder)
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / MANIFEST)
        return files

    def put(self, key: str, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        """Publish an entry atomically; above the limit, remove the entries unused for longest.

        If the disk refuses, log a warning: the caller still has its result.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".{key}.", suffix=".part"))
            try:
                _write(temporary, key, files, about)
                temporary.chmod(0o755)
                there = {path.name for path in (self.folder / key).glob("*")}
                if not files.keys() <= there:  # otherwise another process was faster
                    self.remove(self.folder / key)
                    temporary.rename(self.folder / key)
                    make_durable(self.folder / key / MANIFEST)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            self._make_room(key)
        except OSError as error:
            why = error.strerror or error
            log.warning(
                f"{about.get('name', key)} cannot be kept in {self.folder} ({why}): if its stage "
                "runs again, it trains again. Free some space there.",
            )

    def entries(self) -> list[Entry]:
        """Return all entries that can be read, last used first."""
        found = []
        for path in self.folder.glob(f"[!.]*/{MANIFEST}"):
            if path.parent.suffix:  # set aside
                continue
            with contextlib.suppress(OSError, ValueError, KeyError):
                about = read_json(path)["about"]
                size = sum(file.stat().st_size for file in path.parent.iterdir())
                used = path.stat().st_mtime
                found.append(Entry(path.parent.name, path.parent, about, size, used))
        return sorted(found, key=lambda entry: (-entry.used, entry.key))

    def damaged(self) -> list[Path]:
        """Return the folders of entries with damaged files. Changes nothing."""
        wrong = []
        for entry in self.entries():
            with contextlib.suppress(FileNotFoundError):
                if _sound_files(entry.folder, entry.key) is None:
                    wrong.append(entry.folder)
        return wrong

    def left_over(self) -> list[Path]:
        """Return entries that were set aside, and half-written folders of killed processes."""
        now = time.time()
        parts = [
            path for path in self.folder.glob(".*") if now - path.stat().st_mtime > FRESH_SECONDS
        ]
        return sorted([*self.folder.glob("*.damaged"), *parts])

    def superfluous(self, needed: Collection[str]) -> list[Entry]:
        """Return entries that are not in `needed` and not the last used of their name."""
        names: set[str] = set()
        goes = []
        for entry in self.entries():
            fresh = time.time() - entry.used < FRESH_SECONDS
            if entry.key not in needed and entry.name in names and not fresh:
                goes.append(entry)
            names.add(entry.name)
        return goes

    def remove(self, folder: Path) -> None:
        """Remove an entry or a left-over; it disappears for other processes at once."""
        away = folder.with_name(f".{folder.name.lstrip('.')}.removed")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)

    def _make_room(self, key: str) -> None:
        """Remove the entries unused for longest until the rest fits; never remove `key`."""
        left = self.most_bytes
        for entry in self.entries():
            left -= entry.size
            if left < 0 and entry.key != key:
                self.remove(entry.folder)

    def _set_aside(self, folder: Path) -> None:
        aside = folder.with_name(f"{folder.name}.damaged")
        with contextlib.suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)


def previous_files(out: Path) -> dict[str, Path]:
    """Return the files of an output's last version by name, from its folder or DVC's cache.

    DVC removes an output before it runs its stage, but its cache still has it. `out` may be a
    folder inside the output that DVC knows.
    """
    if out.is_dir() and any(out.iterdir()):
        return {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    for outer in (out, out.parent):
        inside = out.relative_to(outer).as_posix()
        found = {
            Path(name).relative_to(inside).as_posix(): path
            for name, (path, _) in cached_files(outer).items()
            if inside == "." or name.startswith(f"{inside}/")
        }
        if found:
            return found
    return {}


def checksum(content: bytes) -> str:
    """Return the blake2b hash of some bytes, hex."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def _write(folder: Path, key: str, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    for name, content in files.items():
        write_bytes(folder / name, content)
    sums = {name: checksum(content) for name, content in files.items()}
    manifest = {"key": key, "about": dict(about), "files": sums}
    write_json(folder / MANIFEST, {**manifest, "checksum": _sum_of(manifest)})


def _sum_of(manifest: Mapping[str, Any]) -> str:
    return checksum(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode())


def _sound_files(folder: Path, key: str) -> dict[str, bytes] | None:
    """Return the files of an entry; None if one of them or the manifest is damaged.

    Raises:
        FileNotFoundError: a file is missing.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        expected = manifest.pop("checksum")
        if manifest["key"] != key or _sum_of(manifest) != expected:
            return None
        files = {name: (folder / name).read_bytes() for name in manifest["files"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    sound = all(checksum(files[name]) == value for name, value in manifest["files"].items())
    return files if sound else None


def _bytes_allowed() -> int:
    text = os.environ.get("C2VL_TRAINED_GB", "")
    try:
        gigabytes = float(text or GIGABYTES)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise UserError(
            "The environment variable C2VL_TRAINED_GB must be a number of gigabytes, "
            f"not '{text}'; unset it for {GIGABYTES:g}."
        )
    return int(gigabytes * 1e9)
