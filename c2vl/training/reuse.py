"""Take the result of a training from the store if its key is known, instead of training again.

If the store lacks it, the last version of the stage's output may have it, for example after
`dvc pull`. An output names its keys in `trained.json`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from c2vl.core.files import read_json
from c2vl.store.trained import TrainedStore, checksum, previous_files
from c2vl.training.devices import Devices
from c2vl.training.key import Description

log = logging.getLogger(__name__)

RECORD = "trained.json"
TAKEN = "taken from the store (same parameters, data and code)"
Files = dict[str, bytes]
"""Contents by name: what the store keeps of one training."""


class Reuse:
    """The store of trainings as one stage uses it.

    Args:
        out: the stage's output; its last version may have what the store lacks.
        devices: the processes that train together; they all take a result, or none does.
        store: default: the one in the sample store.
    """

    def __init__(self, out: Path, devices: Devices, store: TrainedStore | None = None) -> None:
        self.out, self.devices = out, devices
        self.store = store or TrainedStore()

    def take(
        self,
        description: Description,
        needed: Collection[str],
        previous: Callable[[str], Files | None],
    ) -> Files | None:
        """Return the result of a training; None if it has to run.

        Args:
            description: of the training.
            needed: names of files that the result must have.
            previous: returns the result of a key from the output's last version.
        """
        key = description.key
        found = _with(needed, self.store.take(key))
        if found is None and self.devices.main:
            found = _with(needed, previous(key))
            if found is not None:
                self.store.put(key, found, description.about())
        self.devices.wait()
        if found is None and not self.devices.main:
            found = _with(needed, self.store.take(key))
        return found if self.devices.agree(int(found is not None)) else None

    def keep(self, description: Description, files: Files) -> None:
        """Store the result of a training that ran."""
        if self.devices.main:
            self.store.put(description.key, files, description.about())

    def say(self, text: str) -> None:
        """Log once, on stderr, what was taken."""
        if self.devices.main:
            log.warning(text)


def record_of(description: Description, files: Files) -> dict[str, Any]:
    """Return the record of a training: its key, the hash of its data, a checksum per file."""
    sums = {name: checksum(content) for name, content in files.items()}
    return {"key": description.key, "data": description.data, "files": sums}


def previous_checkpoint(out: Path, key: str) -> Files | None:
    """The files of the last version of `out`, if they are of this key and sound."""
    files = previous_files(out)
    try:
        record = read_json(files[RECORD])
        if record["key"] != key:
            return None
        return sound(record["files"], {name: files[name].read_bytes() for name in record["files"]})
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another version of c2vl
        return None


def sound(sums: Mapping[str, str], files: Files) -> Files | None:
    """The files, if each has its checksum."""
    return files if all(checksum(files[name]) == value for name, value in sums.items()) else None


def _with(needed: Collection[str], files: Files | None) -> Files | None:
    return files if files is not None and set(needed) <= files.keys() else None
