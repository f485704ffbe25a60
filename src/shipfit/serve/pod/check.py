"""Asks a deployment as a client does, and judges how quickly it answers: ``python -m shipfit.serve.pod.check``.

A few streamed completions one after the other, so that what the deployment does besides goes on undisturbed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shipfit.core.errors import EnvironmentFailure, ExitCode, VerdictError
from shipfit.serve.pod import program

_TOKENS = 32
_PROMPT = "Water boils at"
PATIENCE_S = 120.0
"""Seconds to wait for a replica's next word."""

_SHARE = 0.95


@dataclass(frozen=True)
class Answer:
    """One streamed completion.

    Attributes:
        tokens: how many came.
        ttft_ms: milliseconds to the first.
        tpot_ms: milliseconds for each of the others.
    """

    tokens: int
    ttft_ms: float
    tpot_ms: float


def ask(url: str, key: str | None, model: str, patience: float = PATIENCE_S) -> Answer:
    """One streamed completion.

    Args:
        url: what OpenAI clients take, with ``/v1`` at its end.
        key: the API key, where one is asked for.
        patience: seconds without a word, after which nothing answers.

    Raises:
        EnvironmentFailure: nothing answers there.
        VerdictError: it answers with an error, or without a token.
    """
    import httpx

    body = {
        "model": model,
        "prompt": _PROMPT,
        "max_tokens": _TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": f"Bearer {key}"} if key else {}
    begun = time.perf_counter()
    try:
        with httpx.stream(
            "POST", f"{url}/completions", json=body, headers=headers, timeout=patience
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise VerdictError(f"{url} answers {response.status_code}: {_reason(response.read())}")
            return answer_of(
                ((time.perf_counter() - begun) * 1000, event) for event in _events(response.iter_lines())
            )
    except httpx.InvalidURL as error:
        raise EnvironmentFailure(f"{url} is no address: {error}") from error
    except httpx.HTTPError as error:
        raise EnvironmentFailure(f"{url} does not answer: {error or type(error).__name__}") from error


def answer_of(events: Iterable[tuple[float, dict[str, Any]]]) -> Answer:
    """The figures of a stream.

    Args:
        events: what came, each with the milliseconds since the request.

    Raises:
        VerdictError: it ended without a token, or before its end.
    """
    first = last = None
    tokens = 0
    for at, event in events:
        if "error" in event:
            raise VerdictError(f"the answer broke off: {event['error']}")
        if any(choice.get("text") for choice in event.get("choices", [])):
            first, last = first or at, at
        tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
    if first is None or last is None or not tokens:
        raise VerdictError("the answer broke off: it has no token, or no end")
    return Answer(tokens, first, (last - first) / max(tokens - 1, 1))


def percentile(values: list[float]) -> float:
    """The 95th percentile, by the nearest rank: of fewer than 20 values the largest."""
    return sorted(values)[math.ceil(_SHARE * len(values)) - 1]


def judge(answers: list[Answer], ttft_ms: float | None, tpot_ms: float | None) -> str:
    """The figures as a line.

    Args:
        ttft_ms: the most that the first token may take; None where nothing is promised.
        tpot_ms: the same for each of the others.

    Raises:
        VerdictError: a promise is not kept; the figures are in it.
    """
    measured = {
        "first token": (percentile([each.ttft_ms for each in answers]), ttft_ms),
        "each further token": (percentile([each.tpot_ms for each in answers]), tpot_ms),
    }
    line = f"{len(answers)} answers; 95th percentile: " + ", ".join(
        f"{what} {value:.0f} ms" + (f" (promised {limit:g})" if limit else "")
        for what, (value, limit) in measured.items()
    )
    if missed := [what for what, (value, limit) in measured.items() if limit and value > limit]:
        raise VerdictError(f"too slow: {' and '.join(missed)}: {line}")
    return line


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        text = line.removeprefix("data: ")
        if text != line and text != "[DONE]":
            yield json.loads(text)


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return content.decode("utf-8", "replace")[:200]


def main(words: list[str]) -> ExitCode:
    """Check a deployment; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="shipfit.serve.pod.check",
        description=__doc__,
        epilog="The API key is taken from OPENAI_API_KEY.",
    )
    parser.add_argument("--url", required=True, help="what OpenAI clients take, such as http://router/v1")
    parser.add_argument("--model", required=True, help="the model to ask for")
    parser.add_argument("--requests", type=int, default=8, help="how many to send")
    parser.add_argument("--ttft-ms", type=float, help="milliseconds promised for the first token")
    parser.add_argument("--tpot-ms", type=float, help="milliseconds promised for each further token")
    parser.add_argument(
        "--wake",
        type=float,
        help="seconds that a first answer may take, not counted: a replica may have to come",
    )
    given = parser.parse_args(words)

    def work() -> None:
        keys = os.environ.get("OPENAI_API_KEY", "").split()  # as for the router, one a line: any is good
        url = given.url.rstrip("/")
        if given.wake:
            ask(url, keys[0] if keys else None, given.model, given.wake + PATIENCE_S)
        answers = [ask(url, keys[0] if keys else None, given.model) for _ in range(given.requests)]
        sys.stdout.write(judge(answers, given.ttft_ms, given.tpot_ms) + "\n")

    return program.run("check", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
