"""What is asked again at the send: who withdrew his consent meanwhile, or was erased, gets nothing."""

import asyncio

import orjson
import pytest
import redis.asyncio as aioredis

from engine.erasure import stone, tombstone
from engine.journal import REGISTRY, Identity, write
from engine.shards import partition
from engine.stores.redis import keys
from features import catalog
from features.customer import Customer
from sinks.channels import Later, Message, Sent
from sinks.channels_sink import ChannelSink
from sinks.channels_standing import Standing, Stands
from sinks.channels_trying import Trying
from sinks.relay_loop import Tally
from sinks.rendering import Rendering
from sinks.tries import Tries
from tests.integration.relay_parts import NOW, commit, decision, outcomes, running
from tests.made_events import event
from tests.patience import until

SHARDS = 3
SECRET = b"the installation's"


@pytest.fixture
async def redis(redis_empty):
    client = aioredis.Redis.from_url(redis_empty.url)
    yield client
    await client.aclose()


class Receiver:
    """A channel that notes what it was sent; `refusing` makes it say later."""

    def __init__(self):
        self.keys = []
        self.tries = 0
        self.refusing = False

    async def send(self, message):
        self.tries += 1
        if self.refusing:
            raise Later("status 503")
        self.keys.append(message.decision_id)
        return Sent()

    async def close(self):
        pass


async def store(redis, cid, *events, **identity):
    """A customer as a commit would leave him."""
    customer = Customer.decode(cid, None, REGISTRY)
    for one in events:
        catalog.apply(customer, one, lambda *_: None)
    write(customer).identity = Identity(**identity)
    shard = partition(cid.encode(), SHARDS)
    await redis.set(keys(shard)["customer"] + cid, customer.encode())


def agreed(*channels, **more):
    return event("Consent Updated", channels=list(channels), **more)


def left(channel):
    return event("Message Unsubscribed", channel=channel)


async def shop(redis, text):
    body = orjson.dumps({"shop.yaml": text})
    await redis.mset({"laike:rules:abc": body, "laike:rules:wanted": "abc"})


def sink(redis, channel, *, record=False):
    tally, standing = Tally("channel-x"), Standing(redis, SHARDS, SECRET)
    trying = Trying(channel, tally, standing, Rendering(redis), Tries(redis), record_clock=record)
    return ChannelSink("channel-x", trying, lambda _: True, redis, SHARDS)


async def told(redis, count=1):
    rows = await outcomes(redis, SHARDS)
    if len(rows) < count:
        return None
    return {row["cid"]: f"{row['fact']} {row['reason']}".strip() for row in rows}


async def sent(redis, *decisions, record=False):
    """What came of these decisions, by customer, and what the receiver got."""
    channel = Receiver()
    async with running(sink(redis, channel, record=record).run):
        await commit(redis, 0, 0, 9, decisions=list(decisions))
        found = await until(lambda: told(redis, len(decisions)))
    assert len(channel.keys) == sum(fate == "sent" for fate in found.values())
    return found


@pytest.mark.parametrize("record", [False, True])
async def test_consent_is_asked_again_whatever_was_decided(redis, record):
    await store(redis, "u:yes", agreed("push"))
    await store(redis, "u:no", agreed("push"), agreed("sms"))
    await store(redis, "u:left", left("push"))
    await store(redis, "u:other", left("sms"))
    await store(redis, "u:bounced", event("Message Bounced", channel="push"))
    await store(redis, "u:silent")
    names = ["yes", "no", "left", "other", "bounced", "silent", "unknown"]
    found = await sent(
        redis, *(decision(n, cid=f"u:{name}") for n, name in enumerate(names)), record=record
    )
    assert found == {
        "u:yes": "sent", "u:no": "failed consent", "u:left": "failed consent", "u:other": "sent",
        "u:bounced": "failed bounced", "u:silent": "sent", "u:unknown": "sent",
    }  # fmt: skip


async def test_a_service_message_needs_no_agreement_but_heeds_a_refusal(redis):
    await store(redis, "u:1", agreed("sms"))
    await store(redis, "u:2", left("push"))
    found = await sent(redis, *(decision(n, cid=f"u:{n}", purpose="service") for n in (1, 2)))
    assert found == {"u:1": "sent", "u:2": "failed consent"}


async def test_where_the_shop_says_opt_in_who_was_never_asked_gets_nothing(redis):
    await shop(redis, "consent: opt-in\n")
    await store(redis, "u:1", agreed("push"))
    await store(redis, "u:2")
    found = await sent(redis, *(decision(n, cid=f"u:{n}") for n in (1, 2, 3)))
    assert found == {"u:1": "sent", "u:2": "failed consent", "u:3": "failed consent"}


async def test_who_has_moved_is_asked_where_he_is_now(redis):
    await store(redis, "a:1", moved_to="a:2")
    await store(redis, "a:2", moved_to="u:3")
    await store(redis, "u:3", left("push"))
    await store(redis, "a:5", moved_to="a:6")
    await store(redis, "a:6", moved_to="a:5")  # a circle, while its letters are under way
    found = await sent(redis, decision(1, cid="a:1"), decision(2, cid="a:5"))
    assert found == {"a:1": "failed consent", "a:5": "sent"}


@pytest.mark.parametrize("record", [False, True])
async def test_who_was_erased_meanwhile_gets_nothing(redis, record):
    """One of whom nothing is known since, one who returned, one who was erased before."""
    at = NOW + 4  # when each of these was decided
    shard = partition(b"u:gone", SHARDS)
    name = keys(shard)["customer"] + tombstone(SECRET, "u:gone")
    await redis.set(name, stone(at + 10, 1))
    await store(redis, "u:back", agreed("push"), erased_at=at + 10, erasures=1)
    await store(redis, "u:long-ago", agreed("push"), erased_at=at - 10, erasures=1)
    await store(redis, "a:moved", moved_to="u:gone")
    made = (
        decision(n, cid=cid, at=NOW + 1, latency_ms=3)
        for n, cid in enumerate(("u:gone", "u:back", "u:long-ago", "a:moved"))
    )
    assert await sent(redis, *made, record=record) == {
        "u:gone": "failed erased", "u:back": "failed erased", "u:long-ago": "sent",
        "a:moved": "failed erased",
    }  # fmt: skip


async def test_who_leaves_while_the_receiver_is_away_gets_nothing(redis, monkeypatch):
    monkeypatch.setattr("sinks.channels_trying.back_off", lambda: iter([0.02] * 1000))
    channel = Receiver()
    channel.refusing = True

    async def tried():
        return channel.tries > 2

    async with running(sink(redis, channel).run):
        await store(redis, "u:1", agreed("push"))
        await commit(redis, 0, 0, 1, decisions=[decision(1, cid="u:1")])
        await until(tried)
        await store(redis, "u:1", left("push"))
        assert await until(lambda: told(redis)) == {"u:1": "failed consent"}
        channel.refusing = False
    assert channel.keys == []


async def test_messages_that_leave_together_share_a_read(redis, monkeypatch):
    for n in range(50):
        await store(redis, f"u:{n}", agreed("push"))
    standing = Standing(redis, SHARDS, SECRET)
    asked = []
    blobs = standing._blobs

    async def counting(cids):
        asked.append(len(cids))
        return await blobs(cids)

    monkeypatch.setattr(standing, "_blobs", counting)
    messages = [
        Message(f"{n}", "n", "r", f"u:{n}", "push", "t", purpose="marketing") for n in range(50)
    ]
    assert set(await asyncio.gather(*map(standing.of, messages))) == {Stands("")}
    assert asked == [50]


async def test_a_store_that_is_away_is_a_reason_to_wait_not_to_send(redis, monkeypatch):
    channel = Receiver()
    one = sink(redis, channel)
    blobs, tries = one.trying.standing._blobs, []

    async def away(cids):
        tries.append(cids)
        if len(tries) < 3:
            raise aioredis.ConnectionError("away")
        return await blobs(cids)

    monkeypatch.setattr(one.trying.standing, "_blobs", away)
    async with running(one.run):
        await commit(redis, 0, 0, 1, decisions=[decision(1)])
        assert await until(lambda: told(redis)) == {"u:1": "sent"}
    assert len(tries) == 3
