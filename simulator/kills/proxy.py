"""A door before ClickHouse that can refuse, hang, or cut the line after the work was done.

Must live here: bytes between two sockets and the moods. Must not: HTTP. An answer begins when the
insert is in the table, so cutting at its first byte is "failed after it applied".
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

Mood = Literal["open", "refuse", "hang", "cut"]
CHUNK = 1 << 16


class Proxy:
    """Forwards to `target` (http://host:port), which may change; `mood` holds for every line."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.cuts = 0  # answers that never arrived
        self.on_cut: Callable[[], None] | None = None  # told before the line is cut
        self._mood: Mood = "open"
        self._open = asyncio.Event()
        self._open.set()
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

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

    @property
    def url(self) -> str:
        """Where to knock instead of at the target."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def become(self, mood: Mood) -> None:
        """Change the mood, of the lines that are open too."""
        self._mood = mood
        if mood == "hang":
            self._open.clear()
        else:
            self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        if line:
            self._lines.add(line)
            line.add_done_callback(self._lines.discard)
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
