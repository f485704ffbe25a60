"""A steady stream of requests from inside the cluster: one begins every so often, whatever became of those before.

    python load.py URL MODEL SECONDS_BETWEEN MOST

Every answer is streamed and read to its end, on connections that are kept and used again. A line of JSON for each, as
it ends: when it began, the seconds to its first token (null: none came), whether it came to its end, and what went
wrong. No request is tried again. It ends when there is a file /tmp/stop, or so many have begun.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import httpx

TOKENS = 12
PATIENCE_S = 120
STOP = Path("/tmp/stop")  # noqa: S108 - the pod's own


async def main(url: str, model: str, pause: float, most: int) -> None:
    headers = {"authorization": f"Bearer {os.environ['OPENAI_API_KEY'].strip()}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S, limits=limits) as client:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for number in range(most):
                await asyncio.sleep(max(0.0, begun + number * pause - time.monotonic()))
                if STOP.exists():
                    break
                tasks.create_task(one(client, model, number))


async def one(client: httpx.AsyncClient, model: str, number: int) -> None:
    body = {
        "model": model,
        "prompt": "Water boils at",
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }
    told: dict[str, object] = {
        "number": number,
        "at": time.time(),
        "first": None,
        "whole": False,
        "error": None,
    }
    begun = time.monotonic()
    try:
        async with client.stream("POST", "/completions", json=body) as answer:
            if answer.status_code != httpx.codes.OK:
                told["error"] = f"{answer.status_code}: {(await answer.aread()).decode()[:200]}"
            async for line in answer.aiter_lines():
                if told["first"] is None and line.startswith("data: {"):
                    told["first"] = time.monotonic() - begun
                told["whole"] = told["whole"] or line == "data: [DONE]"
    except httpx.HTTPError as error:
        told["error"] = repr(error)
    told["seconds"] = time.monotonic() - begun
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
