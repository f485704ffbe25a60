"""An OpenAI-compatible upstream whose delays and faults are known: what a load generator must find again."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Behaviour = Literal["answer", "refuse", "stall", "disconnect", "truncate"]


@dataclass
class Upstream:
    """A server in a thread. Times in seconds.

    Attributes:
        behaviour: what is done with the n-th request, counted from 0.
        seen: headers and body of every request, in the order of arrival.
    """

    ttft: float = 0.05
    tpot: float = 0.01
    behaviour: Callable[[int], Behaviour] = lambda _index: "answer"
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._counter = itertools.count()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,))
        self._thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _serve(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._end = asyncio.Event()
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._end.wait()
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await self._read(reader):
                self.seen.append(request)
                if not await self._answer(next(self._counter), request[1], writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[dict[str, str], dict[str, Any]] | None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return headers, json.loads(body)

    async def _answer(self, index: int, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False to close the connection."""
        behaviour = self.behaviour(index)
        if behaviour == "refuse":
            writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
            return True
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        if behaviour == "stall":
            await asyncio.sleep(3600)
        tokens = body["max_tokens"] if behaviour == "answer" else body["max_tokens"] // 2
        begin = asyncio.get_running_loop().time()
        for token in range(tokens):
            await asyncio.sleep(begin + self.ttft + token * self.tpot - asyncio.get_running_loop().time())
            usage = {"prompt_tokens": len(body["prompt"].split()), "completion_tokens": token + 1}
            event = {"id": str(index), "choices": [{"index": 0, "text": " word"}], "usage": usage}
            self._chunk(writer, f"data: {json.dumps(event)}\n\n")
        if behaviour == "disconnect":
            return False
        self._chunk(writer, "data: [DONE]\n\n")
        self._chunk(writer, "")
        await writer.drain()
        return True

    @staticmethod
    def _chunk(writer: asyncio.StreamWriter, text: str) -> None:
        writer.write(f"{len(text):x}\r\n{text}\r\n".encode())


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real tokenizer.json that splits at spaces and puts a beginning-of-sequence token first."""
    words = [f"{first}{second}{third}" for first in "bdfgklm" for second in "aeiou" for third in "nrst"]
    vocabulary = {"<bos>": 0, "<unk>": 1} | {word: index for index, word in enumerate(words, start=2)}
    folder = tmp_path_factory.mktemp("tokenizer")
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 0, "content": "<bos>", **special}, {"id": 1, "content": "<unk>", **special}],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<bos>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [0], "tokens": ["<bos>"]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder
