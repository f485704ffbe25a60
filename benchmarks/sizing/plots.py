"""Predicted against measured as SVG: a dot a row, the line where both are equal, and a band around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.sizing.scores import Figure

_KINDS = {"dot": "vllm", "other": "trtllm"}
_ENGINES = {"vllm": "vLLM", "trtllm": "TensorRT-LLM"}
_SIDE = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 14, 14, 44
# Middle greys and a middle blue stand out on white and on black; a style in the file follows what the reader prefers.
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#57606a}.grid{stroke:#8c959f;stroke-opacity:.25}"
    ".equal{stroke:#57606a}.band{fill:#8c959f;fill-opacity:.14}.dot{fill:#0969da;fill-opacity:.45}"
    ".other{fill:#bc4c00;fill-opacity:.45}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.equal{stroke:#9198a1}.dot{fill:#4493f8}.other{fill:#db6d28}}"
)


@dataclass(frozen=True)
class _Axis:
    """A logarithmic scale, the same for both axes."""

    low: float
    high: float

    def x(self, value: float) -> float:
        return _LEFT + (_SIDE - _LEFT - _RIGHT) * self._share(value)

    def y(self, value: float) -> float:
        return _SIDE - _BOTTOM - (_SIDE - _BOTTOM - _TOP) * self._share(value)

    def _share(self, value: float) -> float:
        clipped = min(max(value, self.low), self.high)
        return math.log(clipped / self.low) / math.log(self.high / self.low)

    @property
    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of 10 that the scale covers; fewer where it covers many."""
        decades = math.log10(self.high / self.low)
        factors = (1, 2, 5) if decades < 3 else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [factor * 10.0**power for power in powers for factor in factors]
        return [mark for mark in marks if self.low <= mark <= self.high]


def scatter(title: str, unit: str, figures: Sequence[Figure], band: float) -> str:
    """A chart as the text of an SVG file.

    Args:
        title: what was measured.
        unit: of both axes.
        figures: the rows; each engine's have a colour.
        band: the share to each side of the line of equality that is shaded.
    """
    axis = _scale(figures)
    inside = sum(each.size <= band for each in figures)
    description = (
        f"{title}, predicted against measured, {unit}, on logarithmic axes: {len(figures)} rows, {inside} of them "
        f"within {band:.0%} of the line where both are equal"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}" role="img" '
        f'aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
        _grid(axis),
        _band(axis, band),
        _words(title, unit),
        *_dots(axis, figures),
        _legend(figures),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _scale(figures: Sequence[Figure]) -> _Axis:
    values = [each.measured for each in figures] + [each.predicted for each in figures if each.predicted > 0]
    low, high = min(values, default=1.0), max(values, default=10.0)
    return _Axis(low / 1.2, high * 1.2)


def _grid(axis: _Axis) -> str:
    right, bottom = _SIDE - _RIGHT, _SIDE - _BOTTOM
    lines = []
    for mark in axis.ticks:
        x, y, text = axis.x(mark), axis.y(mark), f"{mark:,.10g}"
        lines.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}M{_LEFT} {y:.1f}H{right}"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    return "".join(lines)


def _band(axis: _Axis, band: float) -> str:
    low, high = axis.low, axis.high
    above = [(low, low * (1 + band)), (high / (1 + band), high), (high, high)]
    below = [(high, high * (1 - band)), (low / (1 - band), low), (low, low)]
    corners = " ".join(f"{axis.x(one):.1f},{axis.y(other):.1f}" for one, other in above + below)
    line = f"M{axis.x(low):.1f} {axis.y(low):.1f}L{axis.x(high):.1f} {axis.y(high):.1f}"
    return f'<polygon class="band" points="{corners}"/><path class="equal" fill="none" d="{line}"/>'


def _words(title: str, unit: str) -> str:
    middle = (_TOP + _SIDE - _BOTTOM) / 2
    return (
        f'<text x="{(_LEFT + _SIDE - _RIGHT) / 2}" y="{_SIDE - 8}" text-anchor="middle">'
        f"{escape(title)}, measured, {escape(unit)}</text>"
        f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">predicted, {escape(unit)}</text>'
    )


def _dots(axis: _Axis, figures: Sequence[Figure]) -> list[str]:
    """One path an engine: a file of a thousand circles would be several times as large."""
    paths = []
    for kind, engine in _KINDS.items():
        circles = "".join(
            f"M{axis.x(each.measured) - 3:.1f} {axis.y(each.predicted):.1f}a3 3 0 1 0 6 0a3 3 0 1 0-6 0"
            for each in figures
            if each.label.engine == engine
        )
        paths.append(f'<path class="{kind}" d="{circles}"/>')
    return paths


def _legend(figures: Sequence[Figure]) -> str:
    """What the colours are, where there are several."""
    there = {each.label.engine for each in figures}
    if len(there) < 2:
        return ""
    return "".join(
        f'<circle class="{kind}" cx="{_LEFT + 14}" cy="{_TOP + 14 + 18 * line}" r="4"/>'
        f'<text x="{_LEFT + 24}" y="{_TOP + 18 + 18 * line}">{_ENGINES[engine]}</text>'
        for line, (kind, engine) in enumerate(_KINDS.items())
    )
