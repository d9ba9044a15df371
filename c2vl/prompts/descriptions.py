"""A user's own descriptions of the classes, for zero-shot recognition: one or several a class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from c2vl.core.errors import UserError

NAMED = 3  # classes that a message lists


def read_descriptions(path: Path, names: Sequence[str]) -> list[list[str]]:
    """Descriptions of each class, in the order of `names`.

    Args:
        path: JSON or YAML: class name to a description or a list of them.
        names: the data set's class names.

    Raises:
        UserError: the file cannot be read, lacks a class, names one that the data set does not
            have, or gives a class no text.
    """
    content = _content(path)
    unknown = [str(name) for name in content if name not in set(names)]
    if unknown:
        close = get_close_matches(unknown[0], names, 1)
        hint = f" (do you mean {close[0]!r}?)" if close else ""
        raise UserError(
            f"{path} describes {unknown[0][:60]!r}, which is not a class of this data set{hint}; "
            "use the names in data/index/classes.json."
        )
    lacking = [name for name in names if name not in content]
    if lacking:
        shown = ", ".join(map(repr, lacking[:NAMED])) + (", …" if len(lacking) > NAMED else "")
        raise UserError(
            f"{path} lacks {len(lacking)} of the {len(names)} classes ({shown}); "
            "describe every class of data/index/classes.json."
        )
    return [_texts(path, name, content[name]) for name in names]


def _content(path: Path) -> dict[Any, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except FileNotFoundError:
        raise UserError(
            f"{path} (`class_names.descriptions`) is not there; put the file there, or set "
            "`class_names.descriptions` to null."
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path} is not valid JSON or YAML ({reason}); correct it.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold class names with their descriptions; see descriptions/.")
    return content


def _texts(path: Path, name: str, found: Any) -> list[str]:
    texts = [found] if isinstance(found, str) else found
    good = isinstance(texts, list) and texts
    if not good or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UserError(f"{path}: {name!r} needs a description or a list of them, none empty.")
    return [text.strip() for text in texts]
