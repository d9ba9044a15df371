"""Stage `report`: one self-contained page about the run, with its plots and tables beside it.

Reads `data/index` and `results/evaluate` (required), and, where they are there, `data/{skeleton,crop,caption}`, the raw videos,
`results/{scores,protocols,pretrain,baselines,compare,ablations}` and this machine's stage log. Writes `results/report/`:
`index.html`, `plots/*.png`, `tables/*.{csv,md,tex}`. What has the paper's number has it in its name: `table-1-linear.csv`,
`figure-8-confusion-xsub.png`; the names are listed in `docs/report.md`.
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core import runlog
from c2vl.core.errors import one_sentence
from c2vl.core.params import PARAMS_FILE, load_section, read_params
from c2vl.datasets.data_params import DataParams
from c2vl.report import ReportParams
from c2vl.report.page import write_report
from c2vl.report.pipeline_outputs import Outs
from c2vl.report.took import of_this_pipeline

OUT = Path("results/report")


@one_sentence
def main() -> None:
    """Write the report."""
    params = load_section("report", ReportParams)
    raw = load_section("data", DataParams).raw
    with runlog.logged("report") as notes:
        outs = Outs()
        shown = [name for name in ("compare", "ablations") if getattr(outs, name)]
        earlier = [
            record
            for record in of_this_pipeline(runlog.records(), read_params(), shown)
            if record["stage"] != "report"  # its own last run is not this one
        ]
        settings = PARAMS_FILE.read_text(encoding="utf-8")
        notes |= write_report(outs, raw, params, earlier, settings, OUT)
    print(
        f"report: {OUT / 'index.html'} ({notes['bytes'] / 1e6:.1f} MB, {notes['plots']} plots, {notes['tables']} tables)"
    )


if __name__ == "__main__":
    main()
