"""Results of the space shared with CLIP: zero-shot recognition, retrieval, similarity of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.evaluation.encoded import Array, Encoded
from c2vl.evaluation.ranking import unit
from c2vl.evaluation.retrieval import both_ways
from c2vl.models.prompt_features import Prompts

LANGUAGE = "language"
TEMPERATURE = 0.1  # of the softmax that makes similarities into scores; ranks do not depend on it


def zero_shot_scores(encoded: Encoded, names: Array) -> Array | None:
    """Scores (N, classes) of the test clips from features (classes, width) of the class names.

    The names go through the head that aligned the language prompts; no label of any clip is used.
    None where the encoder was not aligned with language.
    """
    cosines = name_similarities(encoded, names)
    if cosines is None:
        return None
    logits = cosines / TEMPERATURE
    scores = np.exp(logits - logits.max(1, keepdims=True))
    return (scores / scores.sum(1, keepdims=True)).astype(np.float32)


def name_similarities(encoded: Encoded, names: Array) -> Array | None:
    """Cosines (N, classes) of the test clips with the class names, in the shared space.

    None where the encoder was not aligned with language.
    """
    skeletons = encoded.embedded("skeleton_head", encoded.features.test)
    classes = encoded.embedded(f"prompt_heads.{LANGUAGE}", unit(names))
    return None if skeletons is None or classes is None else skeletons @ classes.T


def retrieve(encoded: Encoded, prompts: Prompts) -> dict[str, Any] | None:
    """Retrieval on the test clips that have a prompt; a clip's sentence is its middle one."""
    if f"prompt_heads.{LANGUAGE}.weight" not in encoded.heads or LANGUAGE not in prompts.features:
        return None
    valid = prompts.valid.numpy()
    rows = np.flatnonzero(valid.any(1))
    if not len(rows):
        return None
    middle = [int(found[len(found) // 2]) for found in (np.flatnonzero(valid[row]) for row in rows)]
    sentences = (
        prompts.at(LANGUAGE, torch.from_numpy(rows), torch.tensor(middle)).float().cpu().numpy()
    )
    # The same sentence has the same feature: no text is needed to see which clips share one.
    groups = np.unique(sentences, axis=0, return_inverse=True)[1].reshape(-1)
    skeletons = encoded.embedded("skeleton_head", encoded.features.test[rows])
    embedded = encoded.embedded(f"prompt_heads.{LANGUAGE}", unit(sentences))
    assert skeletons is not None and embedded is not None
    return both_ways(skeletons, embedded, groups, encoded.features.test_labels[rows])


def class_name_features(folder: Path, classes: int) -> Array:
    """Features (classes, width) float32 of the class names, from the output of stage `class_names`.

    Raises:
        UserError: it is missing or made of another list of classes.
    """
    table = tables.read(folder / "class_names.parquet", ["label", "feature"])
    if table["label"].to_pylist() != list(range(classes)):
        raise UserError(
            f"{folder} does not fit the {classes} classes of the index; "
            "run `dvc repro class_names`."
        )
    return tables.vectors(table["feature"]).astype(np.float32)
