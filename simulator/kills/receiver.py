"""A webhook receiver that honours idempotency keys: a message is applied once, a repeat counted.

Must live here: what was applied, what came again. Must not: what should have come (audit.py does).
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson

from simulator.kills.listener import Listener


class Receiver(Listener):
    """A local HTTP server; `on_applied` is told of a new message before it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.applied: dict[str, dict[str, Any]] = {}  # key -> the body as it came first
        self.calls: Counter[str] = Counter()
        self.changed: list[str] = []  # keys that came again with another content
        self.on_applied: Callable[[], None] | None = None

    @property
    def redelivered(self) -> int:
        """Calls beyond the first of each message."""
        return self.calls.total() - len(self.calls)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"{super().url}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Apply each call and say yes."""
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
