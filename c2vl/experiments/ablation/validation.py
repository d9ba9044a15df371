"""Makes a validation split from training subjects, so that test clips never choose defaults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from c2vl.core import tables
from c2vl.core.errors import UserError

SHARE = 0.25  # share of the training subjects to hold out


def validation_data(data: Path, benchmark: str, seed: int, folder: Path) -> Path:
    """Make a data folder whose test split is some of the training subjects; return the folder.

    Its index is a copy with another column `benchmark`: `train`, `test` (held-out training
    subjects), or empty. Clips of the real test split are in neither and are never read. Skeletons
    and prompts are symbolic links.

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
            f"The training split of {benchmark} has {len(subjects)} subject; "
            "a validation split needs at least 2."
        )
    count = max(1, round(SHARE * len(subjects)))
    held_out = np.random.default_rng(seed).permutation(subjects)[:count]
    new_split = np.where(
        split == "train", np.where(np.isin(subject, held_out), "test", "train"), ""
    )
    position = index.schema.get_field_index(benchmark)
    changed = index.set_column(
        position, index.schema.field(benchmark), pa.array(new_split, pa.string())
    )
    tables.write(folder / "index" / "index.parquet", changed)
    for link, target in (
        ("index/classes.json", "index/classes.json"),
        ("index/skeleton.json", "index/skeleton.json"),
        ("skeleton", "skeleton"),
        ("embed", "embed"),
    ):
        (folder / link).symlink_to((data / target).resolve())
    return folder
