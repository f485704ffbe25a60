"""guidellm's output as our own records: what each request did, when, counted from when it was due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipfit.core.errors import EnvironmentFailure
from shipfit.spec.base import Section

_KINDS = {
    "ConnectError": "connect",
    "ConnectTimeout": "connect",
    "ReadTimeout": "timeout",
    "WriteTimeout": "timeout",
    "PoolTimeout": "timeout",
    "RemoteProtocolError": "disconnect",
    "ReadError": "disconnect",
    "WriteError": "disconnect",
    "ValueError": "bad-answer",
    "JSONDecodeError": "bad-answer",
}
"""Exceptions of httpx, and of guidellm's reading of the stream, by the kind of error that they are."""


class RequestRecord(Section):
    """One request. Times are in seconds since the beginning of the traffic."""

    scheduled_s: float
    """When it was due."""
    start_s: float | None = None
    """When its first byte was sent; none if it never was."""
    first_token_s: float | None = None
    """When the first event of the answer came."""
    last_token_s: float | None = None
    """When the last event of the answer came."""
    end_s: float | None = None
    """When it ended, well or badly."""
    input_tokens: int | None = None
    """Tokens of the prompt, as the server counted."""
    output_tokens: int | None = None
    """Tokens of the answer, as the server counted."""
    error: str | None = None
    """The kind of error: `http-500`, `timeout`, `disconnect`, `connect`, `truncated`, `bad-answer`, `unfinished`,
    `other`; none if it succeeded."""
    detail: str | None = None
    """What the client said of the error."""

    @property
    def succeeded(self) -> bool:
        """Whether the whole answer came."""
        return self.error is None

    @property
    def lag_ms(self) -> float | None:
        """How late it was sent: the client's doing."""
        return _ms(self.scheduled_s, self.start_s)

    @property
    def ttft_ms(self) -> float | None:
        """From when it was due to the first token."""
        return _ms(self.scheduled_s, self.first_token_s)

    @property
    def e2e_ms(self) -> float | None:
        """From when it was due to its end."""
        return _ms(self.scheduled_s, self.end_s)

    @property
    def tpot_ms(self) -> float | None:
        """Time per output token after the first; none for answers of one token."""
        if self.output_tokens is None or self.output_tokens < 2:
            return None
        whole = _ms(self.first_token_s, self.last_token_s)
        return None if whole is None else whole / (self.output_tokens - 1)


def parse(output: Mapping[str, Any], *, expected_tokens: int) -> list[RequestRecord]:
    """The records in guidellm's JSON output, in the order in which they were due.

    Args:
        output: the whole document; one benchmark in it.
        expected_tokens: output tokens of every answer. The server is told to ignore the end of sequence, so a
            shorter answer was cut off, although guidellm counts it as a success.

    Raises:
        EnvironmentFailure: the document is not what this guidellm writes.
    """
    try:
        benchmark = output["benchmarks"][0]
        beginning = benchmark["scheduler_state"]["start_time"]
        groups = benchmark["requests"]
        records = [
            _record(request, beginning, expected_tokens)
            for group in ("successful", "errored", "incomplete")
            for request in groups.get(group) or ()
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise EnvironmentFailure(
            f"guidellm wrote a report that shipfit cannot read: {type(error).__name__} {error}",
            hint="remove the guidellm environment from the cache, so that the version shipfit is made for is built",
        ) from error
    return sorted(records, key=lambda record: record.scheduled_s)


def _record(request: Mapping[str, Any], beginning: float, expected_tokens: int) -> RequestRecord:
    info = request["info"]
    timings = info["timings"]

    def since(name: str) -> float | None:
        return None if timings[name] is None else timings[name] - beginning

    due = info["settings"]["relative_timestamp"]
    tokens = request["output_metrics"]["total_tokens"]
    error, detail = _error(info, tokens, expected_tokens)
    return RequestRecord(
        scheduled_s=due,
        start_s=since("request_start"),
        # The first event of the stream, not the first text: a token may have none (half a character, a special
        # token), and vLLM's first event on /v1/completions is its first token.
        first_token_s=since("first_request_iteration"),
        last_token_s=since("last_request_iteration"),
        end_s=since("request_end") or since("resolve_end"),
        input_tokens=request["input_metrics"]["total_tokens"],
        output_tokens=tokens,
        error=error,
        detail=detail,
    )


def _error(info: Mapping[str, Any], tokens: int | None, expected: int) -> tuple[str | None, str | None]:
    text = info["error"]
    if info["status"] == "completed":
        if (tokens or 0) < expected:
            return "truncated", f"{tokens or 0} of {expected} tokens came"
        return None, None
    if info["status"] == "cancelled":
        return "unfinished", "cut off at the end of the load test"
    exception, _, rest = (text or "").partition("(")
    detail = " ".join(rest.removesuffix(")").strip("'\"").split("\\n")[0].split())[:200] or exception
    if exception == "HTTPStatusError":
        return f"http-{_status(rest)}", detail
    return _KINDS.get(exception, "other"), detail


def _status(text: str) -> str:
    """The status code in "Server error '500 Internal Server Error' for url ..."."""
    return next((word.strip("'") for word in text.split() if word.strip("'").isdigit()), "error")


def _ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else (end - begin) * 1000
