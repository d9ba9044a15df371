"""Read one section of `params.yaml` into a typed, frozen model.

Each room owns the models of its own sections. DVC hashes code too, so a changed default then
reruns only the stages that use that room.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from c2vl.core.errors import UserError

PARAMS_FILE = Path("params.yaml")
Section = TypeVar("Section", bound="ParamsModel")


class ParamsModel(BaseModel):
    """Base class of every section: unknown keys are errors, and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Return the whole file as a dictionary of sections.

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing; run this in the project's root, or write the file with "
            "`c2vl profile demo`."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise UserError(
            f"{path} is not valid YAML ({where}); correct it, or restore it with "
            "`c2vl profile demo`."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must contain named sections; restore it with `c2vl profile demo`.")
    return content


def load_section(name: str, model: type[Section], path: Path = PARAMS_FILE) -> Section:
    """Return section `name` of `path` as `model`.

    Raises:
        UserError: the section is missing, or a key is unknown, missing or of the wrong type;
            the sentence names the file, the key and what was expected.
    """
    content = read_params(path)
    if name not in content:
        raise UserError(f"{path} has no section `{name}`; compare it with `profiles/demo.yaml`.")
    try:
        return model.model_validate(content[name] if content[name] is not None else {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([name, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise UserError(
                f"{path}: there is no parameter `{key}`; correct its name or remove it."
            ) from None
        raise UserError(f"{path}: `{key}`: {first['msg'][0].lower()}{first['msg'][1:]}.") from None
