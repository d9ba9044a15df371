"""A profile for a data set of one's own: profiles/small.yaml with another section `data`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes

FOLDER = Path("profiles")
BASE = FOLDER / "small.yaml"
SHIPPED = ("demo", "small", "paper")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


def profile_path(name: str) -> Path:
    """Where the profile `name` is written.

    Raises:
        UserError: it cannot be a name, or is a shipped profile's.
    """
    if not NAME.fullmatch(name) or name in SHIPPED:
        raise UserError(
            f"--params {name}: choose another name, of lower-case letters, digits, - and _; "
            f"{', '.join(SHIPPED)} are shipped."
        )
    return FOLDER / f"{name}.yaml"


def write_profile(path: Path, data: Mapping[str, Any]) -> None:
    """Write the profile; every other section is that of `small`.

    Raises:
        UserError: profiles/small.yaml is missing.
    """
    try:
        text = BASE.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{BASE} cannot be read ({error.strerror}); run from the project's root."
        ) from None
    section = yaml.safe_dump({"data": dict(data)}, sort_keys=False, allow_unicode=True)
    text = re.sub(r"(?ms)^data:.*?(?=^\S)", lambda _: section + "\n", text, count=1)
    text = re.sub(r"(?m)^profile: .*$", f"profile: {path.stem}", text, count=1)
    text = re.sub(r"(?ms)\A#.*?(?=^profile)", "# Profile made by `c2vl init`.\n", text)
    write_bytes(path, text.encode())
