"""A validation split inside a training split: defaults are chosen on it, so that no test clip has a say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.errors import UserError

SHARE = 0.25  # of the training subjects that are held out


def validation_data(data: Path, benchmark: str, seed: int, folder: Path) -> Path:
    """Make `folder` a data folder in which some training subjects are the test split, and return it.

    The index is a copy whose column `benchmark` says `train`, `test` (held-out training subjects) or nothing: the clips
    of the real test split belong to neither and are never read. Skeletons and prompts are links.

    Args:
        data: the data folder with `index/`, `skeleton/` and `embed/`.
        benchmark: column of the index.
        seed: chooses the subjects.
        folder: an empty folder for the result.

    Raises:
        UserError: the training split has fewer than two subjects.
    """
    index = tables.read(data / "index" / "index.parquet")
    split, subject = np.array(index[benchmark].to_pylist()), index["subject"].to_numpy()
    subjects = np.unique(subject[split == "train"])
    if len(subjects) < 2:
        raise UserError(
            f"The training split of {benchmark} has {len(subjects)} subject: there is none to hold out."
        )
    count = max(1, round(SHARE * len(subjects)))
    held_out = np.random.default_rng(seed).permutation(subjects)[:count]
    told = np.where(split == "train", np.where(np.isin(subject, held_out), "test", "train"), "")
    position = index.schema.get_field_index(benchmark)
    changed = index.set_column(position, index.schema.field(benchmark), pa.array(told, pa.string()))
    tables.write(folder / "index" / "index.parquet", changed)
    for link, target in (
        ("index/classes.json", "index/classes.json"),
        ("skeleton", "skeleton"),
        ("embed", "embed"),
    ):
        (folder / link).symlink_to((data / target).resolve())
    return folder
