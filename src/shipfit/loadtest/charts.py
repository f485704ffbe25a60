"""Charts as inline SVG. Colours come from the page's style sheet, so that they follow light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from shipfit.loadtest.records import RequestRecord

_WIDTH, _HEIGHT = 520, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 22, 12, 26


@dataclass(frozen=True)
class _Axis:
    """A linear scale from values to pixels."""

    high: float
    begin: float
    end: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        return self.begin + (self.end - self.begin) * value / self.high


def ticks(high: float, most: int = 6) -> tuple[float, ...]:
    """Round values from 0 that cover ``high``, at most ``most`` + 1 of them: steps of 1, 2 or 5 times a power of 10."""
    rough = max(high, 1e-9) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return tuple(index * step for index in range(math.ceil(high / step - 1e-9) + 1))


def dots(
    records: Sequence[RequestRecord],
    value: Callable[[RequestRecord], float | None],
    *,
    duration_s: float,
    limit_ms: float | None,
    label: str,
) -> Markup:
    """A dot a request at the time it was due; failures are crosses at the top; the SLO's limit is a dashed line.

    Args:
        value: milliseconds of a request that succeeded.
        limit_ms: of the 95th percentile; drawn where it is near enough to the values to be seen with them.
        label: of the vertical axis, for those who cannot see the chart.
    """
    points = [
        (record.scheduled_s, known)
        for record in records
        if record.succeeded and (known := value(record)) is not None
    ]
    highest = max((known for _due, known in points), default=1.0)
    shown = limit_ms if limit_ms and limit_ms <= 2.5 * highest else None
    x = _x_axis(duration_s)
    y = _y_axis(max(highest, shown or 0.0))
    parts = [_grid(x, y)]
    if shown:
        parts.append(_limit_line(y.at(shown), shown))
    parts += [
        f'<circle class="dot" cx="{x.at(due):.1f}" cy="{y.at(known):.1f}" r="3.2"/>' for due, known in points
    ]
    parts += [_cross(x.at(record.scheduled_s), _TOP + 5) for record in records if not record.succeeded]
    return _svg(parts, label)


def cumulative(series: Sequence[tuple[str, Sequence[float]]], label: str) -> Markup:
    """The share of requests that were at most so slow: one stepped line a series, the first two told apart by dashes.

    Args:
        series: a name and values in milliseconds.
    """
    known = [(name, sorted(values)) for name, values in series if values]
    x = _x_axis(max((values[-1] for _name, values in known), default=1.0), most=6)
    y = _Axis(100.0, _HEIGHT - _BOTTOM, _TOP, (0, 25, 50, 75, 95))
    parts = [_grid(x, y)]
    for index, (_name, values) in enumerate(known):
        path = f"M{x.at(values[0]):.1f} {y.at(0):.1f}"
        for rank, number in enumerate(values, start=1):
            path += f"H{x.at(number):.1f}V{y.at(100 * rank / len(values)):.1f}"
        parts.append(f'<path class="line line-{index}" d="{path}H{x.end:.1f}"/>')
    return _svg(parts, label)


def _x_axis(high: float, most: int = 6) -> _Axis:
    marks = ticks(high, most)
    return _Axis(marks[-1], _LEFT, _WIDTH - _RIGHT, marks)


def _y_axis(high: float) -> _Axis:
    marks = ticks(high * 1.12, 5)
    return _Axis(marks[-1], _HEIGHT - _BOTTOM, _TOP, marks)


def _grid(x: _Axis, y: _Axis) -> str:
    lines = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y.at(mark):.1f}" y2="{y.at(mark):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y.at(mark) + 4:.1f}" text-anchor="end">{_number(mark)}</text>'
        for mark in y.ticks
    ]
    lines += [
        f'<text class="tick" x="{x.at(mark):.1f}" y="{_HEIGHT - _BOTTOM + 17}" text-anchor="middle">'
        f"{_number(mark)}</text>"
        for mark in x.ticks
    ]
    return "".join(lines)


def _limit_line(height: float, limit: float) -> str:
    return (
        f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>'
        f'<text class="tick limit-text" x="{_WIDTH - _RIGHT}" y="{height - 5:.1f}" text-anchor="end">'
        f"p95 limit {_number(limit)} ms</text>"
    )


def _cross(x: float, y: float) -> str:
    return f'<path class="failed" d="M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8"/>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _svg(parts: Sequence[str], label: str) -> Markup:
    return Markup(  # noqa: S704 - numbers of our own, and the label, which is escaped
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
