"""Reading the logs of vLLM and Envoy: what went wrong, what is going on, how much memory was taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from shipfit.core.process import LOG_BYTES, last_words
from shipfit.serve.folder import Figures

_PREFIX = re.compile(
    r"^(\([\w -]+ pid=\d+\) )?"  # vLLM names the process
    r"((DEBUG|INFO|WARNING|ERROR) \d\d-\d\d [\d:]{8} |(INFO|WARNING|ERROR): +)?"  # vLLM; uvicorn
    r"(\[[\w.]+:\d+\] )?"
)
_EXCEPTION = re.compile(r"\b[A-Za-z_.]*(Error|Exception|Failure)\b: \S")
_ENVOY_ERROR = re.compile(r"\]\[(?:error|critical)\]\[\w+\] (?:\[[^\]]*\] )?(.+)")
# What a parent says of a child that has said why itself, a few lines up.
_SECOND_HAND = re.compile(r"See root cause above|initialization failed|Failed core proc")

_KV_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")
_FIGURES: dict[str, tuple[re.Pattern[str], Callable[[str], float]]] = {
    "checkpoint_gib": (re.compile(r"Checkpoint size: ([\d.]+) GiB"), float),
    "weights_gib": (re.compile(r"Model loading took ([\d.]+) GiB"), float),
    "kv_cache_gib": (
        re.compile(r"(?:Explicitly set \(|Auto set \(|Available KV cache memory: )([\d.]+)"),
        float,
    ),
}


def take_figures(line: str, figures: Figures) -> None:
    """Keep what a line of a replica's log says of its memory, if it says anything."""
    if match := _KV_TOKENS.search(line):
        figures.kv_cache_tokens = int(match[1].replace(",", ""))
    for name, (pattern, convert) in _FIGURES.items():
        if match := pattern.search(line):
            setattr(figures, name, convert(match[1]))


def cause(log: Path, offset: int) -> str:
    """The line that most likely says why a program ended.

    Args:
        offset: bytes of the log that an earlier run wrote.
    """
    lines = _lines_after(log, offset)
    envoy = [match[1] for line in lines if (match := _ENVOY_ERROR.search(line))]
    if envoy:
        return envoy[0][:300]
    raised = [line for line in lines if _EXCEPTION.search(line) and not _SECOND_HAND.search(line)]
    return plain(raised[-1])[:300] if raised else last_words([plain(line) for line in lines])


def last_line(log: Path) -> str:
    """What a program said last, without time and place; empty where it has said nothing."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return ""
    lines = [plain(line) for line in _lines_after(log, max(0, size - 4096))]
    return next((line for line in reversed(lines) if line), "")


def plain(line: str) -> str:
    """A log line without process, time and place."""
    return _PREFIX.sub("", line.rpartition("\r")[2]).strip()


def _lines_after(log: Path, offset: int) -> list[str]:
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            begin = offset if offset <= size else 0  # the log was rotated since
            stream.seek(max(begin, size - LOG_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
