"""A profile for a data set of one's own: a shipped one with another section `data`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes

FOLDER = Path("profiles")
SHIPPED = ("demo", "small", "paper")
TAKEN = (*SHIPPED, "study")
SYNTHETIC = "studio|target_world"  # sections that only the synthetic world needs
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


def profile_path(name: str) -> Path:
    """Where the profile `name` is written.

    Raises:
        UserError: it cannot be a name, or is a shipped profile's.
    """
    if not NAME.fullmatch(name) or name in TAKEN:
        raise UserError(
            f"--params {name}: choose another name, of lower-case letters, digits, - and _; "
            f"{', '.join(TAKEN)} are shipped."
        )
    return FOLDER / f"{name}.yaml"


def write_profile(path: Path, data: Mapping[str, Any], base: str = "small") -> None:
    """Write the profile; every other section is that of `base`, without its synthetic worlds.

    Args:
        path: the file to write.
        data: the section `data`.
        base: one of `SHIPPED`.

    Raises:
        UserError: the base is missing.
    """
    import yaml  # late: `c2vl --help` names the shipped profiles

    shipped = FOLDER / f"{base}.yaml"
    try:
        text = shipped.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{shipped} cannot be read ({error.strerror}); run from the project's root."
        ) from None
    text = re.sub(rf"(?ms)^(?:{SYNTHETIC}):.*?(?=^\S)", "", text)
    text = re.sub(r"(?m)^((?:target_)?worlds:) \[[^]]*\]( *)", r"\1 []\2", text)
    text = re.sub(r"(?ms)^  targets:.*?(?=^\S)", "  targets: {}\n\n", text, count=1)
    text = re.sub(r"(?m)^  compare: true", "  compare: false", text)
    section = yaml.safe_dump({"data": dict(data)}, sort_keys=False, allow_unicode=True)
    text = re.sub(r"(?ms)^data:.*?(?=^\S)", lambda _: section + "\n", text, count=1)
    text = re.sub(r"(?m)^profile: .*$", f"profile: {path.stem}", text, count=1)
    text = re.sub(r"(?ms)\A#.*?(?=^profile)", "# Profile made by `c2vl init`.\n", text)
    write_bytes(path, text.encode())
