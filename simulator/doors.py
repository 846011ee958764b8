"""Ways into an engine: over HTTP as a storefront comes, or straight into its log.

Must live here: sending Segment items, and waiting when told to. Must not: what to send, or when.

    DoorShut      the door answers, and not with a yes: a wrong key, a wrong address
    LogAway       (engine.log) nobody has answered for too long
"""

import asyncio
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol

import httpx
import orjson

from engine.log import Log, LogAway
from engine.records import REJECTED, Append
from engine.shards import partition
from features import contact, events
from simulator.habits import iso
from simulator.stepping import AWAY_SECONDS_MAX, append

Item = dict[str, Any]
PER_POST = 500
BODY_MAX = 32_768
_BUSY = frozenset({429, 502, 503, 504})


class DoorShut(Exception):  # noqa: N818 - the other side's answer, not a fault of ours
    """The door refuses for good; the message says what it answered."""


class Door(Protocol):
    """Where items go in. `now` (ms) is the sender's clock, as the items' own times are."""

    async def send(self, items: Sequence[Item], now: int) -> None:
        """Hand over all, in order; return once they are accepted."""

    async def close(self) -> None:
        """Give the connections back."""


class HttpDoor:
    """POST /v1/batch with a server's write key, in order, patient with 429 and 503."""

    def __init__(
        self,
        url: str,
        write_key: str,
        away_seconds: float = AWAY_SECONDS_MAX,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.away_seconds = away_seconds
        self._client = httpx.AsyncClient(
            transport=transport,
            base_url=url,
            auth=(write_key, ""),
            timeout=30.0,
            headers={"Content-Type": "application/json"},
            trust_env=False,
        )

    async def send(self, items: Sequence[Item], now: int) -> None:
        """See `Door.send`; a batch that may have been taken is sent again, its ids absorb it."""
        for start in range(0, len(items), PER_POST):
            body = {"batch": items[start : start + PER_POST], "sentAt": iso(now)}
            await self._post(orjson.dumps(body))

    async def _post(self, body: bytes) -> None:
        deadline, pause = time.monotonic() + self.away_seconds, 0.1
        while True:
            try:
                answer = await self._client.post("/v1/batch", content=body)
                if answer.status_code == httpx.codes.OK:
                    return
                told = f"{answer.status_code} {answer.text[:200]}"
                if answer.status_code not in _BUSY:
                    raise DoorShut(f"{self._client.base_url}v1/batch answered {told}")
                wait = _retry_after(answer) or pause
            except httpx.TransportError as error:
                told, wait = repr(error), pause
            if time.monotonic() + wait > deadline:
                raise LogAway(f"{self._client.base_url} took nothing for so long: {told}")
            await asyncio.sleep(wait)
            pause = min(2 * pause, 5.0)

    async def close(self) -> None:
        """See `Door.close`."""
        await self._client.aclose()


class LogDoor:
    """Into the log itself, through the same parser; each event received when it happened."""

    def __init__(self, log: Log, source: str = "simulator") -> None:
        self.log = log
        self.source = source

    async def send(self, items: Sequence[Item], now: int) -> None:
        """See `Door.send`."""
        await append(self.log, [to_record(i, self.log.shards, self.source, now) for i in items])

    async def close(self) -> None:
        """See `Door.close`; the log is another's."""


def to_record(
    item: Item, shards: int, source: str, received_at: int, row: list[Any] | None = None
) -> Append:
    """The item as a record of the log; a bad one as a rejected record, so that it is not lost.

    What is told of the past was received when it happened, at the latest at `received_at`. The
    log holds no contact in plain: a file's are left out, and can come in by /v1/import.
    """
    if contact.carries(item):
        item = contact.sealed(item, lambda _: contact.REMOVED)
    try:
        event = events.parse(item, source=source, received_at=received_at)
    except events.BadEvent as bad:
        return rejected(item, shards, source, received_at, bad.reason, bad.detail)
    event.received_at = event.at
    if row is not None:
        event.row = row
    key = events.key(event)
    return Append(partition(key, shards), key, events.encode(event), event.at)


def rejected(item: object, shards: int, source: str, at: int, reason: str, detail: str) -> Append:
    """A record of quarantine; its id is a hash of what was sent, so a repeat is the same one."""
    body = orjson.dumps(item, default=str)
    name = blake2b(source.encode() + b"\n" + body, digest_size=16).hexdigest()
    value = {"id": name, "source": source, "reason": reason, "detail": detail,
             "body": body[:BODY_MAX].decode(errors="replace"), "at": at}  # fmt: skip
    return Append(partition(name.encode(), shards), REJECTED, orjson.dumps(value), at)


def _retry_after(answer: httpx.Response) -> float:
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 0.0
