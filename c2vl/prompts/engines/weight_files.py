"""Whether a checkpoint's folder holds all of its weights: an interrupted copy or download looks like a whole one at first."""

from __future__ import annotations

import json
import struct
from pathlib import Path

MOST_HEADER = 100 * 2**20  # bytes, safetensors' own limit


def missing_weights(folder: Path) -> str:
    """What is missing of the weights in `folder`, such as `model-00002-of-00003.safetensors is not there`; else empty.

    Looks at what transformers would load: `model.safetensors`, else what its index names, else the old format's index. All
    of it must be there, and safetensors must be as long as their headers say.
    """
    whole = folder / "model.safetensors"
    indices = (folder / f"{whole.name}.index.json", folder / "pytorch_model.bin.index.json")
    names = (
        [whole.name]
        if whole.is_file()
        else next((_named(index) for index in indices if index.is_file()), [])
    )
    for name in names:
        if "/" in name or not (folder / name).is_file():
            return f"{name} is not there"
        if name.endswith(".safetensors") and not _whole(folder / name):
            return f"{name} is cut short or damaged"
    return ""


def _named(index: Path) -> list[str]:
    """Files that an index of sharded weights names; none where it is no such index."""
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted({str(name) for name in files})


def _whole(path: Path) -> bool:
    """Whether a safetensors file (8 bytes with the header's length, header, tensors) ends where its header says."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= min(size, MOST_HEADER) else {}
        ends = [
            entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"
        ]
        return bool(size == 8 + length + max(ends, default=0))
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False
