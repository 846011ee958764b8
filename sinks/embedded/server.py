"""ClickHouse's HTTP doors: who may come in, how many at once, and in what order all ends.

An ASGI application for uvicorn. The loop only moves bytes; every statement runs in a thread, and
queries and inserts have threads of their own, so that neither waits for the other.
"""

import asyncio
import re
import secrets
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

from starlette.types import Message, Receive, Scope, Send

from sinks.embedded.answer import answer
from sinks.embedded.content import BadContentError
from sinks.embedded.engine import BAD_ARGUMENTS, Engine, EngineError
from sinks.embedded.output import Gone, error_reply
from sinks.embedded.request import Request, denied

_IN_MEMORY = 4 << 20
_RECEIVE_SECONDS = 60.0
_SEND_SECONDS = 300.0
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


_URL_INSERT = re.compile(rb"(?:^|&)query=(?:%20|%0A|\+)*insert\b", re.IGNORECASE)


class Doors:
    """The application: one for an engine."""

    def __init__(self, engine: Engine, spool: Path, password: str = "") -> None:
        self._engine, self._spool, self._password = engine, spool, password
        limits = engine.limits
        self._queries = ThreadPoolExecutor(limits.queries, thread_name_prefix="query")
        self._inserts = ThreadPoolExecutor(limits.inserts, thread_name_prefix="insert")
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        asks = bool(scope["query_string"]) or method not in {"GET", "HEAD"}
        if method == "OPTIONS":
            await _plain(send, 204, b"", {"allow": "GET, HEAD, POST, PUT, OPTIONS"})
        elif method not in {"GET", "HEAD", "POST", "PUT"}:
            await _plain(send, 405, b"GET, HEAD, POST, PUT and OPTIONS are understood\n")
        elif path in {"/ping", "/replicas_status"} or (path == "/" and not asks):
            await _plain(send, 200, b"Ok.\n")
        elif path != "/":
            await _plain(send, 404, f"There is no handle {path}\nUse / or /ping.\n".encode())
        elif _is_foreign(headers):
            await _plain(send, 403, b"Only this machine is served, by the name of localhost\n")
        else:
            await self._ask(scope, headers, receive, send)

    async def _ask(
        self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send
    ) -> None:
        reply = _Reply(asyncio.get_running_loop(), send)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(self._spool)) as body:
            try:
                await _read_body(receive, body, self._engine.limits.body_mb)
            except _BadBodyError as error:
                await _plain(send, error.status, str(error).encode(), {"connection": "close"})
                return
            if self._waiting >= self._engine.limits.waiting:
                text = f"{self._waiting} requests are being answered or wait".encode()
                await _plain(send, 503, text, {"retry-after": "1"})
                return
            watcher = asyncio.create_task(self._watch(receive, reply))
            self._waiting += 1
            try:
                pool = self._inserts if _is_insert(scope, body) else self._queries
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(pool, self._work, scope, headers, body, reply)
            finally:
                self._waiting -= 1
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher

    def _work(
        self, scope: Scope, headers: dict[str, str], body: IO[bytes], reply: "_Reply"
    ) -> None:
        """In a thread: check who asks, and answer."""
        with suppress(Gone):
            try:
                request = Request.read(scope["method"], scope["query_string"], headers, body)
                user, password = request.credentials
                if user != "default" or not secrets.compare_digest(
                    password.encode(), self._password.encode()
                ):
                    raise denied(user)
            except EngineError as error:
                error_reply(reply, error, {}, self._engine.version)
            except (BadContentError, UnicodeDecodeError) as error:
                bad = EngineError.made(BAD_ARGUMENTS, "BAD_ARGUMENTS", str(error))
                error_reply(reply, bad, {}, self._engine.version)
            else:
                answer(self._engine, request, reply, self._spool)

    async def _watch(self, receive: Receive, reply: "_Reply") -> None:
        """When the client goes away, what it asked to read is cancelled."""
        while (await receive())["type"] != "http.disconnect":
            pass
        reply.gone.set()
        if reply.tag:
            await asyncio.to_thread(self._engine.kill, reply.tag)

    def expire(self) -> None:
        """Drop the sessions that nobody used for their time."""
        self._engine.expire()

    def close(self) -> None:
        """Cancel what still runs, wait for its threads, close the engine."""
        self._engine.kill()
        self._queries.shutdown(cancel_futures=True)
        self._inserts.shutdown(cancel_futures=True)
        self._engine.close()


class _Reply:
    """A Reply that a thread writes to and the loop sends; a slow reader holds its thread back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop, self._send = loop, send
        self.gone = threading.Event()
        self.tag = ""

    def start(self, status: int, headers: dict[str, str]) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._pass({"type": "http.response.start", "status": status, "headers": raw})

    def write(self, data: bytes) -> None:
        if data:
            self._pass({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> None:
        self.tag = ""
        self._pass({"type": "http.response.body", "body": b"", "more_body": False})

    def cut(self) -> None:
        """Return without an end: uvicorn then closes the connection."""
        self.tag = ""

    async def _sent(self, message: Message) -> None:
        await self._send(message)

    def _pass(self, message: Message) -> None:
        if self.gone.is_set():
            raise Gone
        try:
            asyncio.run_coroutine_threadsafe(self._sent(message), self._loop).result(_SEND_SECONDS)
        except (TimeoutError, RuntimeError) as error:  # it reads too slowly, or the loop has ended
            raise Gone from error


class _BadBodyError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _read_body(receive: Receive, body: IO[bytes], most_mb: int) -> None:
    size = 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), _RECEIVE_SECONDS)
        except TimeoutError:
            raise _BadBodyError(408, f"No data came for {_RECEIVE_SECONDS} s\n") from None
        if message["type"] == "http.disconnect":
            raise _BadBodyError(400, "The body is not whole\n")
        data = message.get("body", b"")
        size += len(data)
        if size > most_mb << 20:
            raise _BadBodyError(413, f"A body may have {most_mb} MiB; send less at once\n")
        body.write(data)
        if not message.get("more_body", False):
            body.seek(0)
            return


async def _plain(
    send: Send, status: int, text: bytes, headers: dict[str, str] | None = None
) -> None:
    head = {"content-type": "text/plain; charset=UTF-8", "content-length": str(len(text))}
    raw = [(name.encode(), value.encode()) for name, value in {**head, **(headers or {})}.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": text})


def _is_foreign(headers: dict[str, str]) -> bool:
    """A page of the web must not reach us through the user's browser."""
    host = headers.get("host", "localhost")
    origin = headers.get("origin", "http://localhost").partition("://")[2]
    return not {_name(host), _name(origin)} <= _LOCAL


def _name(host: str) -> str:
    return host[: host.rindex(":")] if re.search(r":\d+$", host) else host


def _is_insert(scope: Scope, body: IO[bytes]) -> bool:
    start = body.read(256)
    body.seek(0)
    return (
        bool(_URL_INSERT.search(scope["query_string"])) or start.lstrip()[:6].upper() == b"INSERT"
    )
