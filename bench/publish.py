"""Time to publish a batch in the sample store: fsync each batch, once a second, or at the end.

The store fsyncs once a second (column `as it is`).

    python bench/publish.py [FOLDER]

Writes batches of the stages' sizes to FOLDER (default: a temporary one; name one on the store's
disk) and prints the milliseconds for a batch and the number of files that remain.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.store import publish
from c2vl.store.keys import content_key
from c2vl.store.publish import Publisher
from c2vl.store.store import Store

# Seconds until a batch is fsynced.
WAYS = {
    "durable each": 0.0,
    "as it is": publish.FLUSH_SECONDS,
    "durable once": 1e9,
}
BATCHES = {
    "skeleton": (32, 100_000, 100),
    "crop": (16, 30_000, 100),
    "caption": (16, 200, 300),
    "embed": (32, 1_536, 300),
}


def cost(folder: Path, rows: int, size: int, count: int, seconds: float) -> tuple[float, int]:
    """Milliseconds to publish a batch of `rows` × `size` random bytes, and the remaining files."""
    publish.FLUSH_SECONDS = seconds
    noise = np.random.default_rng(0)
    batches = [[{"value": noise.bytes(size)} for _ in range(rows)] for _ in range(8)]
    store = Store(folder, "bench", str(seconds))
    began = time.perf_counter()
    with Publisher(store, pa.schema([pa.field("value", pa.binary())])) as writer:
        for number in range(count):
            writer.add([content_key("f", number, row) for row in range(rows)], batches[number % 8])
    return (time.perf_counter() - began) / count * 1e3, len(list(store.folder.glob("*.arrow")))


def main() -> None:
    """Print the table."""
    print(f"{'batch':22} " + " ".join(f"{way:>22}" for way in WAYS))
    for stage, (rows, size, count) in BATCHES.items():
        cells = []
        for seconds in WAYS.values():
            with tempfile.TemporaryDirectory(
                dir=sys.argv[1] if len(sys.argv) > 1 else None
            ) as name:
                spent, files = cost(Path(name), rows, size, count, seconds)
                cells.append(f"{spent:9.1f} ms {files:4} files")
        print(
            f"{stage} {rows} x {size:,} B".ljust(22)
            + " "
            + " ".join(f"{cell:>22}" for cell in cells),
            flush=True,
        )


if __name__ == "__main__":
    main()
