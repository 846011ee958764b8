"""A local server of the kills: listens on a free port, and hangs up on everybody at its end.

Must live here: the lines that are open. Must not: what is said on them (proxy.py, receiver.py).
"""

import asyncio
from typing import Self


class Listener:
    """A subclass says in `serve` what becomes of a line."""

    def __init__(self) -> None:
        self._lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up on everybody."""
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line, until it ends or is cancelled."""
        raise NotImplementedError

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        if line:
            self._lines.add(line)
            line.add_done_callback(self._lines.discard)
        await self.serve(reader, writer)
