"""A server that answers like a replica, and can be made to fail: ``python upstream.py ADDRESS PORT STATE``.

SIGUSR1 makes it unhealthy, SIGUSR2 healthy again. The ``prompt`` of a request is how it is answered: "count seconds",
so many pieces with so many seconds before each. A failing one is healthy, and answers every request with 500.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys


class Upstream:
    def __init__(self, address: str, state: str) -> None:
        self.address = address
        self.healthy = state != "unhealthy"
        self.failing = state == "failing"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                await self.answer(line.split()[1].decode(), await reader.readexactly(length), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == "/health":
            status = b"200 OK" if self.healthy else b"503 Not yet"
            writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % status)
            return
        if self.failing:
            writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
            return
        request = json.loads(body)
        count, seconds = request["prompt"].split()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        for number in range(int(count)):
            await asyncio.sleep(float(seconds))
            text = json.dumps({"replica": self.address, "model": request["model"]}).encode() + b"\n"
            writer.write((b"" if number else head) + b"%x\r\n%s\r\n" % (len(text), text))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def main(address: str, port: int, state: str) -> None:
    upstream = Upstream(address, state)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, setattr, upstream, "healthy", False)
    loop.add_signal_handler(signal.SIGUSR2, setattr, upstream, "healthy", True)
    server = await asyncio.start_server(upstream.serve, address, port)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await server.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
