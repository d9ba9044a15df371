"""A question to the captioner from a file or a function of the user; its text is in the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.extensions import FOLDER, imported

KEY = "caption.captioner.question"


def question_of(source: Mapping[str, Any], key: str = KEY) -> str:
    """The text of `{file: PATH}` or of what `{function: module:name}` returns.

    Args:
        source: one of the two.
        key: the parameter, for messages.

    Raises:
        UserError: there is no such file or function, or it gives no text.
    """
    if len(source) != 1 or not {"file", "function"} >= source.keys():
        raise UserError(
            f"params.yaml: `{key}` is a text, {{file: PATH}} or {{function: module:name}}."
        )
    ((kind, where),) = source.items()
    found = _file(str(where), key) if kind == "file" else _function(str(where), key)
    text = " ".join(found.split())
    if not text:
        raise UserError(f"params.yaml: `{key}`: {where} gives no text.")
    return text


def _file(where: str, key: str) -> str:
    path = Path(where)
    if not path.resolve().is_relative_to(FOLDER.resolve()):
        raise UserError(
            f"params.yaml: `{key}`: {where} has to lie in {FOLDER}/, where DVC sees its changes."
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"params.yaml: `{key}`: {where} cannot be read ({error}).") from None


def _function(where: str, key: str) -> str:
    function = imported(where, key)
    try:
        found = function()
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"params.yaml: `{key}`: {where}() failed ({said}).") from None
    if not isinstance(found, str):
        raise UserError(
            f"params.yaml: `{key}`: {where}() has to return a text, not {type(found).__name__}."
        )
    return found
