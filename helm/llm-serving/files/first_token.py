"""Keeps an answer's headers back until its first token is there: ``--middleware first_token.HoldHeaders`` of vLLM.

vLLM sends them as soon as a request is queued. From then on a router cannot give the request to another replica when
this one dies, though its client has not seen a token yet.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
"""As ASGI defines them: https://asgi.readthedocs.io/en/latest/specs/www.html"""
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class HoldHeaders:
    """Passes the start of a response on together with the first piece of its body."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request as the application does."""
        held: list[Message] = []

        async def together(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            while held:
                await send(held.pop())
            await send(message)

        await self.app(scope, receive, together if scope["type"] == "http" else send)
