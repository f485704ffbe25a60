"""Pictures of the gate's page as inline SVG; colours come from its style sheet, so that they follow its theme."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 520, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 22, 14, 26

_LEAST = 1e-12
"""What is smaller is drawn as nothing."""


def bar(measured: float, low: float, high: float, limit: float, *, lossless: float) -> Markup:
    """A figure with its interval on a scale that shows the limit; for a table's cell.

    Args:
        lossless: what the figure is of an artifact that loses nothing: one end of the scale.
    """
    if not math.isfinite(measured):
        return Markup()
    values = (low, high, limit, lossless)
    room = 0.1 * (max(values) - min(values))
    begin = min(values) - (room if lossless > min(values) else 0)
    end = max(values) + (room if lossless < max(values) else 0)

    def at(value: float) -> float:
        return 100 * (value - begin) / (end - begin or 1)

    return Markup(  # noqa: S704 - numbers alone
        '<svg viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="predicted" x="0" y="9" height="2" width="100"/>'
        f'<rect class="measured" x="{at(low):.2f}" y="8" height="4" width="{max(at(high) - at(low), 0.6):.2f}"/>'
        f'<rect class="measured" x="{at(measured) - 0.6:.2f}" y="3" height="14" width="1.2"/>'
        f'<rect class="mark-limit" x="{at(limit) - 0.3:.2f}" y="0" height="20" width="0.6"/>'
        "</svg>"
    )


def strip(values: Sequence[float], limit: float | None, label: str) -> Markup:
    """A bar a window, from the first to the last; the limit of all together is a dashed line where it is near enough.

    Args:
        label: for those who cannot see the picture.
    """
    known = [value for value in values if math.isfinite(value)]
    highest = max(known, default=0.0)
    highest = highest if highest > _LEAST else 1.0
    shown = limit if limit is not None and limit <= 2.5 * highest else None
    marks = _ticks(max(highest, shown or 0.0) * 1.1)
    width = (_WIDTH - _LEFT - _RIGHT) / len(values)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * value / marks[-1]

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>'
        for mark in marks
    ]
    for index, value in enumerate(values):
        x = _LEFT + index * width
        if math.isfinite(value):
            parts.append(
                f'<rect class="measured" x="{x + 0.12 * width:.1f}" y="{y(value):.1f}" width="{0.76 * width:.1f}"'
                f' height="{y(0) - y(value):.1f}"/>'
            )
        else:
            parts.append(f'<path class="failed" d="M{x + width / 2 - 4:.1f} {_TOP}l8 8m0 -8l-8 8"/>')
    every = max(1, math.ceil(len(values) / 16))
    parts += [
        f'<text class="tick" x="{_LEFT + (index + 0.5) * width:.1f}" y="{_HEIGHT - 9}" text-anchor="middle">'
        f"{index + 1}</text>"
        for index in range(0, len(values), every)
    ]
    if shown is not None:
        parts.append(
            f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(shown):.1f}" y2="{y(shown):.1f}"/>'
            f'<text class="tick limit-text" x="{_WIDTH - _RIGHT}" y="{y(shown) - 5:.1f}" text-anchor="end">'
            f"limit {shown:.3g}</text>"
        )
    return Markup(  # noqa: S704 - numbers of our own, and the label, which is escaped
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _ticks(high: float) -> list[float]:
    """Round values from 0 that cover ``high``: steps of 1, 2 or 5 times a power of 10."""
    rough = high / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [index * step for index in range(math.ceil(high / step - 1e-9) + 1)]
