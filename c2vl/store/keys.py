"""Content keys: what a result depends on, and nothing else.

A key covers the bytes that a unit of work reads and the fingerprint of what is done with them. Paths, times,
batch sizes and devices are no part of it, so that moving data or changing machines recomputes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY_BYTES = 16  # 128 bits: 1.8 million keys collide with probability 5e-27


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """Hex digest of a JSON-like description of a step: its version, parameters, engine and columns."""
    text = json.dumps(description, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest()


def content_key(fingerprint: str, *parts: bytes | str | int) -> bytes:
    """Key of the unit that reads `parts` under `fingerprint`.

    Each part goes in with its kind and length, so that ("ab", "c") and ("a", "bc"), or 1 and "1", differ.

    Examples:
        >>> content_key("f", b"ab", b"c") == content_key("f", b"a", b"bc")
        False
    """
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in (fingerprint, *parts):
        content = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(content)}:".encode())
        digest.update(content)
    return digest.digest()
