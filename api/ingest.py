"""The door for events: the Segment and RudderStack calls, answered once the log has them.

Must live here: the calls' paths, whose key it is, the answer. Must not: the shape of an event
(features.events), a body's bytes (body), what a batch becomes (items), waiting for the log
(appends). Plain ASGI, since this path carries every event: no model is validated twice.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from api import body
from api.appends import Appends
from api.headers import RAW
from api.items import Intake, items_of
from api.refusals import Refused
from api.sealing import Sealing
from api.sources import Sender, Sources, key_of_basic
from engine.log import Log, LogAway, LogFull

KINDS = {
    "identify": "i",
    "track": "t",
    "page": "p",
    "screen": "s",
    "group": "g",
    "alias": "a",
}
PATHS = {
    **{f"/v1/{name}": name for name in KINDS},
    **{f"/v1/{short}": name for name, short in KINDS.items()},
    **dict.fromkeys(("/v1/batch", "/v1/import", "/v1/b", "/beacon/v1/batch"), "batch"),
}
SLICE_ITEMS = 250  # of a long batch, so that other requests get their turn in between
HELD_BYTES_MAX = 128 * 1024 * 1024
CHUNKED_BYTES = 512 * 1024  # held for a body that does not say its length


class Door:
    """One ASGI app for all calls of PATHS."""

    def __init__(
        self,
        log: Log,
        sources: Sources,
        clock: Callable[[], int],
        refresh: Callable[[], Awaitable[None]] | None = None,
        sealing: Sealing | None = None,
    ) -> None:
        self._shards = log.shards
        self._sources = sources
        self._clock = clock
        self._refresh = refresh
        self._sealing = sealing
        self._appends = Appends(log)
        self._held_bytes = 0  # of bodies whose requests are not answered yet
        self.counts: Counter[str] = Counter()  # accepted, rejected, and refusals by code

    def routes(self) -> list[BaseRoute]:
        """What an app adds to its routes."""
        return [Route(path, self, methods=["POST"], include_in_schema=False) for path in PATHS]

    async def close(self) -> None:
        """Return when the log has answered for all that was taken."""
        await self._appends.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        status, content, kind, retry_after = 200, b"OK", b"text/plain; charset=utf-8", 0
        try:
            await self._take(PATHS[scope["path"]], scope, receive)
        except body.Gone:
            return
        except (Refused, LogAway) as away:
            refused = away if isinstance(away, Refused) else _refusal(away)
            self.counts[refused.code] += 1
            status, content, kind = refused.status, refused.body(), b"application/json"
            retry_after = refused.retry_after
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(content))]
        if status != 200:
            headers += RAW
        if retry_after:
            headers.append((b"retry-after", b"%d" % retry_after))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _take(self, kind: str, scope: Scope, receive: Receive) -> None:
        length, encoding, authorization = _headers(scope)
        key = key_of_basic(authorization) or _key_of_query(scope["query_string"])
        sender = self._sender(key) if key else None
        if self._held_bytes > HELD_BYTES_MAX:
            raise Refused(429, "busy", "too many bodies are being read", retry_after=1)
        held = length or CHUNKED_BYTES
        self._held_bytes += held
        try:
            raw = await body.read(receive, length)
            text = body.unpack(raw, encoding)
            call = body.decode(text)
            await self._append(kind, call, len(text), sender or self._sender(call.get("writeKey")))
        finally:
            self._held_bytes -= held

    async def _append(self, kind: str, call: dict[str, Any], size: int, sender: Sender) -> None:
        if self._refresh:
            await self._refresh()
        intake = Intake(sender, self._shards, self._clock(), size)
        if kind != "batch":
            _spend(sender, 1)
            if self._sealing:
                await self._sealing.call(call)
            record = intake.call(kind, call)
            await self._appends.add((record,))
            self.counts["accepted"] += 1
            return
        items = items_of(call, size)
        _spend(sender, len(items))
        if self._sealing:
            await self._sealing.batch(call, items)
        records = intake.batch(call, items)
        while part := list(islice(records, SLICE_ITEMS)):
            await self._appends.add(part)
        self.counts["accepted"] += len(items) - intake.rejected
        self.counts["rejected"] += intake.rejected

    def _sender(self, key: Any) -> Sender:
        found = self._sources.find(key) if isinstance(key, str) and key else None
        if found is None:
            told = "no source has this write key" if key else "the call carries no write key"
            raise Refused(401, "unknown_write_key", told)
        return found


def _spend(sender: Sender, events: int) -> None:
    if sender.rate and (wait := sender.spend(events, time.monotonic())):
        told = f"source {sender.name!r} sends more than its {sender.rate} events a second"
        raise Refused(429, "rate_limited", told, retry_after=wait)


def _refusal(away: LogAway) -> Refused:
    if isinstance(away, LogFull):
        return Refused(429, "log_full", str(away), retry_after=max(1, away.retry_after))
    return Refused(503, "log_away", f"the log cannot be reached now: {away}", retry_after=2)


def _headers(scope: Scope) -> tuple[int, bytes, bytes]:
    """Content-Length (0 if none), Content-Encoding and Authorization."""
    length, encoding, authorization = 0, b"", b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-encoding":
            encoding = value.strip().lower()
        elif name == b"authorization":
            authorization = value
    return length, encoding, authorization


def _key_of_query(query: bytes) -> str:
    """The `writeKey` of a beacon's query, "" when there is none."""
    if b"writeKey=" not in query:
        return ""
    return parse_qs(query.decode("latin-1")).get("writeKey", [""])[0]
