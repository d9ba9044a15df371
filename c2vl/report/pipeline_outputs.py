"""What the report reads: the outputs of other stages, each one only if it exists."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json
from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import read_layout
from c2vl.core.tables.fingerprint import data_fingerprint
from c2vl.core.tables.schemas import OK

BASELINES = ("infonce", "random", "supervised")
DATASETS = {
    "studio": "the studio",
    "ntu60": "NTU RGB+D 60",
    "ntu120": "NTU RGB+D 120",
    "pku1": "PKU-MMD I",
    "pku2": "PKU-MMD II",
    "nwucla": "Northwestern-UCLA",
    "utdmhad": "UTD-MHAD",
    "pyskl": "a file of pyskl's",
    "manifest": "your own clips",
}
ENCODERS = {
    "stgcn": "ST-GCN",
    "ctrgcn": "CTR-GCN",
    "msg3d": "MS-G3D",
    "gru": "GRU",
    "transformer": "Transformer",
}


@dataclass(frozen=True)
class PipelineOutputs:
    """The outputs of the stages in a working copy.

    Args:
        root: the working copy.
        missing: sentences about absent optional outputs; reading them adds the sentences.
    """

    root: Path = Path(".")
    missing: list[str] = field(default_factory=list)

    @cached_property
    def index(self) -> pa.Table:
        """The table `data/index/index.parquet`.

        Raises:
            UserError: there is no index.
        """
        return tables.read(self.root / "data/index/index.parquet")

    @cached_property
    def classes(self) -> list[str]:
        """Class names by label."""
        names = self._required("data/index/classes.json", "index")
        return [str(name) for name in names]

    @cached_property
    def layout(self) -> SkeletonLayout:
        """The data set's skeleton."""
        return read_layout(self.root / "data")

    @cached_property
    def dataset(self) -> str:
        """Short name of the data set; `nothing` for an empty index."""
        return str(self.index.column("dataset")[0]) if self.index.num_rows else "nothing"

    @property
    def filmed(self) -> bool:
        """True if any sample has a video."""
        videos = self.index.column("video_file")
        return videos.null_count < len(videos)

    @property
    def videos_alone(self) -> bool:
        """True if the skeletons of some samples come from their videos."""
        usable = self.index.filter(pc.equal(self.index["status"], OK))
        return usable.column("skeleton_hash").null_count > 0

    @property
    def benchmarks(self) -> list[str]:
        """Names of the benchmarks that were evaluated."""
        return sorted(self.metrics.get("samples", self.metrics.get("linear", {})))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of `results/evaluate/metrics.json`.

        Raises:
            UserError: the file is missing or is not valid JSON.
        """
        return dict(self._required("results/evaluate/metrics.json", "evaluate"))

    @property
    def nearest(self) -> str:
        """The neighbours that KNN uses, in words."""
        count = lookup(self.metrics, "settings", "knn_neighbours") or 1
        return (
            f"the {count} nearest training clips by cosine vote"
            if count > 1
            else "the nearest training clip by cosine (k = 1)"
        )

    @property
    def fused(self) -> str:
        """What the fusion of streams adds, in words."""
        added = lookup(self.metrics, "settings", "fusion", "scores")
        return "logits" if added == "logits" else "softmax scores"

    @property
    def weights(self) -> str:
        """The weights of the streams in their fusion, in words; empty if they are not known."""
        found = lookup(self.metrics, "settings", "fusion") or {}
        return ", ".join(
            f"{found[stream]:g} {stream}"
            for stream in ("joint", "bone", "motion")
            if stream in found
        )

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Engine scores; empty if they were not computed."""
        return self._optional_json(
            "results/scores/scores.json", "The engines were not scored (`dvc repro score`)."
        )

    @cached_property
    def confusions(self) -> dict[str, Any]:
        """The captioner's confusion matrices; empty without ground truth."""
        path = self.root / "results/scores/confusions.json"
        return read_json(path) if self.scores.get("truth") and path.exists() else {}

    @cached_property
    def compare(self) -> dict[str, Any]:
        """The comparison over seeds; empty if it was not run."""
        return self._of_this_data(
            "results/compare/compare.json",
            "make compare",
            "The comparison over several seeds was not run (`make compare`). Differences below "
            "come from one seed.",
        )

    @cached_property
    def protocols(self) -> dict[str, Any]:
        """Finetuning, semi-supervised learning and transfer; empty if they were not run."""
        return self._optional_json(
            "results/protocols/metrics.json",
            "Finetuning, semi-supervised learning and transfer were not run "
            "(`dvc repro protocols`), so Tables II, III and V are missing.",
        )

    @cached_property
    def ablations(self) -> dict[str, Any]:
        """The ablation sweeps; empty if they were not run."""
        return self._of_this_data("results/ablations/ablations.json", "make ablations", "")

    @cached_property
    def encoder(self) -> str:
        """Name of the pretrained encoder as its paper writes it; empty if there is none."""
        for benchmark in self.benchmarks:  # folders of others may lie there still
            path = self.root / f"results/pretrain/{benchmark}-joint/config.json"
            if path.exists():
                name = str(lookup(read_json(path), "encoder", "name") or "")
                return ENCODERS.get(name, name)
        return ""

    def untrained(self, benchmark: str) -> str:
        """Why no encoder was pretrained on a benchmark; empty where one was."""
        path = self.root / f"results/pretrain/{benchmark}-joint/absent.json"
        reason = str(read_json(path)["reason"]) if path.exists() else ""
        self._note(f"No encoder was pretrained. {reason}" if reason else "")
        return reason

    @property
    def dataset_name(self) -> str:
        """Full name of the data set."""
        return DATASETS.get(self.dataset, self.dataset)

    def table(self, path: str, what: str, columns: list[str] | None = None) -> pa.Table | None:
        """The table at `path`, or None if it is absent; `what` names it in `missing`."""
        where = self.root / path
        if not where.exists():
            self._note(f"{what} is missing ({path}).")
            return None
        return tables.read(where, columns)

    def curves(self, benchmark: str) -> dict[tuple[str, str], dict[str, NDArray[np.float64]]]:
        """(method, stream) → columns of the training curves of `benchmark`, where there are any."""
        folders = {
            ("c2vl", stream): self.root / f"results/pretrain/{benchmark}-{stream}"
            for stream in ("joint", "bone", "motion")
        }
        folders |= {
            (method, "joint"): self.root / f"results/baselines/{benchmark}/{method}"
            for method in BASELINES
        }
        found = {
            run: read_curve(folder / "curves.csv")
            for run, folder in folders.items()
            if (folder / "curves.csv").exists()
        }
        if not found:
            self._note(f"There are no training curves for {benchmark}.")
        return found

    def rows(self, name: str) -> list[dict[str, str]]:
        """Rows of the CSV file `name`; none if it does not exist."""
        path = self.root / name
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def _note(self, sentence: str) -> None:
        if sentence and sentence not in self.missing:
            self.missing.append(sentence)

    def _optional_json(self, path: str, sentence: str) -> dict[str, Any]:
        if (self.root / path).exists():
            return dict(read_json(self.root / path))
        self._note(sentence)
        return {}

    def _of_this_data(self, path: str, make: str, sentence: str) -> dict[str, Any]:
        """As `_optional_json`, of a result that DVC does not track: only if it is of this data."""
        found = self._optional_json(path, sentence)
        if not found or found.get("data") == data_fingerprint(self.root / "data"):
            return found
        self._note(f"{path} is of other data and is left out; `{make}` makes it again.")
        return {}

    def _required(self, path: str, stage: str) -> Any:
        where = self.root / path
        try:
            return read_json(where)
        except FileNotFoundError:
            raise UserError(f"{where} is missing; make it with `dvc repro {stage}`.") from None
        except ValueError as error:
            raise UserError(
                f"{where} is not valid JSON ({error}); remake it with `dvc repro --force {stage}`."
            ) from None


def read_curve(path: Path) -> dict[str, NDArray[np.float64]]:
    """Columns of a `curves.csv`, each (epochs,); empty cells are NaN."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0]) if rows else []
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def lookup(numbers: Any, *keys: str) -> Any:
    """The value at a path of keys in nested dictionaries, or None."""
    for key in keys:
        numbers = numbers.get(key) if isinstance(numbers, dict) else None
    return numbers
