"""The terms of the data set and of every model that a run used; for people to read, not legal advice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from c2vl.report.seen import packaged


def licences(dataset: str, settings: str, filmed: bool = True) -> list[str]:
    """A sentence on the data set and one on each model that a run used.

    A model is known by how its hub id or folder begins, an original `.pth` by its file's name; one that is not known is named,
    so that nobody takes silence for permission.

    Args:
        dataset: its short name.
        settings: the text of params.yaml.
        filmed: whether there were videos; without, nothing is detected.
    """
    known = packaged("licences.json")
    about = known["datasets"].get(
        dataset,
        f"The terms of {dataset} are not known to this project: look them up before you share.",
    )
    told = [
        _of_model(model, known["engines"])
        for model in dict.fromkeys(models(yaml.safe_load(settings) or {}, filmed))
    ]
    published = _at(yaml.safe_load(settings), "caption", "published")
    if published:
        told.append(
            f"The answers in {published} are their authors': read the terms they were published under."
        )
    return [about, *told]


def models(params: Mapping[str, Any], filmed: bool = True) -> Iterator[str]:
    """The engines' models that a run with these parameters uses.

    Published answers take the captioner's place, and so does a server, whose model has a name of its own.
    """
    captioner = None if _at(params, "caption", "published") else _at(params, "caption", "captioner")
    captioner = _at(captioner, "server") or captioner
    for engine in (
        _at(params, "crop", "detector") if filmed else None,
        captioner,
        _at(params, "embed", "encoder"),
    ):
        if model := _at(engine, "model"):
            yield str(model)


def _at(tree: Any, *path: str) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _of_model(model: str, known: dict[str, str]) -> str:
    name = model.lower()
    file = name.rsplit("/", 1)[-1] if name.endswith(".pth") else name
    for start, terms in known.items():
        if name.startswith(start) or file.startswith(start):
            return f"{model}: {terms}"
    return f"{model}: its terms are not known to this project; read its model card."
