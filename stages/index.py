"""Stage `index`: list the samples in the raw folder: who, what, which split, content hashes.

Reads `data.raw`. Writes `data/index/index.parquet` and `data/index/classes.json` (see
`docs/tables.md`), and `data/index/metrics.json`: `samples`, `usable`, `excluded` and `videos`
(counts by reason), `splits` (train and test of each benchmark, usable samples), `ignored` (files of
no sample, samples of another data set), `notes` (sentences on what was passed over or is not here,
on PKU-MMD's split files); of PKU-MMD also `usable_with_a_remark` (clips that overlap, were cut at
the last frame, are in no list).
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.index import build_index

OUT = Path("data/index")


@one_sentence
def main() -> None:
    """Index the raw folder."""
    params = load_section("data", DataParams)
    with logged("index") as notes:
        index = build_index(params)
        index.write(OUT)
        notes.update(computed=index.counts["samples"], excluded=index.counts["excluded"])
    excluded = (
        ", ".join(f"{count} {kind}" for kind, count in index.counts["excluded"].items()) or "none"
    )
    print(
        f"index: {index.counts['samples']} samples, {index.counts['usable']} usable; "
        f"excluded: {excluded}."
    )
    for note in index.counts["notes"]:
        print(f"index: {note}.")
    for benchmark in params.benchmarks:
        for split, count in index.counts["splits"][benchmark].items():
            if not count:
                print(f"index: warning: {benchmark} has no {split} samples here.")


if __name__ == "__main__":
    main()
