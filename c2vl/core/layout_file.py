"""Skeletons by name or from YAML files.

Shipped ones lie in `c2vl/core/layouts`, one file each. How to add one: docs/skeletons.md.
"""

from __future__ import annotations

import functools
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from c2vl.core.errors import UserError
from c2vl.core.files import write_json
from c2vl.core.layout import Coordinates, SkeletonLayout, twice

SHIPPED = Path(__file__).parent / "layouts"
WRITTEN = "skeleton.json"  # beside the index
NTU = "ntu25"
VIDEO = "coco17"  # what stage `pose` finds in videos
LARGEST = 1 << 20  # bytes of a file
Joint = int | str  # its number from 0, or its name


def shipped_layouts() -> list[str]:
    """Names of the shipped skeletons, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


@functools.cache
def shipped_layout(name: str) -> SkeletonLayout:
    """The shipped skeleton of this name.

    Raises:
        UserError: there is none.
    """
    if name not in shipped_layouts():
        raise UserError(
            f"there is no skeleton '{name}'; name one of {', '.join(shipped_layouts())}, or a "
            "file such as data/raw/mine.yaml (docs/skeletons.md)."
        )
    return _read(SHIPPED / f"{name}.yaml")


def load_layout(skeleton: str | Path, named_in: str = "`data.skeleton`") -> SkeletonLayout:
    """Return the shipped skeleton of this name, or read the YAML file at this path.

    Args:
        skeleton: the name or the path.
        named_in: what names it, for messages.

    Example:
        >>> load_layout("coco17").shape
        (2, 17, 3)

    Raises:
        UserError: there is none, or the file is no skeleton; the sentence says where and why.
    """
    path = Path(skeleton)
    if path.suffix not in (".yaml", ".yml"):
        return shipped_layout(str(skeleton))
    if path.stem in shipped_layouts():
        raise UserError(
            f"{path}: {path.stem} is the name of a shipped skeleton; give the file another name."
        )
    return _read(path, named_in)


def write_layout(folder: Path, layout: SkeletonLayout) -> None:
    """Write the skeleton of a data set into the folder of its index."""
    write_json(folder / WRITTEN, layout.to_dict())


def read_layout(data: Path) -> SkeletonLayout:
    """The skeleton of a data set, as stage `index` wrote it into `data/index`.

    Raises:
        UserError: it is damaged.
    """
    return layout_beside(data / "index" / "index.parquet")


def layout_beside(index: Path) -> SkeletonLayout:
    """The skeleton beside an index table, or beside a skeleton table; ntu25 where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = index.with_name(WRITTEN)
    try:
        return SkeletonLayout.from_json(path.read_bytes())
    except FileNotFoundError:  # an index of a version that knew no other
        return shipped_layout(NTU)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be used ({error}); run `dvc repro -f index`.") from None


class _LayoutFile(BaseModel):
    """The keys of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    coordinates: Coordinates
    joints: list[str] = Field(min_length=2, max_length=200)
    bones: list[list[Joint]]
    persons: int = Field(default=2, ge=1, le=10)
    centre: Joint | list[Joint] = []
    sides: list[list[Joint]] = []
    head: list[Joint] | None = None
    colour_frame: list[int] | None = None


def _read(path: Path, named_in: str = "") -> SkeletonLayout:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is too large for the description of a skeleton.")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}); correct {named_in}."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}).") from None
    try:
        if not isinstance(content, dict):
            raise ValueError("it has no keys such as `joints` and `bones`")
        return _layout(path.stem, _LayoutFile.model_validate(content))
    except ValidationError as error:
        why = _sentence(error)
    except ValueError as error:
        why = str(error)
    raise UserError(f"{path}: {why} (docs/skeletons.md).")


def _sentence(error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"] if part not in ("int", "str", "list[...]"))
    if fault["type"] == "extra_forbidden":
        return f"there is no key `{key}`; the keys are {', '.join(_LayoutFile.model_fields)}"
    if fault["type"] == "missing":
        return f"the key `{key}` is missing"
    return f"`{key}`: {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _layout(name: str, file: _LayoutFile) -> SkeletonLayout:
    def number(joint: Joint, key: str) -> int:
        if isinstance(joint, str) and joint in file.joints:
            return file.joints.index(joint)
        if isinstance(joint, str) or not 0 <= joint < len(file.joints):
            raise ValueError(
                f"`{key}` names joint {joint!r}; joints have their names, or numbers from 0 to "
                f"{len(file.joints) - 1}"
            )
        return joint

    def pair(joints: list[Joint], key: str) -> tuple[int, int]:
        if len(joints) != 2:
            raise ValueError(f"`{key}` needs pairs of joints, not {joints}")
        return number(joints[0], key), number(joints[1], key)

    if (name_twice := twice(file.joints)) is not None:  # before names are looked up
        raise ValueError(f"two joints are called '{name_twice}'")
    parents = list(range(len(file.joints)))
    bones = [pair(bone, "bones") for bone in file.bones]
    for joint, parent in bones:
        if joint == parent:
            raise ValueError(f"`bones` joins '{file.joints[joint]}' to itself")
        parents[joint] = parent
    if (child := twice(joint for joint, _ in bones)) is not None:
        raise ValueError(f"`bones` gives '{file.joints[child]}' two parents")
    frame = file.colour_frame
    if frame is not None and (len(frame) != 2 or min(frame) < 1):
        raise ValueError("`colour_frame` is [width, height] in pixels")
    centre = file.centre if isinstance(file.centre, list) else [file.centre]
    return SkeletonLayout(
        name,
        tuple(file.joints),
        tuple(parents),
        file.coordinates,
        file.persons,
        tuple(number(joint, "centre") for joint in centre),
        tuple(pair(joints, "sides") for joints in file.sides),
        None if file.head is None else pair(file.head, "head"),
        None if frame is None else (frame[0], frame[1]),
    )
