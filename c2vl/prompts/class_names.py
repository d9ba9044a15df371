"""Encode class names: the feature of a name is the mean over a few sentences with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from c2vl.core import tables
from c2vl.core.params import ParamsModel


class ClassNamesParams(ParamsModel):
    """Section `class_names`."""

    templates: list[str] = Field(
        min_length=1,
        description="sentences with {} for the class name; their features are averaged",
    )

    @field_validator("templates")
    @classmethod
    def _with_a_place_for_the_name(cls, templates: list[str]) -> list[str]:
        for template in templates:
            rest = template.replace("{}", "")
            if template.count("{}") != 1 or "{" in rest or "}" in rest:
                raise ValueError(f"'{template}' must hold {{}} once, for the class name")
        return templates


def write_class_names(
    out: Path,
    names: Sequence[str],
    params: ClassNamesParams,
    encode: Callable[[list[str]], np.ndarray],
) -> None:
    """Write `class_names.parquet`: label, name and unit feature (width,) float32 of each class.

    Args:
        out: folder to write to.
        names: of the classes; a name's position is its label.
        params: section `class_names`.
        encode: turns sentences into features (N, width).
    """
    total = np.zeros((len(names), 0))
    for template in params.templates:
        features = np.asarray(encode([template.format(name) for name in names]), np.float64)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        total = total + unit if total.shape[1] else unit
    mean = (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)
    columns = {
        "label": pa.array(np.arange(len(names), dtype=np.int16)),
        "name": pa.array(names, pa.string()),
        "feature": tables.vector_column(mean),
    }
    tables.write(out / "class_names.parquet", pa.table(columns))
