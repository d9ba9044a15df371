"""A frozen encoder's features as a folder: output of stages `features` and `baseline_features`.

`features.parquet`: `sample, split` (train | test), `label` (int16), `feature`
(fixed_size_list<float32>[D]), rows in the order of the splits' clips, train first.
`heads.safetensors`: what the checkpoint holds besides its encoder, as named there (`skeleton_head`,
`prompt_heads.<kind>`, `classifier`; each `.weight` (out, in) and `.bias` (out,)). `encoder.json`:
`method, benchmark, stream, frames, prompts` (widths by kind).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_bytes, write_json
from c2vl.evaluation.features import Features
from c2vl.evaluation.ranking import unit

TABLE, HEADS, ABOUT = "features.parquet", "heads.safetensors", "encoder.json"
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """Features of both splits, the ids of their samples, and the heads trained with the encoder."""

    method: str
    benchmark: str
    stream: str
    train_samples: list[str]
    test_samples: list[str]
    features: Features
    heads: dict[str, Array]
    prompts: dict[str, int]

    def applied(self, head: str, features: Array) -> Array | None:
        """Apply a linear head to `features` (N, in): (N, out); None without such a head."""
        if f"{head}.weight" not in self.heads:
            return None
        return (features @ self.heads[f"{head}.weight"].T + self.heads[f"{head}.bias"]).astype(
            np.float32
        )

    def embedded(self, head: str, features: Array) -> Array | None:
        """As `applied`, with unit rows: the shared space of skeletons and prompts."""
        values = self.applied(head, features)
        return None if values is None else unit(values)


def save_encoded(folder: Path, encoded: Encoded, frames: int) -> None:
    """Write the folder, each file atomically."""
    given = encoded.features
    values = np.concatenate([given.train, given.test]).astype(np.float32)
    table = pa.table(
        {
            "sample": [*encoded.train_samples, *encoded.test_samples],
            "split": ["train"] * len(given.train) + ["test"] * len(given.test),
            "label": pa.array(
                np.concatenate([given.train_labels, given.test_labels]).astype(np.int16)
            ),
            "feature": tables.vector_column(values),
        }
    )
    tables.write(folder / TABLE, table)
    write_bytes(
        folder / HEADS,
        save({name: np.ascontiguousarray(value) for name, value in encoded.heads.items()}),
    )
    about: dict[str, Any] = {
        name: getattr(encoded, name) for name in ("method", "benchmark", "stream", "prompts")
    }
    write_json(folder / ABOUT, {**about, "frames": frames})


def load_encoded(folder: Path) -> Encoded:
    """Read back what `save_encoded` wrote.

    Raises:
        UserError: a file is missing or of another kind.
    """
    try:
        about = read_json(folder / ABOUT)
        heads = load((folder / HEADS).read_bytes())
        identity = {name: about[name] for name in ("method", "benchmark", "stream", "prompts")}
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} is missing; "
            "run `dvc repro features baseline_features` or `dvc pull`."
        ) from None
    except (ValueError, KeyError, TypeError, SafetensorError):
        raise UserError(
            f"{folder} does not hold features of this version of c2vl; run `dvc repro -f features`."
        ) from None
    table = tables.read(folder / TABLE, ["sample", "split", "label", "feature"])
    samples, values, labels = {}, {}, {}
    for split in ("train", "test"):
        part = table.filter(pc.equal(table["split"], split))
        samples[split] = part["sample"].to_pylist()
        labels[split] = part["label"].to_numpy().astype(np.int64)
        values[split] = tables.vectors(part["feature"])
    features = Features(values["train"], labels["train"], values["test"], labels["test"])
    return Encoded(
        train_samples=samples["train"],
        test_samples=samples["test"],
        features=features,
        heads=heads,
        **identity,
    )
