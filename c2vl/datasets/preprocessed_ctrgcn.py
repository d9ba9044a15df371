"""CTR-GCN's files such as `NTU60_CS.npz`: x (N, T, 150), zero-padded to T = 300, and y one-hot.

Source: the published `data/ntu/seq_transformation.py` and `feeders/feeder_ntu.py` of CTR-GCN (ICCV
2021). A frame's 150 numbers are (2, 25, 3). The files have no sample names: a clip is called
`train_000012` or `test_000345` by its position, as CTR-GCN's feeder does. Files that `c2vl
skeletons` wrote also hold `names_train` and `names_test`, and clips keep their names.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.core.layout_file import shipped_layout
from c2vl.core.tables.shard import shard_of
from c2vl.datasets.ready_clip import ReadyClip, checked

BENCHMARKS = {"CS": "xsub", "CV": "xview", "CSub": "xsub", "CSet": "xset"}
PERSONS, JOINTS, COORDINATES = 2, 25, 3
NUMBERS = PERSONS * JOINTS * COORDINATES
MOST_FRAMES, MOST_CLASSES = 10_000, 1_000
_FILE_NAME = re.compile(r".*_(CS|CV|CSub|CSet|xsub|xview|xset)", re.IGNORECASE)
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip entry: lengths of its name and extra field
_BY_LOWER = {short.lower(): name for short, name in BENCHMARKS.items()} | {
    name: name for name in BENCHMARKS.values()
}


class CtrGcnFile:
    """A file of CTR-GCN's, read clip by clip.

    An uncompressed one (as published) is read at any place, a compressed one from its start.

    Raises:
        UserError: the file is damaged or not of this format, or its name does not say the
            benchmark.
    """

    layout = shipped_layout("ntu25")
    strangers: tuple[str, ...] = ()  # it has no names, or ours, which are checked
    lacking: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        named = _FILE_NAME.fullmatch(path.stem)
        if named is None:
            raise UserError(
                f"{path}: the name must end in _CS, _CV, _CSub or _CSet; "
                "nothing else says which benchmark it is."
            )
        self.benchmarks: tuple[str, ...] = (_BY_LOWER[named[1].lower()],)
        self._path = path
        self._parts = {split: self._part(split) for split in ("train", "test")}
        self.classes = max(part.classes for part in self._parts.values())
        self._places = {
            name: (part, at) for part in self._parts.values() for at, name in enumerate(part.names)
        }
        if len(self._places) < sum(len(part.names) for part in self._parts.values()):
            raise UserError(f"{path} names a clip twice.")

    def clips(self) -> Iterator[ReadyClip]:
        """Train, then test."""
        return (
            self._clip(part, at) for part in self._parts.values() for at in range(len(part.names))
        )

    def clip(self, sample: str) -> ReadyClip:
        """One clip."""
        return self._clip(*self._places[sample])

    def _part(self, split: str) -> _Part:
        try:
            return _Part(self._path, split)
        except UserError:
            raise
        except (
            Exception
        ) as error:  # zipfile, zlib and numpy have a dozen kinds of their own for damage
            raise UserError(
                f"{self._path} is no CTR-GCN file ({_told(error)}); fetch or make it again."
            ) from None

    def _clip(self, part: _Part, at: int) -> ReadyClip:
        splits = {self.benchmarks[0]: part.split}
        if part.labels[at] < 0:
            return ReadyClip(part.names[at], 0, splits, problem="y does not name exactly one class")
        try:
            frames = part.rows.read(at)
        except Exception as error:  # as above
            raise UserError(
                f"{self._path}: clip {at} of {part.split} cannot be read ({_told(error)})."
            ) from None
        joints, problem = checked(frames.reshape(-1, PERSONS, JOINTS, COORDINATES))
        return ReadyClip(part.names[at], int(part.labels[at]), splits, joints, problem)


class _Part:
    """One split: its rows, labels (-1: none) and names."""

    def __init__(self, path: Path, split: str) -> None:
        self.split = split
        self.rows = _Rows(path, f"x_{split}.npy")
        clips, _, numbers = self.rows.shape
        hot = _small(path, f"y_{split}.npy")
        if (
            numbers != NUMBERS
            or hot.ndim != 2
            or len(hot) != clips
            or not 0 < hot.shape[1] <= MOST_CLASSES
        ):
            shapes = f"x_{split} {self.rows.shape}, y_{split} {hot.shape}"
            raise UserError(
                f"{path}: expected x (N, T, {NUMBERS}) and y (N, classes), found {shapes}."
            )
        self.classes = hot.shape[1]
        self.labels = np.where((hot > 0).sum(1) == 1, (hot > 0).argmax(1), -1)
        self.names = [f"{split}_{at:06d}" for at in range(clips)]
        with zipfile.ZipFile(path) as archive:
            has_names = f"names_{split}.npy" in archive.namelist()
        if has_names:
            self.names = [str(name) for name in _small(path, f"names_{split}.npy").tolist()]
            if len(self.names) != clips:
                raise UserError(f"{path}: {len(self.names)} names for {clips} clips of {split}.")
            for name in self.names:
                shard_of(name)  # a name that is no sample id must not come further


class _Rows:
    """Rows of a three-dimensional array in a zip, one at a time and without pickle."""

    def __init__(self, path: Path, member: str) -> None:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(member)
            with archive.open(entry) as file:
                self.shape, self.dtype = _header(path, member, file)
                self._begin = file.tell()
            self._stored = entry.compress_type == zipfile.ZIP_STORED
        if len(self.shape) != 3 or self.dtype.kind != "f" or self.shape[1] > MOST_FRAMES:
            raise UserError(
                f"{path}: {member} must hold floats (N, T, {NUMBERS}), "
                f"not {self.dtype} {self.shape}."
            )
        self._row = self.shape[1] * self.shape[2] * self.dtype.itemsize
        if self._begin + self.shape[0] * self._row != entry.file_size:
            raise UserError(f"{path}: {member} is cut short.")
        self._file: IO[bytes]
        if self._stored:
            self._file = path.open("rb")
            self._file.seek(entry.header_offset)
            self._begin += entry.header_offset + 30 + sum(_LOCAL_HEADER.unpack(self._file.read(30)))
        else:
            # Seeks by decompressing: cheap forwards only. Open as long as this object lives.
            self._file = zipfile.ZipFile(path).open(member)  # noqa: SIM115

    def read(self, at: int) -> np.ndarray:
        """Row `at`, (T, 150)."""
        self._file.seek(self._begin + at * self._row)
        data = self._file.read(self._row)
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])


def _header(path: Path, member: str, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read(file)
    if dtype.hasobject or (fortran and len(shape) > 1):
        raise UserError(
            f"{path}: {member} holds {dtype}{' in Fortran order' if fortran else ''}, "
            "not plain numbers."
        )
    return shape, dtype


def _small(path: Path, member: str) -> np.ndarray:
    """Labels or names, whole."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        shape, dtype = _header(path, member, file)
        count = int(np.prod(shape, dtype=np.int64))
        if count * dtype.itemsize > 4 << 30 or dtype.kind not in "biufU":
            raise UserError(f"{path}: {member} is not an array of labels or names.")
        return np.frombuffer(file.read(count * dtype.itemsize), dtype).reshape(shape)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:100]
