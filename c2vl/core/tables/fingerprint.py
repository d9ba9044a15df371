"""What a result was computed from, as one short text; for results that DVC does not track."""

from __future__ import annotations

import hashlib
from pathlib import Path

from c2vl.core.layout_file import NTU, read_layout


def data_fingerprint(data: Path) -> str:
    """blake2b of the Parquet files that a training reads (names and bytes), and of the skeleton.

    Args:
        data: the folder with `index/`, `skeleton/` and `embed/`.
    """
    folders = [data / "index", data / "skeleton", data / "embed"]
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(file for folder in folders for file in folder.rglob("*.parquet")):
        with path.open("rb") as opened:
            digest.update(path.name.encode() + hashlib.file_digest(opened, "blake2b").digest())
    layout = read_layout(data)
    if layout.name != NTU:  # fingerprints from before there was a choice stay valid
        digest.update(layout.to_json().encode())
    return digest.hexdigest()
