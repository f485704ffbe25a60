"""Loss against size as SVG: a dot an artifact, coloured by what answered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from scripts.precisions.page import in_order
from scripts.precisions.rows import Row

_WIDTH, _HEIGHT = 720, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 14, 44
_KINDS = {
    "vLLM": ("vllm", "served by vLLM"),
    "llama.cpp": ("llama", "served by llama.cpp"),
    "transformers": ("none", "no kernel here"),
}
_LINE = 13
"""Between two labels, at least."""
_NEAR = 150
"""Labels further apart than this cannot touch."""
# The colours of docs/accuracy: they stand out on white and on black.
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#57606a}.grid{stroke:#8c959f;stroke-opacity:.25}"
    ".vllm{fill:#0969da}.llama{fill:#bc4c00}.none{fill:#8c959f}.lead{stroke:#8c959f;stroke-opacity:.6}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.vllm{fill:#4493f8}.llama{fill:#db6d28}}"
)


def loss_against_size(rows: Mapping[str, Row]) -> str:
    """The text of the file; artifacts that lose nothing, or all, are left out: the scale is logarithmic."""
    dots = [(name, row) for name, row in in_order(rows) if row.figures.get("mean_kl", 0.0) > 0]
    sizes = [row.weight_bytes / 1e6 for _, row in dots] or [1.0]
    losses = [row.figures["mean_kl"] for _, row in dots] or [1.0]
    left, right = 50 * math.floor(min(sizes) / 50), 50 * math.ceil(max(sizes) / 50 + 0.01)
    low, high = math.log10(min(losses) / 1.5), math.log10(max(losses) * 1.5)

    def x(megabytes: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (megabytes - left) / (right - left)

    def y(loss: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - math.log10(loss)) / (high - low)

    places = [(x(row.weight_bytes / 1e6), y(row.figures["mean_kl"]), name, row) for name, row in dots]
    title = "Mean divergence from the source against the size of the weights"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="title desc">',
        f'<title id="title">{title}</title>',
        f'<desc id="desc">{len(dots)} artifacts; the figures are in the table below</desc>',
        f"<style>{_STYLE}</style>",
        *(
            f'<path class="grid" d="M{x(mark):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{x(mark):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{mark}</text>'
            for mark in range(left, right + 1, 50)
        ),
        *(
            f'<path class="grid" d="M{_LEFT} {y(mark):.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>'
            for mark in _marks(low, high)
        ),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">weights, MB</text>',
        f'<text transform="translate(13 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        "mean divergence, nats a token</text>",
        *_labels(places),
        *(f'<circle class="{_kind(row)}" cx="{at:.1f}" cy="{up:.1f}" r="4"/>' for at, up, _, row in places),
        *_legend(),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _labels(places: Sequence[tuple[float, float, str, Row]]) -> list[str]:
    """A label to the right of each dot, moved down where another is in the way, with a line from its dot."""
    taken: list[tuple[float, float]] = []
    parts = []
    for at, up, name, _row in sorted(places, key=lambda place: place[1]):
        line = up
        while any(abs(at - other) < _NEAR and abs(line - height) < _LINE for other, height in taken):
            line += 1
        taken.append((at, line))
        parts.append(
            f'<path class="lead" d="M{at:.1f} {up:.1f}L{at + 10:.1f} {line:.1f}"/>'
            f'<text x="{at + 12:.1f}" y="{line + 4:.1f}">{escape(name)}</text>'
        )
    return parts


def _marks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of 10 between two logarithms."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [mark for mark in marks if low <= math.log10(mark) <= high]


def _kind(row: Row) -> str:
    return next(style for engine, (style, _) in _KINDS.items() if row.answer.engine.startswith(engine))


def _legend() -> list[str]:
    return [
        f'<circle class="{style}" cx="{_WIDTH - _RIGHT + 14}" cy="{_TOP + 10 + 18 * line}" r="4"/>'
        f'<text x="{_WIDTH - _RIGHT + 24}" y="{_TOP + 14 + 18 * line}">{said}</text>'
        for line, (style, said) in enumerate(_KINDS.values())
    ]
