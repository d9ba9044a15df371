"""PKU-MMD's skeleton files: a line a frame, 2 bodies x 25 joints x xyz.

Metres, zeros where there is nobody.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyarrow import csv

from c2vl.core.digest import digest_of
from c2vl.datasets.skeleton_file import SkeletonError, sensible

BODIES, JOINTS = 2, 25
NUMBERS = BODIES * JOINTS * 3

_COLUMNS = [str(number) for number in range(NUMBERS)]
_READ = csv.ReadOptions(column_names=_COLUMNS, use_threads=False)
_PARSE = csv.ParseOptions(delimiter=" ", quote_char=False)
_CONVERT = csv.ConvertOptions(
    column_types=dict.fromkeys(_COLUMNS, pa.float64()), null_values=[], check_utf8=False
)


class LongSkeleton:
    """The file of a long video, split into lines; a clip's are parsed when asked for.

    Attributes:
        frames: its lines.
    """

    def __init__(self, data: bytes) -> None:
        """Split `data`.

        Raises:
            SkeletonError: the file is empty, or its first line holds something else.
        """
        self._data = data.rstrip()
        if not self._data:
            raise SkeletonError("the skeleton file is empty")
        breaks = np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))
        self._starts = np.concatenate([[0], breaks + 1, [len(self._data) + 1]])
        self.frames = len(breaks) + 1
        first = len(self.lines(0, 1).split())
        if first != NUMBERS:
            raise SkeletonError(
                f"line 1 of the skeleton file does not hold {NUMBERS} numbers, but {first}"
            )

    def lines(self, begin: int, stop: int) -> bytes:
        """The bytes of frames `begin` to `stop` (excluded), for a clip's content key."""
        return self._data[self._starts[begin] : self._starts[stop] - 1]

    def digest(self, begin: int, stop: int) -> str:
        """blake2b-128 of a clip's lines, hex."""
        return digest_of(self.lines(begin, stop))

    def joints(self, begin: int, stop: int) -> np.ndarray:
        """Return (F, 2, 25, 3) float32, metres; zero where a body is absent.

        Raises:
            SkeletonError: a line does not hold 150 finite numbers.
        """
        rows = [line.split() for line in self.lines(begin, stop).split(b"\n")]
        for offset, row in enumerate(rows):
            if len(row) != NUMBERS:
                raise SkeletonError(
                    f"line {begin + offset + 1} of the skeleton file holds {len(row)} numbers, "
                    f"not {NUMBERS}"
                )
        text = b"\n".join(b" ".join(row) for row in rows)
        try:
            table = csv.read_csv(pa.py_buffer(text), _READ, _PARSE, _CONVERT)
        except pa.ArrowInvalid:
            raise SkeletonError(
                f"lines {begin + 1} to {stop} of the skeleton file do not hold numbers only"
            ) from None
        with np.errstate(over="ignore"):
            joints = np.stack([column.to_numpy() for column in table.columns], axis=-1).astype(
                np.float32
            )
        if not sensible(joints):
            raise SkeletonError("joint coordinates are NaN or infinite or absurd")
        return joints.reshape(-1, BODIES, JOINTS, 3)
