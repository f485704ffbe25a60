from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from shipfit.loadtest import charts
from shipfit.loadtest.records import RequestRecord


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


@given(st.floats(1e-3, 1e7), st.integers(2, 12))
def test_ticks_are_few_and_cover_the_value(high: float, most: int) -> None:
    marks = charts.ticks(high, most)
    assert 0 == marks[0]
    assert marks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(marks) <= most + 2


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0.001, 90), st.booleans()), max_size=30))
def test_charts_are_well_formed_and_stay_inside(points: list[tuple[float, float, bool]]) -> None:
    records = [
        RequestRecord(scheduled_s=due, end_s=due + took, error=None if good else "timeout")
        for due, took, good in points
    ]
    drawn = charts.dots(
        records, lambda record: record.e2e_ms, duration_s=60, limit_ms=900, label='a "label" & <b>'
    )
    tree = parse(drawn)
    assert 'a "label" & <b>' == tree.get("aria-label")
    for circle in tree.iter("circle"):
        assert 0 <= float(circle.get("cx", "-1")) <= 520
        assert 0 <= float(circle.get("cy", "-1")) <= 232
    assert sum(good for *_rest, good in points) == len(list(tree.iter("circle")))
    parse(charts.cumulative([("all", [took for _due, took, _good in points])], "label"))
