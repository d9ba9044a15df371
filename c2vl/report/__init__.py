"""The report: figures, tables and one self-contained HTML page that works offline."""

from c2vl.report.report_params import ReportParams

__all__ = ["ReportParams"]
