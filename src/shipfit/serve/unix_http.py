"""One HTTP request to a server on a Unix socket."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def request(path: str, method: str, target: str, timeout: float) -> tuple[int, str] | None:
    """Status and text of the answer; None where none came.

    Args:
        path: the socket, at most 107 bytes: name it from the working folder.
        timeout: seconds for each step.
    """
    with closing(_Connection(path, timeout)) as connection:
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return None
