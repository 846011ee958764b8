"""Whether a message may still leave, asked in the moment it would.

Must live here: how the customer stands now, and what there is against sending to him. Must not:
sending, the gates of a decision (engine/acting.py asks the same there). Between a decision and its
message lie a queue, retries, a receiver that was away for hours: who withdrew his consent or was
erased meanwhile gets nothing, and the message is settled as `failed` with the reason.

Messages that are about to leave at once share a read: one MGET a shard, and one more for each id
that has moved on. It reads what is committed now, in record time too.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis

from engine import switches
from engine.erasure import tombstone
from engine.journal import REGISTRY, memory
from engine.shards import partition
from engine.stores.redis import keys
from features import consent
from features.customer import Customer
from rules.load import book_from_sources
from rules.model import Shop
from sinks.channels import NOTIFY, Message

MOVES_MAX = 32  # from id to id; engine/identity.py lets a path grow no longer
RULES_WANTED = "laike:rules:wanted"
SHOP = "shop.yaml"


class Stands(NamedTuple):
    """What there is against sending to a customer, "" for nothing, and the language he reads."""

    against: str
    language: str = ""


class Standing:
    """How customers stand, for the messages of all channels; `secret` finds the tombstones."""

    def __init__(self, redis: Redis, shards: int, secret: bytes) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._shards = shards
        self._secret = secret
        self._waiting: list[tuple[Message, asyncio.Future[Stands]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._stopped: tuple[str, ...] = ()
        self._shop = Shop()
        self._shop_of = b""  # the rules' version that it is of

    async def of(self, message: Message) -> Stands:
        """Whether this message may be sent now, and in what language. Raises what Redis raises."""
        answer: asyncio.Future[Stands] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        await asyncio.sleep(0)  # one turn of the loop: who is about to send comes along
        while asked := self._waiting:
            self._waiting = []
            try:
                await self._read_shop()
                found = await self.customers({message.cid for message, _ in asked})
            except Exception as error:  # noqa: BLE001 - each message that waits gets it
                _answer(asked, error)
                continue
            for message, answer in asked:
                if not answer.done():
                    customer = found[message.cid]
                    why = self._killed(message) or reason_against(message, customer, self._shop)
                    answer.set_result(Stands(why, customer.state("language").code))
        self._asking = None

    async def customers(self, cids: Iterable[str]) -> dict[str, Customer]:
        """The customers as they are now, by the id asked for: who has moved is read where he is."""
        found: dict[str, Customer] = {}
        at = {cid: cid for cid in cids}
        for _ in range(MOVES_MAX):
            blobs = await self._blobs(sorted(set(at.values())))
            found |= {cid: Customer.decode(now, blobs[now], REGISTRY) for cid, now in at.items()}
            moved = {cid: memory(found[cid]).identity.moved_to for cid in at}
            at = {cid: to for cid, to in moved.items() if to}
            if not at:
                break
        return found

    async def _blobs(self, cids: list[str]) -> dict[str, bytes | None]:
        """What is stored of each: his blob, or his tombstone where there is none."""
        by_shard: dict[int, list[str]] = {}
        for cid in cids:
            by_shard.setdefault(partition(cid.encode(), self._shards), []).append(cid)
        pipe = self._redis.pipeline(transaction=False)
        for shard, names in by_shard.items():
            stones = [tombstone(self._secret, name) for name in names]
            pipe.mget([keys(shard)["customer"] + name for name in (*names, *stones)])
        found: dict[str, bytes | None] = {}
        for names, read in zip(by_shard.values(), await pipe.execute(), strict=True):
            pairs = zip(read[: len(names)], read[len(names) :], strict=True)
            found |= dict(zip(names, (blob or stone for blob, stone in pairs), strict=True))
        return found

    def _killed(self, message: Message) -> str:
        stopped = switches.is_killed(self._stopped, message.rule, message.purpose)
        return "killed" if stopped else ""

    async def _read_shop(self) -> None:
        """What the kill switch stops, and the shop's way of consent by the rules wanted now."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(RULES_WANTED)
        pipe.get(switches.WANTED)
        wanted, stopped = await pipe.execute()
        self._stopped, wanted = switches.read(stopped), wanted or b""
        if wanted == self._shop_of:
            return
        body = await self._redis.get(f"laike:rules:{wanted.decode()}")
        text = orjson.loads(body).get(SHOP) if body else None
        self._shop = book_from_sources({SHOP: text}).shop if text else Shop()
        self._shop_of = wanted


def reason_against(message: Message, customer: Customer, shop: Shop) -> str:
    """What stands against this message, "" for nothing; a further question is a line here.

    Who was erased and returned is another customer: what was decided before stays unsent.
    """
    if 0 < memory(customer).identity.erased_at >= message.log_time:
        return "erased"
    if message.kind != NOTIFY:
        return ""
    told = customer.state("consent")
    if message.via in consent.bounced(told, 0):
        return "bounced"
    if message.via in consent.unsubscribed(told, 0):
        return "consent"
    if message.purpose == "marketing":
        agreed = consent.marketing(told, 0)
        if (agreed is not None or shop.consent == "opt-in") and message.via not in (agreed or ()):
            return "consent"
    return ""


def _answer(asked: list[tuple[Message, asyncio.Future[Stands]]], error: Exception) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)
