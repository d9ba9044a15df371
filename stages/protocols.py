"""Stage `protocols`: gather finetuning, semi-supervised learning and transfer; fuse streams.

Reads what params.yaml names of `results/finetune/{full,semi,transfer}` (stages `finetune`, `semi`,
`transfer`). Writes `results/protocols/metrics.json`, shares in 0…1 after the last epoch; starts are
`c2vl` (pretrained) and `scratch`; streams `joint`, `bone`, `motion`, and where all three were
trained `fusion` (weights of `evaluate.fusion`) and `fusion_equal`, which have no `best_on_test`:

- `finetune[benchmark][stream][start] = {top1, top5, mean_class, best_on_test}` (Table II);
- `semi[benchmark][stream][start][fraction] = {labelled, top1, top5, mean_class, best_on_test}`, the
  latter four `{mean, std, values}` over the draws (Table III);
- `transfer[target] = {source, dataset, benchmark, train, test, classes, streams}` with
  `streams[stream][start] = {top1, top5, mean_class, best_on_test}` (Table V).
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section, read_params
from c2vl.core.runlog import logged

SOURCE, OUT = Path("results/finetune"), Path("results/protocols")


@one_sentence
def main() -> None:
    """Gather and fuse."""
    from c2vl.core.files import write_json
    from c2vl.evaluation.evaluate_params import EvaluateParams
    from c2vl.evaluation.fused_protocols import gather_full, gather_semi, gather_transfer
    from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams

    fusion = load_section("evaluate", EvaluateParams).fusion
    full, semi = load_section("finetune", FinetuneParams), load_section("semi", SemiParams)
    targets = load_section("transfer", TransferParams).targets
    benchmarks = read_params()["data"]["benchmarks"]
    with logged("protocols"):
        found = {
            "finetune": gather_full(
                SOURCE / "full", list(product(benchmarks, full.streams)), fusion
            ),
            "semi": gather_semi(SOURCE / "semi", list(product(benchmarks, semi.streams)), fusion),
            "transfer": gather_transfer(SOURCE / "transfer", targets, fusion),
        }
        write_json(OUT / "metrics.json", found)


if __name__ == "__main__":
    main()
