"""The way of a call about a customer: his state as committed, a record of his, the answer in it.

Must live here: reading a customer, appending a record keyed to him, waiting for its commit. Must
not: what is asked. The answer is part of the commit (engine.answers), under the call's own name:
whoever reads the customer and finds it there knows that it is decided, and how.
"""

import asyncio
import hashlib
import hmac
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from api.appends import Appends
from api.refusals import Refused
from engine.answers import Answer, noted
from engine.identity import PATH_MAX
from engine.journal import REGISTRY, memory
from engine.log import Log, LogAway, LogFull
from engine.records import Append
from engine.redeeming import OURS
from engine.settings import Settings
from engine.shards import partition
from engine.store import Position, ShardState
from engine.stores.redis import keys as keys_of
from engine.versions import MADE, NO_MODEL, Models
from features import events
from features.customer import Customer
from features.values import BadEvent

WAIT_SECONDS: Final = 0.3
LOOK_SECONDS, LOOK_SECONDS_MAX = 0.003, 0.02
ID_MAX: Final = 202  # an id and its prefix
log = logging.getLogger(__name__)
_STATE: Final = msgspec.msgpack.Decoder(ShardState)


class Looked(NamedTuple):
    """A customer as he was committed last, where he is now, and his shard as of that moment."""

    customer: Customer
    blob: bytes | None
    shard: int
    state: ShardState
    next_offset: int

    def again(self) -> Customer:
        """The same customer, for a decision that nobody keeps."""
        return Customer.decode(self.customer.cid, self.blob, REGISTRY)


class Asking:
    """The parts that calls about a customer stand on."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        log: Log,
        clock: Callable[[], int],
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings
        self.log = log
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._appends = Appends(log)
        self._clock = clock
        self._refresh = refresh

    async def now(self) -> int:
        """The door's time, ms UTC."""
        if self._refresh:
            await self._refresh()
        return self._clock()

    async def look(self, cid: str) -> Looked:
        """The customer that `cid` stands for now: who has moved is found where he is."""
        for _ in range(PATH_MAX + 1):
            shard = partition(cid.encode(), self.settings.shards)
            k = keys_of(shard)
            position, state, blob = await self._redis.mget(
                k["next"], k["shard"], k["customer"] + cid
            )
            customer = Customer.decode(cid, blob, REGISTRY)
            moved_to = memory(customer).identity.moved_to
            if not moved_to:
                break
            cid = moved_to
        stands = _STATE.decode(state) if state else ShardState()
        offset = Position.parse(position).offset
        return Looked(customer, blob, shard, stands, offset)

    async def body(self, kind: str, digest: str) -> bytes | None:
        """What is kept under its hash: a rule book, a model."""
        found: bytes | None = await self._redis.get(f"laike:{kind}:{digest}")
        return found

    async def models(self, digest: str) -> Models:
        """The scorers of a version; none where they cannot be had: a score is missing then."""
        if not digest:
            return {}
        try:
            return await MADE.of(
                digest, self.settings.secret, lambda name: self.body("model", name)
            )
        except NO_MODEL as error:
            log.warning("model %s refused: %s", digest[:12], error)
            return {}

    def name(self, call: str, key: str, about: str) -> str:
        """The name of a call: its own; with an Idempotency-Key the same for the same call again."""
        if not key:
            return uuid.uuid4().hex
        told = f"call {call} {key} {about}".encode("utf-8", "replace")
        return hmac.new(self.settings.secret, told, hashlib.sha256).hexdigest()[:32]

    def record(self, cid: str, what: str, given: dict[str, Any], name: str, at: int) -> Append:
        """The record of a call: an event of the customer, from us."""
        field = "userId" if cid.startswith("u:") else "anonymousId"
        call = {
            "type": "track", "event": what, "messageId": name, field: cid[2:], "timestamp": at,
            "properties": given,
        }  # fmt: skip
        try:
            event = events.parse(call, source=OURS, received_at=at)
            key, value = events.key(event), events.encode(event)
        except BadEvent as bad:
            raise Refused(400, bad.reason, bad.detail) from None
        except (ValueError, TypeError) as wrong:  # lone surrogates
            raise Refused(400, "unencodable", f"this is no text: {wrong}") from None
        return Append(partition(key, self.settings.shards), key, value, at)

    async def append(self, records: Sequence[Append]) -> None:
        """Have them durable."""
        try:
            await self._appends.add(records)
        except LogFull as full:
            raise Refused(429, "log_full", str(full), retry_after=full.retry_after) from None
        except LogAway as away:
            raise Refused(503, "log_away", str(away), retry_after=2) from None

    async def answer(self, cid: str, name: str, seconds: float = WAIT_SECONDS) -> Answer | None:
        """The answer to a call once it is committed; None when that takes longer."""
        until, pause = time.monotonic() + seconds, LOOK_SECONDS
        while True:
            found = noted((await self.look(cid)).customer, name)
            if found is not None and "ok" in found:
                return found
            if time.monotonic() + pause > until:
                return None
            await asyncio.sleep(pause)
            pause = min(LOOK_SECONDS_MAX, pause * 1.3)

    async def ask(
        self, cid: str, what: str, given: dict[str, Any], name: str, at: int
    ) -> Answer | None:
        """Append the record of a call and wait for its answer."""
        await self.append([self.record(cid, what, given, name, at)])
        return await self.answer(cid, name)


def cid_of(name: str) -> str:
    """The customer that a call names: an id of the shop's own, or one with its kind before it.

    >>> cid_of("alice"), cid_of("a:visitor-1")
    ('u:alice', 'a:visitor-1')
    """
    cid = name if name.startswith(("u:", "a:")) else f"u:{name}"
    try:
        cid.encode()
    except UnicodeEncodeError:
        cid = ""
    if not 2 < len(cid) <= ID_MAX:
        raise Refused(400, "bad_customer_id", "expected a customer's id, such as u:alice")
    return cid
