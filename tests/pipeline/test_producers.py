"""Each dependency of each stage has a producer, is shipped, or is the user's raw data.

For every valid params.yaml, DVC's own resolver fills dvc.yaml in; nothing is run.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from resolved_pipeline import lies_in, name_of, resolved

from c2vl.datasets.benchmarks import BENCHMARKS
from c2vl.settings import faults

ROOT = Path(__file__).resolve().parents[2]
STREAMS = ("joint", "motion", "bone")
SHIPPED = {"c2vl", "stages", "checkpoints/tiny", "descriptions", "extensions", "published", "truth"}
Params = dict[str, Any]


def subsets(names: tuple[str, ...]) -> Iterator[list[str]]:
    """All but the empty one."""
    for size in range(1, len(names) + 1):
        yield from map(list, itertools.combinations(names, size))


def combinations() -> Iterator[Params]:
    """Data sets × benchmarks × streams × worlds × targets, on the demo's other values."""
    demo = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
    own = demo["transfer"]["targets"]
    other = {"pku2": {"dataset": "pku2", "raw": "data/pku2", "benchmark": "xsub"}}
    for dataset, streams in itertools.product(BENCHMARKS, subsets(STREAMS)):
        for benchmarks in subsets(BENCHMARKS[dataset]):
            for world, targets in itertools.product((0, 1), ({}, own, other, own | other)):
                if world and dataset != "studio":
                    continue
                data = {"dataset": dataset, "benchmarks": benchmarks}
                data["raw"] = "data/studio" if world else "data/raw"
                data |= {"train_subjects": [1]} if dataset == "studio" else {}
                part = {name: demo[name] | {"streams": streams} for name in ("finetune", "semi")}
                for source in benchmarks if targets else demo["data"]["benchmarks"][:1]:
                    transfer = {"streams": streams, "targets": targets, "source": source}
                    yield {
                        **demo,
                        **part,
                        "worlds": ["studio"] if world else [],
                        "target_worlds": ["studio-b"] if "studio-b" in targets else [],
                        "data": data,
                        "transfer": demo["transfer"] | transfer,
                    }


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    folder = tmp_path_factory.mktemp("resolved")
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "data/pku2").mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    (folder / "params.yaml").write_text("{}")
    with Repo(str(folder)) as opened:
        yield opened


def orphans(stages: dict[str, Any], params: Params) -> set[str]:
    """Dependencies that nobody makes or ships, and that are not the user's data."""
    made = {name_of(out) for stage in stages.values() for out in stage["outs"]}
    users = {params["data"]["raw"], *(one["raw"] for one in params["transfer"]["targets"].values())}
    deps = {name_of(dep) for stage in stages.values() for dep in stage["deps"]}

    return {
        dep
        for dep in deps - users
        if not lies_in(dep, made | SHIPPED) and not any(lies_in(out, {dep}) for out in made)
    }


@pytest.mark.slow
def test_every_dependency_of_every_valid_pipeline_has_a_producer(repo: Repo) -> None:
    seen = 0
    for params in combinations():
        assert faults(params, Path(repo.root_dir)) == [], params["data"]
        stages = resolved(repo, params)
        assert not orphans(stages, params), params["data"]
        seen += 1
    assert seen > 500


def test_a_dependency_without_a_producer_is_noticed(repo: Repo) -> None:
    """What profile `small` had: finetune on a benchmark that nothing is pretrained on."""
    params = next(combinations())
    params["transfer"] = params["transfer"] | {
        "source": "xview",
        "targets": {"pku2": {"dataset": "pku2", "raw": "data/pku2", "benchmark": "xsub"}},
    }
    params["data"] = params["data"] | {"benchmarks": ["xsub"]}
    found = orphans(resolved(repo, params), params)
    assert found == {f"results/pretrain/xview-{stream}" for stream in STREAMS}
    assert faults(params, Path(repo.root_dir))  # and so no such run begins


@pytest.mark.parametrize("profile", ["demo", "small", "paper"])
def test_the_resolved_stages_are_those_that_dvc_lists(repo: Repo, profile: str) -> None:
    params = yaml.safe_load((ROOT / f"profiles/{profile}.yaml").read_text(encoding="utf-8"))
    stages = resolved(repo, params)
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "stage", "list", "--name-only"],
        cwd=repo.root_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(stages) == sorted(listed.stdout.split())
