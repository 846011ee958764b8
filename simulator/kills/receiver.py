"""A webhook receiver that honours idempotency keys: a message is applied once, a repeat counted.

Must live here: what was applied, what came again. Must not: what should have come (audit.py does).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

import orjson


class Receiver:
    """A local HTTP server; `on_applied` is told of a new message before it is answered."""

    def __init__(self) -> None:
        self.applied: dict[str, dict[str, Any]] = {}  # key -> the body as it came first
        self.calls: Counter[str] = Counter()
        self.changed: list[str] = []  # keys that came again with another content
        self.on_applied: Callable[[], None] | None = None
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def redelivered(self) -> int:
        """Calls beyond the first of each message."""
        return self.calls.total() - len(self.calls)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up on everybody."""
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        if line:
            self._lines.add(line)
            line.add_done_callback(self._lines.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = _headers(head)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self._apply(headers.get("idempotency-key", ""), orjson.loads(body))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.transport.abort()

    def _apply(self, key: str, body: dict[str, Any]) -> None:
        self.calls[key] += 1
        if key not in self.applied:
            self.applied[key] = body
            if self.on_applied:
                self.on_applied()
        elif self.applied[key] != body:
            self.changed.append(key)


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value.strip() for name, _, value in pairs}
