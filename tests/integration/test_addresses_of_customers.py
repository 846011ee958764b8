"""Where a message goes is opened at the send, for the receiver that may know it, and only there."""

from collections.abc import AsyncIterator

import orjson
import pytest
from redis.asyncio import Redis

from engine.journal import REGISTRY, Identity, write
from engine.keys import Keys
from engine.keystores import KeysAway, SqliteKeys
from engine.masterkey import MasterKey
from engine.shards import partition
from engine.stores.redis import keys as keys_of
from features.contact import Address, Contact
from features.customer import Customer
from sinks.channels import Later, Message, Sent
from sinks.channels_setup import read_plan
from sinks.held import Addressed

SHARDS = 4
MESSAGE = Message("d1", "notify:hello", "rule", "a:visitor", "email", "hello", to="customer")


class Receiver:
    """A channel that keeps what it was given."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    async def send(self, message: Message) -> Sent:
        self.got.append(message)
        return Sent()

    async def close(self) -> None:
        return


@pytest.fixture
async def redis(redis_empty) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_empty.url) as client:
        yield client


@pytest.fixture
async def keys(tmp_path) -> AsyncIterator[Keys]:
    made = Keys(SqliteKeys(tmp_path / "k"), MasterKey(tmp_path / "m", make=True), b"s" * 16)
    yield made
    await made.close()


async def store(redis, cid, identity, **tokens):
    customer = Customer.decode(cid, None, REGISTRY)
    write(customer).identity = identity
    addresses = {kind: Address(1, token) for kind, token in tokens.items()}
    customer.put("contact", Contact(addresses))
    where = keys_of(partition(cid.encode(), SHARDS))["customer"] + cid
    await redis.set(where, customer.encode())


async def test_the_address_is_that_of_whom_he_moved_to(redis, keys):
    sealed = (await keys.of(["a:visitor"]))["a:visitor"].seal("al@shop.example")
    await store(redis, "a:visitor", Identity(moved_to="u:al"))
    await store(redis, "u:al", Identity(aliases=["a:visitor"]), email=sealed)
    receiver = Receiver()
    await Addressed(receiver, redis, SHARDS, keys).send(MESSAGE)
    assert receiver.got[0].to == "al@shop.example"
    await keys.destroy(["a:visitor"])
    await Addressed(receiver, redis, SHARDS, keys).send(MESSAGE)
    assert receiver.got[1].to == ""


async def test_a_token_planted_from_another_customer_opens_nothing(redis, keys):
    theirs = (await keys.of(["u:other", "a:visitor"]))["u:other"].seal("other@shop.example")
    await store(redis, "a:visitor", Identity(birth=b"12345678"), email=theirs)
    receiver = Receiver()
    await Addressed(receiver, redis, SHARDS, keys).send(MESSAGE)
    assert receiver.got[0].to == ""


async def test_without_the_keys_a_message_waits(redis, keys):
    async def away(*_):
        raise KeysAway("gone fishing")

    keys.store.get = away
    await store(redis, "a:visitor", Identity(birth=b"12345678"))
    with pytest.raises(Later, match="KeysAway"):
        await Addressed(Receiver(), redis, SHARDS, keys).send(MESSAGE)


def test_a_receiver_is_told_addresses_only_where_the_file_says_so(tmp_path):
    targets = {
        "crm": {"url": "https://crm.example/hook", "addresses": True},
        "other": {"url": "https://other.example/hook"},
    }
    (tmp_path / "channels.json").write_bytes(orjson.dumps({"targets": targets}))
    plan = read_plan(tmp_path)
    assert [plan.tells_addresses(name) for name in ("crm", "other", "log")] == [True, False, False]
