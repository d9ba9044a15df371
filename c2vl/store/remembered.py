"""A costly step inside a stage, remembered under a fingerprint of its own: what follows it may change without repeating it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from c2vl.core import machine
from c2vl.core.tables import rows_of
from c2vl.store.keys import content_key, fingerprint_of
from c2vl.store.publisher import Publisher
from c2vl.store.store import Store
from c2vl.store.work import Row


class Remembered:
    """Results of a step by content key, in the store beside those of the stages.

    Args:
        step: name of its folder in the store.
        description: everything besides the bytes it reads that changes its results.
        schema: of a result.
    """

    def __init__(self, step: str, description: Mapping[str, Any], schema: pa.Schema) -> None:
        self.step, self.schema = step, schema
        self.description = {**description, "columns": schema.names}
        self.fingerprint = fingerprint_of(self.description)

    @cached_property
    def _before(self) -> Store:
        """What there was when it was first asked for; this run's own results are not asked for again."""
        return self._open()

    @cached_property
    def _publisher(self) -> Publisher:
        store = self._open(verify=False)
        store.compact()
        return Publisher(store, self.schema)

    def _open(self, verify: bool = True) -> Store:
        return Store(machine.store_dir(), self.step, self.fingerprint, self.description, verify)

    def key(self, *parts: bytes | str | int) -> bytes:
        """Key of the step's work on `parts`."""
        return content_key(self.fingerprint, *parts)

    def missing(self, keys: Sequence[bytes]) -> np.ndarray:
        """Which of `keys` have no result, (N,) bool."""
        return self._before.missing(keys)

    def get(self, keys: Sequence[bytes]) -> list[dict[str, Any]]:
        """Results of `keys`, in their order.

        Raises:
            KeyError: one has none.
        """
        return rows_of(self._before.rows(keys)) if keys else []

    def add(self, keys: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Keep what was computed.

        Raises:
            UserError: the store cannot be written.
        """
        self._publisher.add(keys, rows)


@runtime_checkable
class Remembers(Protocol):
    """A stage with such steps."""

    def remembered(self) -> list[Remembered]:
        """All of them."""
