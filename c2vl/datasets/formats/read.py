"""Read a skeleton file of any format, at a place in the raw folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from c2vl.core.digest import digest_of
from c2vl.datasets import raw_files as places
from c2vl.datasets.formats.arrays import parse_npy, parse_npz
from c2vl.datasets.formats.json_skeleton import load_json, parse_json
from c2vl.datasets.formats.openpose import parse_frames
from c2vl.datasets.formats.recording import Recording
from c2vl.datasets.formats.utd_mat import parse_mat
from c2vl.datasets.hidden_files import is_hidden
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.skeleton_file import MAX_FRAMES, SkeletonError

PARSERS: dict[str, Callable[[bytes], Recording]] = {
    ".npy": parse_npy,
    ".npz": parse_npz,
    ".json": parse_json,
    ".mat": parse_mat,
}
FRAME = ".json"  # of a folder with one file a frame
NAMED_FRAME = re.compile(r".+[_-]\d+_keypoints\.json", re.IGNORECASE)  # as OpenPose names it


def is_skeleton_file(name: str) -> bool:
    """Whether a file of this name may be read as a skeleton."""
    return Path(name).suffix.lower() in PARSERS


def joined(places: Iterable[str]) -> Iterator[str]:
    """Places, sorted; a folder of one JSON file a frame comes once, with a slash at its end."""
    last = ""
    for place in sorted(places):
        folder, _, base = place.rpartition("/")
        if folder and NAMED_FRAME.fullmatch(base):
            if folder != last:
                yield f"{folder}/"
            last = folder
        else:
            yield place


def read_recording(raw: Path, place: str) -> tuple[Recording, str]:
    """(recording, blake2b-128 of the bytes) of a file, or of a folder with one JSON file a frame.

    Raises:
        SkeletonError: the file cannot be used.
        PlaceError: it cannot be read, or its name leads out of `raw`.
    """
    if not places.leads_out(place) and (raw / place).is_dir():
        return _folder(raw, place)
    parse = PARSERS.get(Path(place).suffix.lower())
    if parse is None:
        raise SkeletonError(
            f"files that end with {Path(place).suffix or 'no suffix'} are not read; use "
            f"{', '.join(PARSERS)}, or a folder with one JSON file a frame"
        )
    data = places.read(raw, place)
    return parse(data), digest_of(data)


def frame_files(folder: Path) -> list[str]:
    """Names of the JSON files in a folder, in the order of the numbers in their names."""
    names = [path.name for path in folder.iterdir() if path.suffix.lower() == FRAME]
    return sorted((name for name in names if not is_hidden(name)), key=_by_numbers)


def _folder(raw: Path, place: str) -> tuple[Recording, str]:
    try:
        names = frame_files(raw / place)
    except OSError as error:
        raise PlaceError(f"it cannot be read ({error.strerror or error})") from None
    if not names:
        raise SkeletonError("the folder holds no JSON file; it needs one a frame")
    if len(names) > MAX_FRAMES:
        raise SkeletonError(f"the folder holds {len(names):,} files")
    pieces = [places.read(raw, f"{place.rstrip('/')}/{name}") for name in names]
    digest = digest_of("".join(map(digest_of, pieces)).encode())
    return parse_frames([load_json(piece) for piece in pieces]), digest


def _by_numbers(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """`x_10_keypoints.json` comes after `x_9_keypoints.json`."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts], name
