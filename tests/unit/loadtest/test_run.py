from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shipfit.core.errors import InputError
from shipfit.loadtest import Comparison, LoadTestReport, save_report
from shipfit.loadtest.records import RequestRecord
from shipfit.loadtest.run import require_loopback, require_workload
from shipfit.sizing import Plan
from shipfit.spec import Deployment, load


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://localhost:1/v1", "http://[::1]:8000/v1"])
def test_this_machine_may_be_tested(url: str) -> None:
    require_loopback(url)


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/v1", "https://api.example.com/v1", "http://127.0.0.1.example.com/v1", "nonsense"]
)
def test_no_other_machine_may_be(url: str) -> None:
    with pytest.raises(InputError, match="is not on this machine"):
        require_loopback(url)


def test_a_deployment_without_workload_says_what_to_add(tmp_path: Path, repository: Path) -> None:
    lines = (repository / "deploy/demo/gemma-3-270m.yaml").read_text().split("workload:")
    file = tmp_path / "small.yaml"
    file.write_text(lines[0] + lines[1][lines[1].index("replicas:") :])
    with pytest.raises(InputError, match=r"small.yaml: workload: is missing.*add it, with request_rate"):
        require_workload(load(file, Deployment))


def test_the_report_is_saved_for_programs_and_people(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan, own_folders: Path
) -> None:
    page = save_report(make(records), Comparison(rows=[]), plan)
    assert own_folders / "state/reports/small/20260102T030405Z/report.html" == page
    document = json.loads(page.with_suffix(".json").read_text())
    assert "LoadTestReport" == document["kind"]
    assert make(records).model_copy(
        update={"comparison": Comparison(rows=[])}
    ) == LoadTestReport.model_validate(document)
    elsewhere = own_folders / "new" / "page.html"
    assert elsewhere == save_report(make(records), Comparison(rows=[]), plan, page=elsewhere)
    assert elsewhere.exists()
