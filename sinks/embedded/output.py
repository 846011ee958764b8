"""The bytes of an answer: head, body, compression, and what an error becomes.

An error before the first byte is a status, a header and a text; after it, it is marked in the body
under the tag that the head named, and the connection is cut, as ClickHouse does.
"""

import json
import secrets
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from sinks.embedded import content, formats
from sinks.embedded.blocks import Frames
from sinks.embedded.content import Packer
from sinks.embedded.engine import Engine, EngineError, Piece, Summary
from sinks.embedded.request import Request

_IN_MEMORY = 4 << 20
_FLUSH = 1 << 18
_STATUS = {
    401: {194},
    403: {192, 193, 497, 512, 516},
    400: {6, 25, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 167, 168, 223, 376, 427, 441, 675, 676}
    | {8, 15, 44},
    404: {46, 47, 50, 56, 60, 63, 73, 78, 81, 106, 115, 336, 511},
    408: {159},
    411: {381},
    413: {229},
    501: {48},
    503: {76, 202, 209, 439},
}
STATUS = {code: status for status, codes in _STATUS.items() for code in codes}


class Reply(Protocol):
    """Where an answer goes. Writing raises Gone when nobody listens any more."""

    tag: str  # what is read under this query id may be cancelled when the client goes

    def start(self, status: int, headers: dict[str, str]) -> None:
        """Send the head."""

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""

    def end(self) -> None:
        """Finish the body."""

    def cut(self) -> None:
        """Break off: the client must see that the body is not whole."""


class Gone(Exception):  # noqa: N818 - a state of the client, not a fault
    """The client went away."""


def error_reply(reply: Reply, error: EngineError, headers: dict[str, str], version: str) -> None:
    """Answer with an error, as ClickHouse writes it."""
    body = f"{error} (version {version} (official build))\n".encode()
    head = {**headers, "X-ClickHouse-Exception-Code": str(error.code)}
    head["Content-Type"] = "text/plain; charset=UTF-8"
    head["Content-Length"] = str(len(body))
    if error.code == 202:
        head["Retry-After"] = "1"
    reply.start(STATUS.get(error.code, 500), head)
    reply.write(body)
    reply.end()


class Output:
    """The answer: waits for the end or for enough of it, compresses, and counts."""

    def __init__(self, engine: Engine, request: Request, reply: Reply, spool: Path) -> None:
        self._engine, self._request, self._reply = engine, request, reply
        self._began = time.perf_counter_ns()
        self._tag = secrets.token_hex(8)
        self._packer, self._coding = _packer(request)
        self._held = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(spool))  # noqa: SIM115
        self._wait = request.flag("wait_end_of_query")
        self._started = False
        self.format = ""
        self.summary = Summary()

    def may_cancel(self) -> None:
        """The statement only reads: nobody needs its end when the client is gone."""
        self._reply.tag = self._request.query_id

    def add(self, piece: Piece) -> None:
        """A piece of the result."""
        self.summary.result_rows += piece.rows
        self.summary.result_bytes += len(piece.data)
        if not piece.data:
            return
        data = self._packer.add(piece.data) if self._packer else piece.data
        if self._started:
            self._reply.write(data)
            return
        self._held.write(data)
        if not self._wait and self._held.tell() >= _FLUSH:
            self._start({})
            self._send_held()

    def end(self) -> None:
        """All of the result was added."""
        if self._packer and (self.summary.result_bytes or self._coding):
            last = self._packer.end()
            if self._started:
                self._reply.write(last)
            else:
                self._held.write(last)
        if not self._started:
            self._start({"Content-Length": str(self._held.tell())})
            self._send_held()
        self._reply.end()

    def fail(self, error: EngineError) -> None:
        """The query failed, before or after the first byte went out."""
        if not self._started:
            error_reply(self._reply, error, self._headers(), self._engine.version)
            return
        text = f"{error} (version {self._engine.version} (official build))".encode()
        mark = f"__exception__\r\n{self._tag}\r\n".encode()
        tail = f"\n{len(text) + 1} {self._tag}\r\n__exception__\r\n".encode()
        data = b"\r\n" + mark + text + tail
        self._reply.write(self._packer.add(data) + self._packer.end() if self._packer else data)
        self._reply.cut()

    def close(self) -> None:
        """Let go of the spool."""
        self._held.close()

    def _start(self, headers: dict[str, str]) -> None:
        head = self._headers() | headers
        if self.format:
            head["X-ClickHouse-Format"] = self.format
        head["Content-Type"] = formats.media(self.format or "TabSeparated")
        if self._coding:
            head["Content-Encoding"] = self._coding
        self._started = True
        self._reply.start(200, head)

    def _send_held(self) -> None:
        self._held.seek(0)
        while data := self._held.read(_FLUSH):
            self._reply.write(data)

    def _headers(self) -> dict[str, str]:
        counted = {name: str(value) for name, value in asdict(self.summary).items()}
        counted["total_rows_to_read"] = "0"
        counted["elapsed_ns"] = str(time.perf_counter_ns() - self._began)
        return {
            "X-ClickHouse-Query-Id": self._request.query_id,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.host,
            "X-ClickHouse-Summary": json.dumps(counted, separators=(",", ":")),
            "X-ClickHouse-Exception-Tag": self._tag,
        }


def _packer(request: Request) -> tuple[Packer | None, str]:
    """How the answer is compressed, and what HTTP calls it; ClickHouse's frames have no name."""
    if request.flag("compress"):
        return Frames(), ""
    coding = content.accepted(request.headers.get("accept-encoding", ""))
    if coding and request.flag("enable_http_compression"):
        return content.pack(coding), coding
    return None, ""
