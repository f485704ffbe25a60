"""Whether vLLM's engine in this container is alive: exit code 0, or 1 and one line that says why not.

vLLM's /health answers 200 while the engine hangs, so this looks at what the engine does. A sign of life is any of

- the engine made a step since the last look (``vllm:iteration_tokens_total`` counts them),
- no request is in flight at the server (/load, kept by ``--enable-server-load-tracking``) or in the engine,
- it answers a request for one token. The count of running requests alone would not do: it comes with the steps, so an
  engine that hangs in its first step after a pause still says that nothing runs; and a client that reads its answer
  slowly keeps a request in flight while the engine has nothing to do.

The engine is dead once no look has seen a sign of life for ``--stalled-seconds``. What was seen is kept in a file.
The standard library is all that it uses: it runs in vLLM's image, started anew for every look.
"""

import argparse
import http.client
import json
import sys
import time
from pathlib import Path

STEPS = "vllm:iteration_tokens_total_count"
IN_ENGINE = ("vllm:num_requests_running", "vllm:num_requests_waiting")
READ_SECONDS = 5  # two of these and one below, with the start of Python, are less than the probe's time-out
TOKEN_SECONDS = 10


def main(words: list[str]) -> int:
    """Look once; the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="the name that it is served by")
    parser.add_argument("--stalled-seconds", type=float, required=True)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--state", type=Path, default=Path("/tmp/engine_alive.json"))  # noqa: S108 - the pod's own
    asked = parser.parse_args(words)
    seen = read_state(asked.state)
    steps, trouble = look(asked.port, asked.model, seen.get("steps"))
    now = time.monotonic()  # one clock for all processes since the machine started
    since = seen.get("since") or now if trouble else None
    write_state(asked.state, {"process": process(), "steps": steps, "since": since})
    if since is None or now - since < asked.stalled_seconds:
        return 0
    print(f"the engine shows no sign of life for {now - since:.0f} s: {trouble}")  # noqa: T201 - in the pod's events
    return 1


def look(port: int, model: str, steps_before: float | None) -> tuple[float | None, str]:
    """The engine's steps so far (those before where it does not say), and what is wrong, empty where nothing is."""
    try:
        totals = metrics(ask(port, "GET", "/metrics", seconds=READ_SECONDS))
        steps = totals.get(STEPS, 0.0)
        if steps != steps_before:
            return steps, ""
        load = json.loads(ask(port, "GET", "/load", seconds=READ_SECONDS))["server_load"]
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return steps_before, f"its server does not answer ({type(error).__name__}: {error})"
    if not load and not sum(totals.get(name, 0) for name in IN_ENGINE):
        return steps, ""
    try:
        ask(port, "POST", "/v1/completions", {"model": model, "prompt": "1", "max_tokens": 1}, TOKEN_SECONDS)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return steps, f"with {load} requests in flight it makes no step and gives no token ({error})"
    return steps, ""


def metrics(text: str) -> dict[str, float]:
    """Every metric of a page in Prometheus' text format, summed over its labels."""
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            totals[name] = totals.get(name, 0.0) + float(value)
    return totals


def ask(port: int, method: str, path: str, body: object = None, seconds: float = READ_SECONDS) -> str:
    """The answer of the server on loopback, whatever proxy the environment names."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"{path} answers {answer.status}")
    return text


def process() -> str:
    """Tells this start of the container from the one before, whose file may still lie there."""
    return Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]  # starttime, proc(5)


def read_state(file: Path) -> dict:
    """What the last look of this start of the container wrote."""
    try:
        state = json.loads(file.read_text())
        return state if state["process"] == process() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_state(file: Path, state: dict) -> None:
    """Whole or not at all: a probe that runs out of time is killed."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(state))
    new.replace(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
