"""Stage `report`: one self-contained HTML page about the run, with plots and tables beside it.

Required: `data/index` and `results/evaluate`. Optional: `data/{skeleton,crop,caption}`, the raw
videos, `results/{scores,protocols,pretrain,baselines,compare,ablations}` and this machine's stage
log. Writes `results/report/`: `index.html`, `plots/*.png`, `tables/*.{csv,md,tex}`. A file that
reproduces a table or figure of the paper has its number in its name, such as `table-1-linear.csv`
or `figure-8-confusion-xsub.png`. `docs/report.md` lists the names.
`results/metrics.json` holds the headlines for `dvc metrics diff` and `dvc exp show`.
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core import runlog
from c2vl.core.errors import one_sentence
from c2vl.core.files import write_json
from c2vl.core.params import PARAMS_FILE, load_section, read_params
from c2vl.datasets.data_params import DataParams
from c2vl.report import ReportParams
from c2vl.report.headlines import headlines, read_if_there
from c2vl.report.page import write_report
from c2vl.report.pipeline_outputs import PipelineOutputs
from c2vl.report.stage_times import of_this_pipeline

RESULTS = Path("results")
OUT, HEADLINES = RESULTS / "report", RESULTS / "metrics.json"
LEARNT, PROTOCOLS = RESULTS / "evaluate/metrics.json", RESULTS / "protocols/metrics.json"


@one_sentence
def main() -> None:
    """Write the report."""
    params = load_section("report", ReportParams)
    raw = load_section("data", DataParams).raw
    with runlog.logged("report") as notes:
        outputs = PipelineOutputs()
        shown = [name for name in ("compare", "ablations") if getattr(outputs, name)]
        earlier = [
            record
            for record in of_this_pipeline(runlog.records(), read_params(), shown)
            if record["stage"] != "report"  # its own last run
        ]
        settings = PARAMS_FILE.read_text(encoding="utf-8")
        notes |= write_report(outputs, raw, params, earlier, settings, OUT)
    write_json(HEADLINES, headlines(read_if_there(LEARNT), read_if_there(PROTOCOLS)))
    size = f"{notes['bytes'] / 1e6:.1f} MB, {notes['plots']} plots, {notes['tables']} tables"
    print(f"report: {OUT / 'index.html'} ({size})")


if __name__ == "__main__":
    main()
