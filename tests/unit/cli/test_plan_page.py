from __future__ import annotations

import re
from pathlib import Path

import pytest

from shipfit.cli.plan_page import render
from shipfit.serve.planning import plan_deployment
from shipfit.sizing import Plan
from shipfit.spec import Deployment, load


@pytest.fixture
def plan(repository: Path) -> Plan:
    """The plan of an example."""
    return plan_deployment(load(repository / "deploy" / "production" / "llama-3.3-70b.yaml", Deployment))


def test_the_page_needs_nothing_else(plan: Plan) -> None:
    page = render(plan)
    assert not re.search(r"<script|<link|@import|url\(|src=", page)
    assert page.count("<h1>") == 1


def test_the_bar_is_as_wide_as_the_memory(plan: Plan) -> None:
    bars = re.findall(r'<rect class="(\w+)" x="[\d.]+" y="0" width="([\d.]+)"', render(plan))
    widths = {part: float(width) for part, width in bars}
    assert sum(widths.values()) == pytest.approx(1000, abs=0.1)
    assert plan.memory.usable_gib is not None
    assert widths["weights"] == pytest.approx(
        1000 * plan.memory.weights_gib / plan.memory.usable_gib, abs=0.1
    )


def test_every_term_and_every_option_is_there(plan: Plan) -> None:
    page = render(plan)
    for term in plan.terms:
        assert f"<td>{term.formula}</td>".replace("'", "&#39;") in page
    for option in plan.rejected:
        assert option.option in page
    assert f"{len(plan.rejected)} other options" in page


def test_what_users_write_is_escaped(plan: Plan) -> None:
    page = render(plan.model_copy(update={"model": "<b>org</b>/model"}))
    assert "<b>org</b>" not in page
