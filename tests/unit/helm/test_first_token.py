"""The middleware that the chart gives to vLLM, as an ASGI server sees it."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "helm" / "llm-serving" / "files" / "first_token.py"
START = {"type": "http.response.start", "status": 200, "headers": []}


def piece(text: str, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


def sent_by(messages: list[dict[str, Any]], kind: str = "http", dies: bool = False) -> list[list[Any]]:
    """What has been passed on after each message of the application."""
    module = runpy.run_path(str(SCRIPT))  # leaves no bytecode in the chart, as an import does
    passed: list[Any] = []
    after: list[list[Any]] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
            after.append(list(passed))
        if dies:
            raise RuntimeError("the engine died")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        passed.append(message)

    asyncio.run(module["HoldHeaders"](application)({"type": kind}, receive, send))
    return after


def test_headers_go_with_the_first_piece() -> None:
    pieces = [piece("a"), piece("b"), piece("", more=False)]
    assert sent_by([START, *pieces]) == [
        [],
        [START, pieces[0]],
        [START, *pieces[:2]],
        [START, *pieces],
    ]


def test_an_answer_without_a_body_is_passed_on() -> None:
    assert sent_by([START, piece("", more=False)])[-1] == [START, piece("", more=False)]


def test_nothing_was_sent_where_the_engine_dies_before_the_first_token() -> None:
    with pytest.raises(RuntimeError, match="the engine died"):
        sent_by([START], dies=True)
    assert sent_by([START]) == [[]]


def test_what_is_not_http_passes_untouched() -> None:
    assert sent_by([{"type": "lifespan.startup.complete"}], kind="lifespan") == [
        [{"type": "lifespan.startup.complete"}]
    ]
