"""The terms of the data set and of every model that a run used; for people to read, not legal advice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from c2vl.report.seen import packaged


def licences(dataset: str, settings: str) -> list[str]:
    """A sentence on the data set and one on each model that `settings` (the text of params.yaml) names.

    A model is known by how its hub id or folder begins; one that is not known is named, so that nobody takes silence for
    permission.
    """
    known = packaged("licences.json")
    about = known["datasets"].get(
        dataset, f"The terms of {dataset} are not known to this project: look them up before you share."
    )
    return [about, *(_of_model(model, known["engines"]) for model in dict.fromkeys(models(yaml.safe_load(settings))))]


def models(tree: Any) -> Iterator[str]:
    """Every value of a key `model` in nested mappings."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        if key == "model" and isinstance(value, str):
            yield value
        else:
            yield from models(value)


def _of_model(model: str, known: dict[str, str]) -> str:
    for start, terms in known.items():
        if model.lower().startswith(start):
            return f"{model}: {terms}"
    return f"{model}: its terms are not known to this project; read its model card."
