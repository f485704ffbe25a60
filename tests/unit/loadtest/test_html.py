from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

from shipfit.artifacts import Manifest
from shipfit.core.pages import number
from shipfit.loadtest import Comparison, LoadTestReport, Row
from shipfit.loadtest.html import render
from shipfit.loadtest.records import RequestRecord
from shipfit.sizing import Plan

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks that every tag is closed in order; collects the text and what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert [] == parser.open
    return parser


def test_the_page_holds_the_figures_and_needs_nothing_else(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan, manifest: Manifest
) -> None:
    row = Row(quantity="memory of a replica", unit="GiB", predicted=2.5, measured=2.75, ratio=1.1)
    report = make(records).model_copy(update={"comparison": Comparison(rows=[row])})

    page = render(report, plan, manifest)

    seen = outline(page)
    text = " ".join(seen.text.split())
    assert "✓ The SLO was kept" in text
    assert "28 of 30" in text
    assert "memory of a replica GiB 2.50 2.75 1.10" in text
    assert report.latency.ttft_ms is not None
    assert f"Time to first token, p95 1,500 ms {number(report.latency.ttft_ms.p95)} ms" in text
    assert "precision gptq-w4a16: the deployment asks for it" in text
    assert "the processor has no kernel for it" in text
    assert "Mean KL divergence from the source, nats a token 0.071 at most 0.100" in text
    assert "http-500" in text
    assert 2 * 28 == page.count('<circle class="dot"')
    assert 2 * 2 == page.count('<path class="failed"')
    assert [] == seen.fetched
    assert not {"script", "link", "img"} & seen.tags
    assert not re.search(r"@import|url\(", page)
    assert "sk-secret" not in page


def test_a_missed_slo_says_by_how_much(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan
) -> None:
    report = make(records, slo={"ttft_p95_ms": 100})
    text = " ".join(outline(render(report, plan)).text.split())
    assert "✕ The SLO was missed" in text
    assert report.latency.ttft_ms is not None
    assert f"{number(report.latency.ttft_ms.p95 - 100)} ms" in text


def test_a_test_in_which_all_failed_has_a_page(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan
) -> None:
    failed = [
        RequestRecord(scheduled_s=each.scheduled_s, error="connect", detail="refused") for each in records
    ]
    text = " ".join(outline(render(make(failed), plan)).text.split())
    assert "not measured" in text
    assert "0 of 30" in text


def test_hostile_names_are_text(
    make: Callable[..., LoadTestReport], records: list[RequestRecord], plan: Plan
) -> None:
    evil = "<script>alert('x')</script>&\"'"
    records = [
        *records,
        RequestRecord(scheduled_s=59.0, start_s=59.0, end_s=59.1, error="other", detail=evil),
    ]
    report = make(records).model_copy(update={"model": evil, "command": evil})
    seen = outline(render(report, plan.model_copy(update={"model": evil, "reasons": [evil]})))
    assert 5 == seen.text.count(evil)
    assert "script" not in seen.tags
