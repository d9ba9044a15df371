"""Encode the classes: sentences with a class name, or a user's own descriptions, averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from c2vl.core import tables
from c2vl.core.params import ParamsModel
from c2vl.prompts.descriptions import read_descriptions


class ClassNamesParams(ParamsModel):
    """Section `class_names`."""

    templates: list[str] = Field(
        min_length=1,
        description="sentences with {} for the class name; their features are averaged",
    )
    descriptions: Path | None = Field(
        default=None,
        description="JSON or YAML file in descriptions/, used in place of the templates",
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

    Raises:
        UserError: the file of descriptions does not fit the classes.
    """
    if params.descriptions is None:
        total = np.zeros((len(names), 0))
        for template in params.templates:
            unit = _unit(encode([template.format(name) for name in names]))
            total = total + unit if total.shape[1] else unit
    else:
        texts = read_descriptions(params.descriptions, names)
        unit = _unit(encode([text for of_class in texts for text in of_class]))
        starts = np.cumsum([0, *map(len, texts[:-1])])
        total = np.add.reduceat(unit, starts, axis=0)
    mean = _unit(total).astype(np.float32)
    columns = {
        "label": pa.array(np.arange(len(names), dtype=np.int16)),
        "name": pa.array(names, pa.string()),
        "feature": tables.vector_column(mean),
    }
    tables.write(out / "class_names.parquet", pa.table(columns))


def _unit(rows: np.ndarray) -> np.ndarray:
    values = np.asarray(rows, np.float64)
    scaled: np.ndarray = values / np.linalg.norm(values, axis=1, keepdims=True)
    return scaled
