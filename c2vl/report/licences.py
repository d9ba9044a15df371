"""Terms of the data set and of the models that a run used. This is not legal advice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from c2vl.report.packaged import packaged_json
from c2vl.report.pipeline_outputs import lookup


def licences(
    dataset: str, settings: str, filmed: bool = True, videos_alone: bool = False
) -> list[str]:
    """One sentence on the data set and one on each model that the run used.

    The table of known models matches the start of a hub id or folder, or the file name of a
    `.pth`. A model without known terms is listed too, so that silence is not read as permission.

    Args:
        dataset: short name of the data set.
        settings: text of params.yaml.
        filmed: whether there were videos; without them the detector is not used.
        videos_alone: whether skeletons come from videos; then the pose engine is used.
    """
    known = packaged_json("licences.json")
    about = known["datasets"].get(
        dataset,
        f"The terms of {dataset} are not known to this project: read them before you share.",
    )
    params = yaml.safe_load(settings) or {}
    sentences = [
        _of_model(model, known["engines"])
        for model in dict.fromkeys(models(params, filmed, videos_alone))
    ]
    published = lookup(params, "caption", "published")
    if published:
        sentences.append(
            f"The answers in {published} belong to their authors: read the terms of their release."
        )
    return [about, *sentences]


def models(
    params: Mapping[str, Any], filmed: bool = True, videos_alone: bool = False
) -> Iterator[str]:
    """The models that a run with these parameters uses, detector first.

    Published answers replace the captioner; a captioning server names its own model.
    """
    published = lookup(params, "caption", "published")
    captioner = None if published else lookup(params, "caption", "captioner")
    captioner = lookup(captioner, "server") or captioner
    joints_alone = lookup(params, "crop", "detector", "backend") == "skeleton"
    posed = videos_alone or (filmed and lookup(params, "pose", "compare"))
    for engine in (
        lookup(params, "crop", "detector") if filmed and not joints_alone else None,
        lookup(params, "pose", "engine") if posed else None,
        captioner,
        lookup(params, "embed", "encoder"),
    ):
        if model := lookup(engine, "model"):
            yield str(model)


def _of_model(model: str, known: dict[str, str]) -> str:
    name = model.lower()
    file = name.rsplit("/", 1)[-1] if name.endswith(".pth") else name
    for start, terms in known.items():
        if name.startswith(start) or file.startswith(start):
            return f"{model}: {terms}"
    return f"{model}: its terms are not known to this project; read its model card."
