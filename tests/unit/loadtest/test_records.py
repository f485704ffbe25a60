"""Against a report that guidellm 0.8.1 itself wrote, with the fields that we read left in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shipfit.core.errors import EnvironmentFailure
from shipfit.loadtest.records import parse


@pytest.fixture
def output() -> Any:
    return json.loads(Path(__file__).with_name("guidellm-0.8.1.json").read_text())


def test_every_request_becomes_a_record(output: Any) -> None:
    records = parse(output, expected_tokens=16)
    assert sorted(record.scheduled_s for record in records) == [record.scheduled_s for record in records]
    assert ["disconnect", "http-500", "timeout", "truncated"] == sorted(
        record.error for record in records if record.error
    )
    answered = [record for record in records if record.succeeded]
    assert 2 == len(answered)
    for record in answered:
        assert record.ttft_ms is not None
        assert 50 < record.ttft_ms < 120
        assert pytest.approx(10, rel=0.1) == record.tpot_ms
        assert 16 == record.output_tokens


def test_details_say_what_happened(output: Any) -> None:
    details = {record.error: record.detail for record in parse(output, expected_tokens=16)}
    assert "8 of 16 tokens came" == details["truncated"]
    assert "Server error '500 Internal Server Error'" in str(details["http-500"])
    assert "peer closed connection" in str(details["disconnect"])
    assert "ReadTimeout" == details["timeout"]


def test_what_was_cut_off_at_the_end_is_unfinished(output: Any) -> None:
    groups = output["benchmarks"][0]["requests"]
    cancelled = groups["successful"].pop()
    cancelled["info"] |= {"status": "cancelled", "error": "Request was cancelled"}
    groups["incomplete"] = [cancelled]
    assert 1 == [record.error for record in parse(output, expected_tokens=16)].count("unfinished")


@pytest.mark.parametrize("broken", [{}, {"benchmarks": []}, {"benchmarks": [{"requests": {}}]}])
def test_a_report_of_another_form_is_one_line(broken: dict[str, Any]) -> None:
    with pytest.raises(EnvironmentFailure, match="guidellm wrote a report that shipfit cannot read"):
        parse(broken, expected_tokens=16)
