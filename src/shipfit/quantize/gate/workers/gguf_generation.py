"""Asks a GGUF artifact and its source the same prompts in llama.cpp's server, which will serve it.

Runs in llama.cpp's environment. Request and figures are those of ``generation.py``; also ``source``, which the server
reads as a GGUF of 16 bits. Prompts go to the server as text: its own tokenizer and chat template are part of what is
tried.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import shipfit_gguf as llama
from generation import Answer, compare
from shipfit_kept import Kept
from transformers import AutoTokenizer

Report = Callable[[str, float | None], None]

CONTEXT = 4096
"""Tokens of a prompt and its answer, at most."""

START_SECONDS = 1800.0
"""Longest that loading may take: a model of a hundred gigabytes from a slow disk."""

ANSWER_SECONDS = 1800.0
"""Longest that an answer may take."""


class ServerError(Exception):
    """llama.cpp's server did not start, or ended."""


def main(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """Ask both; the artifact first, since without its answers those of the source are of no use."""
    source, artifact = Path(request["source"]), Path(request["artifact"])
    prompts, tokens = request["generation"]["prompts"], request["generation"]["tokens"]
    chat = AutoTokenizer.from_pretrained(artifact).chat_template is not None
    kept = Kept(request["baselines"], "generation", determines(request))
    expected: list[Answer] | None = kept.read()
    share = 1.0 if expected else 0.4
    actual = ask(
        artifact / llama.MODEL,
        prompts,
        tokens,
        chat,
        lambda text, done: report(f"artifact, {text}", share * done),
    )
    if expected is None:
        with llama.source_gguf(
            source, Path(request["baselines"]), lambda text, done: report(text, 0.4 + 0.2 * done)
        ) as wide:
            expected = ask(
                wide, prompts, tokens, chat, lambda text, done: report(f"source, {text}", 0.6 + 0.4 * done)
            )
        kept.keep(expected)
    return compare(prompts, expected, actual, {"llama-cpp-python": llama.version()})


def determines(request: dict[str, Any]) -> dict[str, Any]:
    """All that the source's answers depend on."""
    return {
        "revision": request["revision"],
        "generation": {name: request["generation"][name] for name in ("prompts", "tokens")},
        "llama-cpp-python": llama.version(),
    }


def ask(
    model: Path, prompts: Sequence[str], tokens: int, chat: bool, report: Callable[[str, float], None]
) -> list[Answer]:
    """A model's greedy answers.

    Args:
        model: a GGUF file.
        tokens: of an answer, at most.
        chat: whether a prompt is a user's message, for the model's chat template, or text to go on with.
        report: told of answers as they come, with the fraction done.
    """
    report("loading", 0.0)
    answers: list[Answer] = []
    with serve(model) as client:
        for number, prompt in enumerate(prompts):
            report(f"answer {number + 1} of {len(prompts)}", 0.3 + 0.7 * number / len(prompts))
            if chat:
                message = {"messages": [{"role": "user", "content": prompt}]}
                prompt = client.post("/apply-template", json=message).raise_for_status().json()["prompt"]
            asked = {"prompt": prompt, "n_predict": tokens, "temperature": 0, "return_tokens": True}
            answer = client.post("/completion", json=asked).raise_for_status().json()
            answers.append({"text": answer["content"], "ids": answer["tokens"]})
    return answers


@contextmanager
def serve(model: Path) -> Iterator[httpx.Client]:
    """llama.cpp's server with one model, on a socket that only this user can open.

    Raises:
        ServerError: it ended before it was ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "llama.sock"
        server = llama.start(
            [
                *("llama-server", "--model", model, "--host", socket, "--ctx-size", str(CONTEXT)),
                *("--parallel", "1", "--threads", str(llama.threads()), "--no-ui"),
            ],
            stdout=sys.stderr,
        )
        transport = httpx.HTTPTransport(uds=str(socket))
        try:
            with httpx.Client(transport=transport, base_url="http://llama", timeout=ANSWER_SECONDS) as client:
                wait_until_ready(server, client)
                yield client
        finally:
            server.kill()  # nothing that it holds is to be kept
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], client: httpx.Client) -> None:
    """Return once the model is loaded."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ServerError("llama-server does not load the model; its log says why")
        try:
            if client.get("/health").is_success:
                return
        except httpx.TransportError:  # it does not listen yet
            pass
        time.sleep(0.1)
    raise ServerError(f"llama-server was not ready after {START_SECONDS:g} s")
