"""A customer's rights as calls: all that is held of him, and its erasure.

Must live here: these calls, who may make them, how an erasure is asked for. Must not: what is
erased where (engine.erasure, sinks.erase). Both calls are entries of the audit log, by pseudonym.
A trusted source's write key may ask, as it may for orders and consent, and so may an admin.
"""

import asyncio
import hashlib
import hmac
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field
from redis.asyncio import Redis

from api.asking import ID_MAX, cid_of
from api.callers import CALLER_ERRORS, server_only
from api.errors import EVERYWHERE, told
from api.refusals import Refused
from api.sources import Sources
from engine.audit import pseudonym, record_async
from engine.erasure import ERASURE
from engine.keys import Keys
from engine.keystores import KeysAway
from engine.log import Log, LogAway
from engine.records import Append
from engine.settings import Settings
from engine.shards import partition
from features import events
from sinks import held
from sinks.erase import REPORT, REPORT_SECONDS


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """The parts that these calls stand on."""

    settings: Settings
    redis: Redis
    log: Log
    keys: Keys
    connect: Callable[[], Client]

    async def ask_erasure(self, cid: str, proof: str, who: str, now: int, name: str = "") -> str:
        """Append the record of an erasure, at `now` (ms); its id. Raises LogAway.

        `proof` says how it was made sure that the customer wants it; a hash of it is kept.
        """
        name = name or uuid.uuid4().hex
        secret = self.settings.secret
        seal = hmac.new(secret, b"proof " + proof.encode(), hashlib.sha256).hexdigest()
        await record_async(
            self.redis, secret, who, "customer.erase",
            customer=pseudonym(secret, cid), erasure=name, proof=seal,
        )  # fmt: skip
        status = {"erasure_id": name, "status": "accepted", "requested_at": now, "proof": seal}
        key = REPORT + name
        await self.redis.set(key, orjson.dumps(status), ex=REPORT_SECONDS, nx=True)
        at = (await self.report(name) or status).get("requested_at", now)  # asked for again: then
        field = "userId" if cid.startswith("u:") else "anonymousId"
        call = {
            "type": "track", "event": ERASURE, "messageId": name, field: cid[2:], "timestamp": at,
            "properties": {"erasure_id": name},
        }  # fmt: skip
        event = events.parse(call, source="laike", received_at=now)
        where = events.key(event)
        record = Append(partition(where, self.log.shards), where, events.encode(event), now)
        await self.log.append([record])
        return name

    async def report(self, name: str) -> dict[str, Any] | None:
        """How an erasure stands; None when there is none of this id."""
        found = await self.redis.get(REPORT + name)
        return orjson.loads(found) if found else None

    async def export(self, cid: str, who: str, now: int) -> dict[str, Any]:
        """All that is held of a customer; `now` (ms) is when his features are read."""
        secret = self.settings.secret
        customer = pseudonym(secret, cid)
        await record_async(self.redis, secret, who, "customer.export", customer=customer)
        whom = await held.person(self.redis, self.settings.shards, cid)
        keys = list((await self.keys.known(whom.ids)).values())
        state = held.state_of(whom, keys, now)
        rows = await asyncio.to_thread(self._rows, whom.ids, keys)
        return {**state, "at": now, **rows}

    def _rows(self, ids: list[str], keys: list[Any]) -> dict[str, Any]:
        client = self.connect()
        try:
            return held.rows_of(client, ids, keys)
        finally:
            client.close()


class Asked(BaseModel):
    """An erasure that is asked for."""

    customer_id: str = Field(min_length=1, max_length=ID_MAX, description="alice, u:alice, a:42")
    proof: str = Field(
        min_length=1, max_length=1_000, description="How it was made sure; kept as a hash"
    )


class Accepted(BaseModel):
    """Where to ask how it stands."""

    erasure_id: str
    status: str
    status_url: str


def router(
    privacy: Privacy,
    sources: Sources,
    clock: Callable[[], int],
    refresh: Callable[[], Awaitable[None]] | None = None,
) -> APIRouter:
    """The three calls."""
    routes = APIRouter(prefix="/v1", tags=["privacy"], responses=EVERYWHERE | CALLER_ERRORS)

    who = server_only(sources)

    async def now() -> int:
        if refresh:
            await refresh()
        return clock()

    @routes.post("/erasures", status_code=202)
    async def erase(
        asked: Asked,
        caller: Annotated[str, who],
        idempotency_key: Annotated[str, Header(max_length=200)] = "",
    ) -> Accepted:
        """Erase all that is held of a customer, under every id he goes by."""
        cid = cid_of(asked.customer_id)
        name = _name(privacy.settings.secret, idempotency_key, cid)
        try:
            name = await privacy.ask_erasure(cid, asked.proof, caller, await now(), name)
        except LogAway as away:
            raise Refused(503, "log_away", str(away), retry_after=2) from None
        return Accepted(erasure_id=name, status="accepted", status_url=f"/v1/erasures/{name}")

    @routes.get("/erasures/{name}", responses=told({404: "No erasure has this id."}))
    async def erasure(name: str, _: Annotated[str, who]) -> dict[str, Any]:
        """How an erasure stands: what was erased where, and what it waits for."""
        found = await privacy.report(name)
        if found is None:
            raise Refused(404, "not_found", "no erasure has this id")
        return found

    @routes.get("/customers/{name}/export")
    async def export(name: str, caller: Annotated[str, who]) -> Response:
        """All that is held of a customer, contacts in plain."""
        cid = cid_of(name)
        try:
            found = await privacy.export(cid, caller, await now())
        except (ClickHouseError, KeysAway) as away:
            kind = type(away).__name__
            raise Refused(503, "store_away", f"a store is away: {kind}", retry_after=5) from None
        body = orjson.dumps(found, default=str, option=orjson.OPT_NON_STR_KEYS)
        headers = {"cache-control": "no-store"}
        return Response(body, media_type="application/json", headers=headers)

    return routes


def _name(secret: bytes, key: str, cid: str) -> str:
    """The same call sent again is the same erasure."""
    if not key:
        return ""
    return hmac.new(secret, f"erasure {key} {cid}".encode(), hashlib.sha256).hexdigest()[:32]
