"""Write CTR-GCN's `NTU60_CS.npz` and the like from our skeletons.

The format: `c2vl.datasets.preprocessed_ctrgcn`.

Clips come in CTR-GCN's own order (by subject, camera or setup, then by name), so that scores
computed on our file and on theirs can be compared row by row. The 300-frame padding exists in this
file only; everything is streamed.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.core.files import published
from c2vl.datasets.skeletons.skeleton_table import SkeletonTable

FRAMES, NUMBERS = 300, 150
SHORT_NAMES = {"ntu60": {"xsub": "CS", "xview": "CV"}, "ntu120": {"xsub": "CSub", "xset": "CSet"}}
ORDER = {"xsub": "subject", "xview": "camera", "xset": "setup"}
SPLITS = ("train", "test")


def write_ctrgcn(table: SkeletonTable, benchmark: str, folder: Path) -> Path:
    """Write one benchmark to `folder`; return the file.

    Raises:
        UserError: the index has no such benchmark, or a split of it is empty.
    """
    if benchmark not in table.benchmarks:
        raise UserError(
            f"the index has no benchmark '{benchmark}', only {', '.join(table.benchmarks)}."
        )
    places = {split: _places(table, benchmark, split) for split in SPLITS}
    for split, members in places.items():
        if not members:
            raise UserError(f"{benchmark} has no {split} clip with a usable skeleton.")
    frames = max(FRAMES, *(row["frames"] for row in table.rows.values()))
    short = SHORT_NAMES.get(table.dataset, {}).get(benchmark, benchmark)
    path = folder / f"{table.dataset.upper()}_{short}.npz"
    with published(path) as temporary, ExitStack() as stack:
        # Rows are written at their places in whatever order the shards give them, and only then
        # into the archive.
        x = {
            split: stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for split in SPLITS
        }
        _fill(x, table, benchmark, places, frames)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for split, members in places.items():
                with _member(
                    archive, f"x_{split}", (len(members), frames, NUMBERS), np.dtype(np.float32)
                ) as out:
                    x[split].seek(0)
                    shutil.copyfileobj(x[split], out, 1 << 20)
                hot = np.eye(table.classes)[[table.rows[sample]["label"] for sample in members]]
                _small(archive, f"y_{split}", hot)
            for split, members in places.items():  # CTR-GCN does not look at these
                _small(archive, f"names_{split}", np.array(list(members)))
    return path


def _places(table: SkeletonTable, benchmark: str, split: str) -> dict[str, int]:
    """Sample -> row, in CTR-GCN's order."""
    by = ORDER.get(benchmark, "subject")
    members = [sample for sample, row in table.rows.items() if row[benchmark] == split]
    members.sort(key=lambda sample: (table.rows[sample][by] or 0, sample))
    return {sample: place for place, sample in enumerate(members)}


def _fill(
    x: Mapping[str, IO[bytes]],
    table: SkeletonTable,
    benchmark: str,
    places: Mapping[str, Mapping[str, int]],
    frames: int,
) -> None:
    row_bytes = frames * NUMBERS * 4
    for split, file in x.items():
        file.truncate(len(places[split]) * row_bytes)
    for sample, joints, _ in table.clips():
        split = table.rows[sample][benchmark]
        if split in x:
            x[split].seek(places[split][sample] * row_bytes)
            x[split].write(joints.astype("<f4").tobytes())


def _member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> IO[bytes]:
    """Open an array of the archive for its numbers to be written.

    No time goes in, so equal content gives equal bytes.
    """
    out = archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(out, described)
    return out


def _small(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with _member(archive, name, array.shape, array.dtype) as out:
        out.write(np.ascontiguousarray(array).tobytes())
