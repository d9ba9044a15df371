"""Whether a checkpoint's folder holds all of its weights, after a copy or download that stopped."""

from __future__ import annotations

import json
import struct
from pathlib import Path

MAX_HEADER = 100 * 2**20  # bytes; safetensors' own limit


def missing_weights(folder: Path) -> str:
    """Say which file of weights is missing or damaged in `folder`; "" when none is.

    transformers loads `model.safetensors`, else what its index names, else what the index of the
    old format names. All of these files must be there, and a safetensors file must be as long as
    its header says. An example: `model-00002-of-00003.safetensors is not there`.
    """
    whole = folder / "model.safetensors"
    indices = (folder / f"{whole.name}.index.json", folder / "pytorch_model.bin.index.json")
    if whole.is_file():
        names = [whole.name]
    else:
        names = next((_named_files(index) for index in indices if index.is_file()), [])
    for name in names:
        if "/" in name or not (folder / name).is_file():
            return f"{name} is not there"
        if name.endswith(".safetensors") and not _is_whole(folder / name):
            return f"{name} is cut short or damaged"
    return ""


def _named_files(index: Path) -> list[str]:
    """Files that an index of sharded weights names; empty when it is no such index."""
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted({str(name) for name in files})


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file ends where its header says.

    The format: 8 bytes with the header's length, the header as JSON, the tensors.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= min(size, MAX_HEADER) else {}
        ends = [
            entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"
        ]
        return bool(size == 8 + length + max(ends, default=0))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False
