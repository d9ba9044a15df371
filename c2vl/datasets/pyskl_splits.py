"""The splits of pyskl's files: `xsub_train` and `xsub_val`, `train1`, `test`, `val` and so on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.datasets.data_params import is_benchmark_name
from c2vl.datasets.sample_ids import sample_id

ALONE = "split"  # the benchmark of a key that names only the side, such as `train`
_KEY = re.compile(
    r"(?:(?P<benchmark>.+?)[_-])?(?P<side>train|test|val)(?:ing|idation)?[_-]?(?P<fold>\d*)"
)


def pyskl_splits(
    path: Path, split: Mapping[Any, Any]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return benchmark -> train or test for each clip that a list names, and what to know of it.

    The benchmark of `xsub_train` is `xsub`; of `train1` (UCF101, HMDB51) it is `split1`; of `train`
    it is `split`. Validation clips test, unless the benchmark has test clips too; then they are
    left out.

    Raises:
        UserError: a clip is among both training and test clips of a benchmark.
    """
    lists: dict[str, dict[str, list[str]]] = {}
    remarks = []
    for key, names in split.items():
        named = _KEY.fullmatch(key.lower()) if isinstance(key, str) else None
        if named is None or not isinstance(names, list | tuple):
            remarks.append(f"its list {str(key)[:40]!r} names no side (train, val, test)")
            continue
        benchmark = benchmark_of(named["benchmark"] or "", named["fold"])
        texts = [sample_id(name) for name in names if isinstance(name, str)]
        lists.setdefault(benchmark, {}).setdefault(named["side"], []).extend(texts)
    found: dict[str, dict[str, str]] = {}
    for benchmark, sides in lists.items():
        if "val" in sides and "test" in sides:
            count = len(sides.pop("val"))
            remarks.append(f"{benchmark}: its {count:,} validation clips are left out")
        for side, names in sides.items():
            side = "train" if side == "train" else "test"
            for name in names:
                if found.setdefault(name, {}).setdefault(benchmark, side) != side:
                    raise UserError(
                        f"{path} has {name[:60]!r} among both training and test clips of "
                        f"{benchmark}."
                    )
    return found, remarks


def benchmark_of(name: str, fold: str = "") -> str:
    """The benchmark's name: letters, digits and _.

    Examples:
        >>> benchmark_of("xsub"), benchmark_of("", "1"), benchmark_of(""), benchmark_of("Gym 99")
        ('xsub', 'split1', 'split', 'gym_99')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or ALONE
    plain = plain[:30] + fold.lstrip("0")
    return plain if is_benchmark_name(plain) else f"{ALONE}_{plain}"
