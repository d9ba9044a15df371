"""Stage `target_index <target>`: as `index`, for a data set that encoders are transferred to.

Reads the raw folder of `transfer.targets.<target>`; writes `data/targets/<target>/index/` (the
tables of `data/index`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.runlog import logged
from c2vl.core.stage_arguments import stage_arguments
from c2vl.datasets.index import build_index
from c2vl.datasets.transfer_targets import load_target


@one_sentence
def main() -> None:
    """Index the target's raw folder."""
    parser = argparse.ArgumentParser(description="List the samples of a transfer target.")
    parser.add_argument("target", help="a name in `transfer.targets` of params.yaml")
    name = stage_arguments(parser).target
    target = load_target(name)
    out = Path("data/targets") / name / "index"
    with logged(f"target_index-{name}") as notes:
        index = build_index(target.data())
        index.write(out)
        notes.update(computed=index.counts["samples"], excluded=index.counts["excluded"])
    splits = index.counts["splits"][target.benchmark]
    print(
        f"target_index: {name}: {index.counts['usable']} usable samples, "
        f"{splits['train']} train, {splits['test']} test."
    )
    for kind, count in index.counts["excluded"].items():
        print(f"target_index: {name}: excluded {count}: {kind}.")
    for note in index.counts["notes"]:
        print(f"target_index: {name}: {note}.")


if __name__ == "__main__":
    main()
