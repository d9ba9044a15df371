"""Write pyskl's annotation file from our skeletons, clip after clip.

The format: `c2vl.datasets.preprocessed_pyskl`.

The joints are float32, where pyskl's own files hold float16, so that nothing is lost; pyskl reads
both. The pickle is put together from pieces, because `pickle.dump` of the whole needs all clips in
memory at once.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.files import published
from c2vl.datasets.skeletons.skeleton_table import SkeletonTable

PROTOCOL = 3  # the last one without frames, whose pieces can simply follow each other
SIDES = {"train": "train", "test": "val"}
OLD_NUMPY, NEW_NUMPY = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"


def write_pyskl(table: SkeletonTable, folder: Path) -> Path:
    """Write all benchmarks to one file in `folder`; return it."""
    path = folder / f"{table.dataset}_3danno.pkl"
    split = {
        f"{benchmark}_{name}": [
            sample for sample, row in table.rows.items() if row[benchmark] == side
        ]
        for benchmark in table.benchmarks
        for side, name in SIDES.items()
    }
    with published(path) as temporary, temporary.open("wb") as out:
        out.write(pickle.PROTO + bytes([PROTOCOL]) + pickle.EMPTY_DICT + pickle.MARK)
        out.write(_piece("split") + _piece(split) + _piece("annotations") + pickle.EMPTY_LIST)
        for sample, joints, bodies in table.clips():
            keypoint = np.ascontiguousarray(
                joints[:, :bodies].transpose(1, 0, 2, 3)
            )  # (M, T, V, C)
            row = table.rows[sample]
            clip = {
                "frame_dir": sample,
                "label": row["label"],
                "total_frames": len(joints),
                "keypoint": keypoint,
            }
            # NumPy 2 calls the module otherwise than the NumPy 1 that pyskl needs, and still knows
            # the old name.
            out.write(_piece(clip).replace(NEW_NUMPY, OLD_NUMPY, 1) + pickle.APPEND)
        out.write(pickle.SETITEMS + pickle.STOP)
    return path


def _piece(content: Any) -> bytes:
    """What pushes `content` on the stack of an unpickler: a pickle without begin, end and memo."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, PROTOCOL)
    pickler.fast = True
    pickler.dump(content)
    return buffer.getvalue()[2:-1]
