"""Load tests: open-loop traffic by guidellm, figures, verdict against the SLO, comparison with the plan."""

from shipfit.loadtest.compare import compare
from shipfit.loadtest.html import write_html
from shipfit.loadtest.report import Comparison, LoadTestReport, Row
from shipfit.loadtest.run import run_load_test
from shipfit.loadtest.save import save_report

__all__ = [
    "Comparison",
    "LoadTestReport",
    "Row",
    "compare",
    "run_load_test",
    "save_report",
    "write_html",
]
