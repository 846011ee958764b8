"""A channel at work against a real receiver: signed, repeated until taken, told exactly once."""

import asyncio
import time

import pytest
from standardwebhooks import Webhook

from engine.ending import end
from sinks.channels import Failed, Later, Sent
from sinks.channels_sink import ChannelSink, settled_key
from sinks.channels_standing import Standing
from sinks.channels_trying import Trying
from sinks.logchannel import LogChannel
from sinks.outbox import EntryId, Reader
from sinks.relay_loop import Tally
from sinks.rendering import Rendering
from sinks.tries import Tries
from sinks.webhook import WebhookChannel
from tests.integration.relay_parts import (
    NOW,
    Receiver,
    commit,
    decision,
    outcomes,
    running,
)
from tests.patience import until

SHARDS = 2
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def receiver():
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


def sink(redis, channel, name="channel-x", wanted=lambda _: True, **given) -> ChannelSink:
    standing, rendering = Standing(redis, SHARDS, b"secret"), Rendering(redis)
    trying = Trying(channel, Tally(name), standing, rendering, Tries(redis), **given)
    return ChannelSink(name, trying, wanted, redis, SHARDS)


@pytest.fixture
async def webhook():
    """Make webhook channels, closed when the test is over."""
    made = []

    def make(receiver: Receiver) -> WebhookChannel:
        made.append(WebhookChannel(receiver.url, SECRET, private=True))
        return made[-1]

    yield make
    for channel in made:
        await channel.close()


async def facts(redis) -> dict[str, str]:
    """Decision number -> what came of it, each told once."""
    rows = await outcomes(redis, SHARDS)
    found = {str(int(row["decision_id"])): f"{row['fact']} {row['reason']}".strip() for row in rows}
    assert len(found) == len(rows)
    return found


async def told(redis, count: int):
    found = await facts(redis)
    return found if len(found) >= count else None


async def at_end(redis, name="channel-x") -> bool:
    reader = Reader(redis, SHARDS)
    ends, cursors = await reader.ends(), await reader.cursors(name)
    return all(ends[shard] == cursors[shard] for shard in range(SHARDS))


async def test_a_message_is_posted_signed_and_told(redis, receiver, webhook):
    async with running(sink(redis, webhook(receiver)).run):
        await commit(redis, 1, 0, 1, decisions=[decision(5)])
        await until(lambda: told(redis, 1))
        await until(lambda: at_end(redis))
    [(headers, body)] = receiver.posts
    said = Webhook(SECRET).verify(body, headers)
    key = f"{5:026d}:notify:hello"
    assert said["data"]["key"] == headers["webhook-id"] == headers["idempotency-key"] == key
    assert said["data"]["coupons"][0]["code"] == "C-5"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    [row] = await outcomes(redis, SHARDS)
    assert row == {
        "decision_id": f"{5:026d}", "action": "notify:hello", "fact": "sent", "at": NOW + 8,
        "cid": "u:1", "rule": "cart-rescue", "channel": "push", "reason": "", "version": 5,
    }  # fmt: skip


async def test_a_busy_receiver_is_tried_until_it_takes_everything(redis, receiver, webhook):
    receiver.answer = lambda _key, number: ((503, {}, 0), (429, {}, 0), (200, {}, 0))[
        min(number, 3) - 1
    ]
    async with running(sink(redis, webhook(receiver)).run):
        await commit(redis, 0, 0, 5, decisions=[decision(n) for n in range(5)])
        found = await until(lambda: told(redis, 5))
    assert set(found.values()) == {"sent"}
    assert set(receiver.tries.values()) == {3}
    assert len(receiver.posts) == 5


async def test_retry_after_is_honoured_for_the_whole_channel(redis, receiver, webhook):
    receiver.answer = lambda _key, number: (
        (429, {"Retry-After": "1"}, 0) if number == 1 else (200, {}, 0)
    )
    async with running(sink(redis, webhook(receiver)).run):
        began = time.monotonic()
        await commit(redis, 0, 0, 1, decisions=[decision(1)])
        await until(lambda: told(redis, 1))
        assert time.monotonic() - began > 0.95


async def test_what_the_receiver_refuses_for_good_failed(redis, receiver, webhook):
    receiver.answer = lambda key, _n: (
        400 if key.startswith(f"{1:026d}") else 302,
        {"Location": "/x"},
        0,
    )
    async with running(sink(redis, webhook(receiver)).run):
        await commit(redis, 0, 0, 2, decisions=[decision(1), decision(2)])
        found = await until(lambda: told(redis, 2))
    assert found == {"1": "failed status 400", "2": "failed status 302"}


async def test_a_dead_receiver_comes_back_and_nothing_is_lost(redis, receiver, webhook):
    await receiver.stop()
    one = sink(redis, webhook(receiver))
    async with running(one.run):
        await commit(redis, 0, 0, 3, decisions=[decision(n) for n in range(3)])
        await until(lambda: _failing(one))
        assert await outcomes(redis, SHARDS) == []
        await receiver.start()
        found = await until(lambda: told(redis, 3))
    assert set(found.values()) == {"sent"}


async def _failing(one: ChannelSink) -> bool:
    return one.tally.failing > 0


async def test_a_slow_message_holds_back_the_cursor_and_not_the_others(redis, receiver, webhook):
    receiver.answer = lambda key, _n: (200, {}, 1.0 if key.startswith(f"{0:026d}") else 0)
    async with running(sink(redis, webhook(receiver)).run):
        for number in range(4):
            await commit(redis, 0, number, number + 1, decisions=[decision(number)])
        found = await until(lambda: told(redis, 3))
        assert set(found) == {"1", "2", "3"}
        assert (await Reader(redis, SHARDS).cursors("channel-x"))[0] == EntryId(0, 0)
        assert await redis.scard(settled_key(0, "channel-x")) == 3
        await until(lambda: told(redis, 4))
        await until(lambda: at_end(redis))
        assert await redis.scard(settled_key(0, "channel-x")) == 0


async def test_after_a_crash_what_was_settled_is_not_sent_again(redis, receiver, webhook):
    receiver.answer = lambda key, _n: (200, {}, 30.0 if key.startswith(f"{0:026d}") else 0)
    for number in range(6):
        await commit(redis, 0, number, number + 1, decisions=[decision(number)])
    task = asyncio.create_task(sink(redis, webhook(receiver)).run(asyncio.Event()))
    await until(lambda: told(redis, 5))
    await end([task])
    receiver.answer = lambda _key, _n: (200, {}, 0)
    async with running(sink(redis, webhook(receiver)).run):
        found = await until(lambda: told(redis, 6))
        await until(lambda: at_end(redis))
    assert set(found.values()) == {"sent"}
    assert sorted(receiver.tries.values()) == [1, 1, 1, 1, 1, 2]
    assert await redis.scard(settled_key(0, "channel-x")) == 0


async def test_what_is_too_old_is_not_sent(redis, receiver, webhook):
    past = round(time.time() * 1000) - 1
    async with running(sink(redis, webhook(receiver)).run):
        await commit(redis, 0, 0, 1, decisions=[decision(1, not_after=past)])
        assert await until(lambda: told(redis, 1)) == {"1": "failed expired"}
    assert (await outcomes(redis, SHARDS))[0]["at"] == past
    assert not receiver.tries


async def test_in_record_time_a_message_is_as_old_as_its_decision(redis, receiver, webhook):
    """The world's clock runs ahead of the sending: that must not decide what is sent."""
    async with running(sink(redis, webhook(receiver), record_clock=True).run):
        await commit(redis, 0, 0, 1, decisions=[decision(1, not_after=NOW + 4)])
        await commit(redis, 0, 1, 5, decisions=[decision(2, not_after=NOW + 4)])
        assert await until(lambda: told(redis, 2)) == {"1": "sent", "2": "failed expired"}


async def test_a_message_that_breaks_the_receiver_does_not_hold_the_channel_for_ever(
    redis, monkeypatch
):
    monkeypatch.setattr("sinks.channels_trying.back_off", lambda: iter([0.01] * 50))

    class Fragile:
        async def send(self, message):
            if message.decision_id == f"{1:026d}":
                raise Later("status 500", answered=True)
            return Sent()

        async def close(self):
            pass

    async with running(sink(redis, Fragile()).run):
        await commit(redis, 0, 0, 1, decisions=[decision(1)])
        for number in range(2, 30):
            await commit(redis, 0, number - 1, number, decisions=[decision(number)])
            await asyncio.sleep(0.01)
        found = await until(lambda: told(redis, 29))
        await until(lambda: at_end(redis))
    assert found.pop("1") == "failed given up: status 500"
    assert set(found.values()) == {"sent"}


async def test_a_fault_of_ours_in_a_channel_is_told_and_tried_again(redis):
    class Broken:
        tries = 0

        async def send(self, _message):
            self.tries += 1
            if self.tries == 1:
                raise KeyError("ours")
            return Failed("no")

        async def close(self):
            pass

    one = sink(redis, Broken())
    async with running(one.run):
        await commit(redis, 0, 0, 1, decisions=[decision(1)])
        assert await until(lambda: told(redis, 1)) == {"1": "failed no"}
    assert "KeyError" in one.tally.last_error


async def test_a_dead_channel_holds_up_no_other(redis, receiver, webhook, tmp_path):
    await receiver.stop()
    log = LogChannel(tmp_path / "sent.jsonl")
    dead = sink(redis, webhook(receiver), "channel-crm", lambda message: message.via == "push")
    alive = sink(redis, log, "channel-log", lambda message: message.via == "sms")
    sms = {**decision(2)["actions"][1], "channel": "sms"}
    async with running(dead.run, alive.run):
        await commit(redis, 0, 0, 2, decisions=[decision(1), decision(2, actions=[sms])])
        assert await until(lambda: told(redis, 1)) == {"2": "sent"}
        await until(lambda: at_end(redis, "channel-log"))
        assert not await at_end(redis, "channel-crm")
    assert len((tmp_path / "sent.jsonl").read_bytes().splitlines()) == 1


async def test_many_messages_are_told_once_each_across_kills(redis, receiver, webhook, tmp_path):
    for number in range(200):
        await commit(redis, number % 2, number, number + 1, decisions=[decision(number)])
    for pause in (0.01, 0.02, 0.03, 0.05):
        task = asyncio.create_task(sink(redis, webhook(receiver)).run(asyncio.Event()))
        await asyncio.sleep(pause)
        await end([task])
    async with running(sink(redis, webhook(receiver)).run):
        await until(lambda: at_end(redis))
    rows = await outcomes(redis, SHARDS)
    assert len({row["decision_id"] for row in rows}) == 200
    assert {(row["fact"], row["at"] - NOW - int(row["decision_id"])) for row in rows} == {
        ("sent", 3)
    }
    assert len({headers["webhook-id"] for headers, _ in receiver.posts}) == 200
    repeats = len(receiver.posts) - 200
    assert repeats <= 4 * 16, "only what was in flight at a kill is sent again"
