"""Count different sentences without keeping them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

DIGEST_BYTES = 8  # two of 1.8 million sentences share one with probability 1e-7


class Distinct:
    """Counts different strings, in 8 bytes each."""

    def __init__(self) -> None:
        self._seen = np.empty(0, np.uint64)  # sorted, each once
        self._new: list[np.ndarray] = []

    def add(self, texts: Iterable[str]) -> None:
        """Count `texts`."""
        digests = b"".join(
            hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest() for text in set(texts)
        )
        self._new.append(np.frombuffer(digests, np.uint64))
        if sum(map(len, self._new)) > len(self._seen):  # so that each is sorted only a few times
            self._settle()

    def __len__(self) -> int:
        self._settle()
        return len(self._seen)

    def _settle(self) -> None:
        self._seen, self._new = np.unique(np.concatenate([self._seen, *self._new])), []
