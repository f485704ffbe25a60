"""Writing a load test's report: the document for programs, the page for people."""

from __future__ import annotations

from pathlib import Path

from shipfit.artifacts import Manifest
from shipfit.core.errors import from_os_error
from shipfit.core.paths import state_dir, write_atomically
from shipfit.loadtest.html import write_html
from shipfit.loadtest.report import Comparison, LoadTestReport
from shipfit.sizing import Plan


def save_report(
    report: LoadTestReport,
    comparison: Comparison,
    plan: Plan,
    manifest: Manifest | None = None,
    page: Path | None = None,
) -> Path:
    """Write the report as a page, and beside it as JSON.

    Args:
        manifest: of the artifact that is served, where one is.
        page: the HTML file; left out, one in the state folder, by name and time.

    Returns:
        The page.

    Raises:
        EnvironmentFailure: the disk is full or the folder not writable.
    """
    if page is None:
        page = state_dir("reports", report.name, f"{report.created_at:%Y%m%dT%H%M%SZ}") / "report.html"
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, "making the report's folder") from error
    whole = report.model_copy(update={"comparison": comparison})
    write_atomically(page.with_suffix(".json"), whole.model_dump_json(indent=2) + "\n")
    write_html(page, whole, plan, manifest)
    return page
