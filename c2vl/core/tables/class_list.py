"""Reads the list of class names that stage `index` writes."""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import UserError
from c2vl.core.files import read_json


def read_class_list(data: Path) -> list[str]:
    """Names of the classes; the position is the label.

    Args:
        data: the data folder.

    Raises:
        UserError: the list is missing.
    """
    path = data / "index" / "classes.json"
    try:
        return [str(name) for name in read_json(path)]
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing; run `dvc repro index` to write it or `dvc pull` to fetch it."
        ) from None
