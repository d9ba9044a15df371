"""Read one section of `params.yaml` into a typed, frozen model.

Each room owns the models of its own sections. DVC hashes code too, so a changed default then
reruns only the stages that use that room.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from c2vl.core.errors import UserError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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
        content = copy.deepcopy(_parsed(path.read_text(encoding="utf-8")))
        # Escapes such as "\\ud83d" may name half a character, which no table can hold.
        json.dumps(content, ensure_ascii=False, default=str, skipkeys=True).encode()
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing; run this in the project's root, or write the file with "
            "`c2vl profile demo`."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError) as error:
        where = " ".join(str(error).split())
        raise UserError(
            f"{path} is not valid YAML ({where}); correct it, or restore it with "
            "`c2vl profile demo`."
        ) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must contain named sections; restore it with `c2vl profile demo`.")
    return content


@functools.lru_cache(maxsize=4)
def _parsed(text: str) -> Any:
    """Parse YAML once, though a run reads many sections of the same file."""
    return yaml.safe_load(text)


def load_section(name: str, model: type[Section], path: Path = PARAMS_FILE) -> Section:
    """Return section `name` of `path` as `model`.

    Raises:
        UserError: the section is missing, or a key is unknown, missing or of the wrong type;
            the sentence names the file, the key and what was expected.
    """
    content = read_params(path)
    if name not in content:
        raise UserError(f"{path} has no section `{name}`; compare it with `profiles/demo.yaml`.")
    if faults := faults_of(name, content[name], model):
        raise UserError(f"{path}: {faults[0]}")
    return model.model_validate(content[name] if content[name] is not None else {})


def faults_of(name: str, values: Any, model: type[ParamsModel]) -> list[str]:
    """A sentence for each value of section `name` that `model` does not allow."""
    values = values if values is not None else {}
    try:
        model.model_validate(values)
    except ValidationError as error:
        # A misspelt key is unknown, and the right one is missing: show the unknown one first.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        return [sentence(fault, values, name) for fault in faults]
    return []


def sentence(fault: ErrorDetails, values: Any, *above: str) -> str:
    """What is wrong with a value, by its dotted name.

    Args:
        fault: one of pydantic's `ValidationError.errors()`.
        values: what was validated.
        above: names of what holds `values`.
    """
    key = ".".join([*above, *_names(fault["loc"], values)])
    if fault["type"] == "extra_forbidden":
        return f"there is no parameter `{key}`; correct its name or remove it."
    text = fault["msg"].removeprefix("Value error, ")
    return f"`{key}`: {text[0].lower()}{text[1:]}."


def _names(place: tuple[int | str, ...], values: Any) -> Iterator[str]:
    """The parts of a place that a user wrote; pydantic adds the names of its own alternatives."""
    for part in place[:-1]:
        try:
            values = values[part]
        except (KeyError, TypeError):
            continue
        yield str(part)
    if isinstance(values, (Mapping, list)):
        yield from map(str, place[-1:])


def first_benchmark(path: Path = PARAMS_FILE) -> str:
    """Return the first of `data.benchmarks`, on which the zero-shot stages run.

    Raises:
        UserError: the file cannot be read, or names no benchmark.
    """
    data = read_params(path).get("data")
    named = data.get("benchmarks") if isinstance(data, dict) else None
    if not isinstance(named, list) or not named:
        raise UserError(f"{path}: `data.benchmarks` must name a benchmark, such as [xsub].")
    return str(named[0])
