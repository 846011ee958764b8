"""A door before ClickHouse that can refuse, hang, or cut the line after the work was done.

Must live here: bytes between two sockets and the moods. Must not: HTTP. An answer begins when the
insert is in the table, so cutting at its first byte is "failed after it applied".
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from simulator.kills.listener import Listener

Mood = Literal["open", "refuse", "hang", "cut"]
CHUNK = 1 << 16


class Proxy(Listener):
    """Forwards to `target` (http://host:port), which may change; `mood` holds for every line."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.cuts = 0  # answers that never arrived
        self.on_cut: Callable[[], None] | None = None  # told before the line is cut
        self._mood: Mood = "open"
        self._open = asyncio.Event()
        self._open.set()

    def become(self, mood: Mood) -> None:
        """Change the mood, of the lines that are open too."""
        self._mood = mood
        if mood == "hang":
            self._open.clear()
        else:
            self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry both ways, as the mood is."""
        behind: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self._mood != "refuse":
                parts = urlsplit(self.target)
                back, behind = await asyncio.open_connection(parts.hostname, parts.port)
                await self._carry(reader, writer, back, behind)
        for end in (writer, behind):
            if end:
                end.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamReader,
        behind: asyncio.StreamWriter,
    ) -> None:
        """Until either side hangs up."""
        inserting = asyncio.Event()
        ways = [
            asyncio.create_task(self._ask(reader, behind, inserting)),
            asyncio.create_task(self._answer(back, writer, inserting)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _ask(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, inserting: asyncio.Event
    ) -> None:
        while chunk := await source.read(CHUNK):
            if chunk.startswith((b"POST ", b"GET ")):
                inserting.clear()
                if b"INSERT" in chunk.partition(b"\r\n")[0]:
                    inserting.set()
            await self._open.wait()
            if self._mood == "refuse":
                return
            to.write(chunk)
            await to.drain()

    async def _answer(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, inserting: asyncio.Event
    ) -> None:
        while chunk := await source.read(CHUNK):
            await self._open.wait()
            if self._mood == "refuse":
                return
            if self._mood == "cut" and inserting.is_set():
                self.cuts += 1
                if self.on_cut:
                    self.on_cut()
                return
            to.write(chunk)
            await to.drain()
