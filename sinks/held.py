"""All that is held of one customer, read from where it is: for an export, and for an address.

Must live here: finding the customer under any id of his, his rows, what is sealed, opened. Must
not: HTTP, files, writing anything. What is opened here is for him alone: nothing of it is logged.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from clickhouse_connect.driver.client import Client
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.identity import PATH_MAX
from engine.journal import REGISTRY, memory
from engine.keys import Key, Keys, opened
from engine.keystores import KeysAway
from engine.masterkey import MasterKeyError
from engine.shards import partition
from engine.stores.redis import keys as keys_of
from features import catalog
from features.contact import Contact
from features.customer import Customer
from sinks.channels import Channel, Later, Message, Result
from sinks.erase_tables import IDS_A_QUESTION, SILENT, personal_tables, text_marks

ROWS_MAX: Final = 100_000  # of a table; an export that reaches it says so
ADDRESS_OF: Final = {"email": "email", "sms": "phone", "push": "push", "wechat": "openid"}
_JSON: Final = ("traits", "properties", "context", "body")


class Person(NamedTuple):
    """A customer as he is stored, and every id he goes by."""

    customer: Customer
    ids: list[str]


async def person(redis: Redis, shards: int, cid: str) -> Person:
    """The customer that `cid` stands for now: who has moved is found where he is."""
    store: Any = redis  # its stubs say bytes or str; ours decodes nothing
    asked = [cid]
    while True:
        at = asked[-1]
        blob = await store.get(keys_of(partition(at.encode(), shards))["customer"] + at)
        found = Customer.decode(at, blob, REGISTRY)
        identity = memory(found).identity
        if not identity.moved_to or identity.moved_to in asked or len(asked) > PATH_MAX:
            return Person(found, list(dict.fromkeys([at, *asked, *identity.aliases])))
        asked.append(identity.moved_to)


def contacts(customer: Customer, keys: Iterable[Key]) -> dict[str, Any]:
    """Kind -> the address in plain, of those that these keys open."""
    state: Contact = customer.state("contact")
    found = {}
    for kind, address in state.addresses.items():
        plain = opened(address.token, keys)
        if plain != address.token:
            found[kind] = {"address": plain, "told_at": address.at}
    return found


async def address(via: str, whom: Person, keys: Keys) -> str:
    """Where a message through `via` goes, "" when he has told nothing for it.

    Only keys of his own ids open it, so a token that somebody planted leads nowhere.
    """
    known = contacts(whom.customer, (await keys.known(whom.ids)).values())
    return str(known.get(ADDRESS_OF.get(via, via), {}).get("address", ""))


class Addressed:
    """A channel whose receiver is told where to send: `to` is the address, opened at the send."""

    def __init__(self, channel: Channel, redis: Redis, shards: int, keys: Keys) -> None:
        self._channel = channel
        self._redis = redis
        self._shards = shards
        self._keys = keys

    async def send(self, message: Message) -> Result:
        """See `Channel.send`."""
        try:
            whom = await person(self._redis, self._shards, message.cid)
            to = await address(message.via, whom, self._keys)
        except (RedisError, KeysAway, MasterKeyError) as away:
            why = f"the address cannot be had now: {type(away).__name__}"
            raise Later(why, unsent=True) from away
        return await self._channel.send(replace(message, to=to))

    async def close(self) -> None:
        """See `Channel.close`."""
        await self._channel.close()


def state_of(whom: Person, keys: Iterable[Key], now: int) -> dict[str, Any]:
    """Contacts, features and facets of a customer at `now` (ms), as JSON values."""
    customer = whom.customer
    features = {name: catalog.value(customer, name, now) for name in sorted(catalog.FEATURES)}
    states = {
        name: msgspec.to_builtins(customer.state(name), str_keys=True)
        for name in sorted(customer.names())
        if name in customer.registry.facets
    }
    return {
        "customer_id": customer.cid,
        "ids": whom.ids,
        "contacts": contacts(customer, keys),
        "features": {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in features.items()
        },
        "state": opened(states, keys),
    }


def rows_of(client: Client, ids: list[str], keys: Iterable[Key]) -> dict[str, Any]:
    """His rows in every table, and whether these are all of them."""
    tables: dict[str, list[dict[str, Any]]] = {}
    wanted = {"ids": ids}
    for table in personal_tables(client):
        tables[table] = _rows(client, f"{table} FINAL WHERE cid IN {{ids:Array(String)}}", wanted)
    marks = [mark for cid in ids for mark in text_marks(cid)][:IDS_A_QUESTION]
    told = "quarantine FINAL WHERE multiSearchAny(body, {marks:Array(String)})"
    tables["quarantine"] = _rows(client, told, {"marks": marks})
    complete = all(len(rows) < ROWS_MAX for rows in tables.values())
    plain = {name: [_opened(row, keys) for row in rows] for name, rows in tables.items() if rows}
    return {"tables": plain, "complete": complete}


def _rows(client: Client, source: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    told = f"SELECT * FROM {source} LIMIT {ROWS_MAX}"  # noqa: S608 - names of our own tables
    found = client.query(told, parameters=given, settings=SILENT, query_tz="UTC")
    return list(found.named_results())


def _opened(row: dict[str, Any], keys: Iterable[Key]) -> dict[str, Any]:
    plain = dict(row)
    for name in _JSON:
        if isinstance(plain.get(name), str) and plain[name].startswith("{"):
            try:
                plain[name] = opened(orjson.loads(plain[name]), keys)
            except orjson.JSONDecodeError:  # a body that was cut short
                continue
    return plain
