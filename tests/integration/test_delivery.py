"""A message on its way through several channels: one success at most, whatever fails or dies."""

import asyncio
import time

import orjson
import pytest

from engine.ending import end
from engine.journal import REGISTRY, Identity, write
from engine.shards import partition
from engine.stores.redis import keys
from engine.switches import WANTED, text_of
from features import catalog
from features.customer import Customer
from features.events import decode, parse
from sinks.channels import Failed, Later, Message, Sent
from sinks.channels_sink import ChannelSink
from sinks.channels_standing import Standing
from sinks.channels_trying import Trying
from sinks.messages import again_body, messages_of
from sinks.outbox import (
    AGAIN,
    OUTBOX,
    OUTCOMES,
    Entry,
    EntryId,
    Reader,
    drained,
    stream_key,
)
from sinks.receipts import RECEIPTS, Receipts
from sinks.relay_loop import Loop, Tally
from sinks.rendering import Rendering
from sinks.tries import Tries
from tests.integration.relay_parts import commit, decision, outcomes, running
from tests.made_events import event
from tests.patience import until

SHARDS = 2
ALL = ["push", "wechat", "sms"]
CODES = ["C-1"]


class Receiver:
    """A channel that answers as told, by the number of the try, and notes what it took."""

    def __init__(self, *answers):
        self.answers = answers or (Sent(),)
        self.tries: dict[str, int] = {}
        self.took: list[Message] = []

    async def send(self, message):
        number = self.tries[message.key] = self.tries.get(message.key, 0) + 1
        await asyncio.sleep(0)
        answer = self.answers[min(number, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Sent):
            self.took.append(message)
        return answer

    async def close(self):
        pass


def sinks(redis, record=False, **channels):
    """Both sinks of each channel, as the relay composes them."""
    standing, rendering = Standing(redis, SHARDS, b"secret"), Rendering(redis)
    made = []
    for stream, suffix in ((OUTBOX, ""), (AGAIN, "-again")):
        for via, channel in channels.items():
            name = f"channel-{via}{suffix}"
            trying = Trying(
                channel, Tally(name), standing, rendering, Tries(redis), record_clock=record
            )
            made.append(
                ChannelSink(name, trying, lambda m, v=via: m.via == v, redis, SHARDS, stream)
            )
    return made


def message(number, via=ALL, **given):
    """A decision with a coupon and a message through these channels."""
    actions = decision(number)["actions"]
    told = {key: given.pop(key) for key in ("quiet", "optional", "reads", "with") if key in given}
    return decision(
        number, actions=[actions[0], actions[1] | {"via": via, "channel": via[0], **told}], **given
    )


async def told(redis, count):
    rows = await outcomes(redis, SHARDS)
    return rows if len(rows) >= count else None


async def receipts(redis):
    found = []
    for shard in range(SHARDS):
        for _, fields in await redis.xrange(stream_key(shard, OUTCOMES)):
            found += orjson.loads(fields[b"b"]).get(RECEIPTS, [])
    return found


def said(rows):
    return [(row["channel"], row["fact"], row["reason"]) for row in rows]


async def publish(redis, **files):
    texts = {f"templates/{name}.j2": text for name, text in files.items()}
    body = {"shop.yaml": "name: 来客小铺\nlanguages: [zh, en]\n", **texts}
    await redis.set("laike:rules:h", orjson.dumps(body))


async def store(redis, cid, *events):
    customer = Customer.decode(cid, None, REGISTRY)
    for one in events:
        catalog.apply(customer, one, lambda *_: None)
    write(customer).identity = Identity()
    await redis.set(keys(partition(cid.encode(), SHARDS))["customer"] + cid, customer.encode())


async def test_a_channel_that_fails_for_good_hands_over_to_the_next(redis):
    await store(redis, "u:1", event("Message Unsubscribed", channel="wechat"))
    push, wechat, sms = Receiver(Failed("status 410")), Receiver(), Receiver()
    made = sinks(redis, push=push, wechat=wechat, sms=sms)
    async with running(*(one.run for one in made)):
        await commit(redis, 0, 0, 1, decisions=[message(1)])
        rows = await until(lambda: told(redis, 3))
    assert said(rows) == [
        ("push", "failed", "status 410"), ("wechat", "failed", "consent"), ("sms", "sent", ""),
    ]  # fmt: skip
    assert {(row["decision_id"], row["action"]) for row in rows} == {(f"{1:026d}", "notify:hello")}
    assert (len(push.tries), len(wechat.tries), len(sms.tries)) == (1, 0, 1)
    assert push.tries.keys() == sms.tries.keys()
    assert await receipts(redis) == []
    assert await redis.smembers("{s0}:settled:channel-sms-again") == set()


@pytest.mark.parametrize(
    ("given", "codes"),
    [({}, CODES), ({"optional": True}, [])],
    ids=["it alone tells the code", "the coupon stands without it"],
)
async def test_what_no_channel_took_is_told_to_the_customers_log(redis, given, codes):
    nobody = Receiver(Failed("refused 550 5.1.1", bounced=True))
    made = sinks(redis, push=nobody, sms=Receiver(Failed("no address")))
    async with running(*(one.run for one in made)):
        await commit(redis, 0, 0, 1, decisions=[message(1, ["push", "sms"], **given)])
        rows = await until(lambda: told(redis, 2))
    assert said(rows) == [
        ("push", "failed", "refused 550 5.1.1"), ("sms", "failed", "no address"),
    ]  # fmt: skip
    bounced, failed, *voided = await receipts(redis)
    assert (bounced["event"], bounced["properties"]["channel"]) == ("Message Bounced", "push")
    assert (failed["event"], failed["properties"]["channel"]) == ("Message Failed", "sms")
    assert failed["properties"]["decision_id"] == f"{1:026d}"
    assert [(one["event"], one["properties"]["code"]) for one in voided] == [
        ("Coupon Voided", code) for code in codes
    ]
    assert len({one["id"] for one in (bounced, failed, *voided)}) == 2 + len(codes)


def pooled(*actions, number=1, via=("push",)):
    """A decision whose coupon's code is of a pool."""
    coupon, notify = message(number, [*via])["actions"]
    return message(number) | {"actions": [coupon | {"pool": "vip"}, notify, *actions]}


async def backed(redis):
    """Whether the code that is void may go back, where it was told."""
    found = [one for one in await receipts(redis) if one["event"] == "Coupon Voided"]
    return [one["properties"].get("unsent", False) for one in found]


LOST, BUSY = Later("ReadTimeout"), Later("ConnectError", unsent=True)


@pytest.mark.parametrize(
    ("push", "sms", "back"),
    [
        ([Failed("status 410")], [Failed("no address")], True),
        ([BUSY, Failed("status 410")], [Failed("no address")], True),
        ([LOST, Failed("status 410")], [Failed("no address")], False),
        ([Failed("status 410")], [LOST, Failed("status 410")], False),
    ],
    ids=["refused", "not reached, then refused", "who knows, then refused", "who knows, of sms"],
)
async def test_a_code_of_a_pool_may_go_back_if_no_try_can_have_arrived(redis, push, sms, back):
    made = sinks(redis, push=Receiver(*push), sms=Receiver(*sms))
    async with running(*(one.run for one in made)):
        await commit(redis, 0, 0, 1, decisions=[pooled(via=("push", "sms"))])
        await until(lambda: told(redis, 2))
    assert await backed(redis) == [back]


async def test_a_try_that_the_relay_died_in_may_have_arrived(redis):
    class Stopped(Receiver):
        async def send(self, message):
            await super().send(message)
            raise asyncio.CancelledError  # here it was killed

    one, *_ = sinks(redis, push=Stopped())
    (read,) = messages_of(Entry(0, EntryId(1, 0), orjson.dumps({"decisions": [pooled()]})))
    with pytest.raises(asyncio.CancelledError):
        await one.trying.settle(read, asyncio.Event())
    await redis.set(WANTED, text_of(["rule:cart-rescue"]))
    async with running(*(one.run for one in sinks(redis, push=Receiver()))):
        await commit(redis, 0, 0, 1, decisions=[pooled(), pooled(number=2)])
        rows = await until(lambda: told(redis, 2))
    assert [row["reason"] for row in rows] == ["killed", "killed"]
    assert sorted(await backed(redis)) == [False, True]


async def test_a_code_of_a_pool_that_others_were_told_stays(redis):
    hook = {"kind": "webhook", "name": "webhook:crm", "hook": "crm", "body": {}}
    async with running(*(one.run for one in sinks(redis, push=Receiver(Failed("status 410"))))):
        await commit(redis, 0, 0, 1, decisions=[pooled(hook)])
        await until(lambda: told(redis, 1))
    assert await backed(redis) == [False]


async def test_a_code_that_two_messages_tell_is_given_back_by_neither(redis):
    coupon, notify = decision(1)["actions"]
    both = [coupon, notify, notify | {"name": "second", "via": ["sms"], "channel": "sms"}]
    made = sinks(redis, push=Receiver(Failed("no")), sms=Receiver())
    async with running(*(one.run for one in made)):
        await commit(redis, 0, 0, 1, decisions=[decision(1, actions=both)])
        await until(lambda: told(redis, 2))
    assert [one["event"] for one in await receipts(redis)] == ["Message Failed"]


async def test_receipts_are_events_of_the_customer_with_ids_of_their_own(redis, log):
    receipt = {"cid": "u:1", "event": "Message Failed", "id": "x:failed", "at": 1_780_000_000_000,
               "properties": {"channel": "sms", "decision_id": f"{1:026d}"}}  # fmt: skip
    await redis.xadd(stream_key(1, OUTCOMES), {b"b": orjson.dumps({RECEIPTS: [receipt] * 2})})
    loop = Loop(Receipts(log), redis, SHARDS, Tally(RECEIPTS))
    shard = partition(b"u:1", SHARDS)
    async with running(loop.run):
        records = await until(lambda: log.read(shard, 0, 9))
    assert [record.key for record in records] == [b"u:1"] * 2
    first, again = (decode(record.value) for record in records)
    assert first == again, "the engine drops the second by its id"
    assert (first.user_id, first.source, first.message_id) == ("1", "laike", "x:failed")
    customer = Customer.decode("u:1", None, REGISTRY)
    bounced = event("Message Bounced", channel="sms", kind="hard")
    catalog.apply(customer, bounced, lambda *_: None)
    assert catalog.value(customer, "consent.bounced", 0) == ["sms"]


async def test_a_code_that_nobody_was_told_is_voided_in_his_state_and_in_the_ledger(redis, log):
    rows = []
    customer = Customer.decode("u:1", None, REGISTRY)
    issued = event("Coupon Issued", code="C-1", off=5, expires_at=2_000_000_000_000)
    catalog.apply(customer, issued, lambda *_: None)
    assert catalog.value(customer, "coupons.unused", 1_780_000_000_000) == 1
    async with running(
        *(one.run for one in sinks(redis, push=Receiver(Failed("no")))),
        Loop(Receipts(log), redis, SHARDS, Tally(RECEIPTS)).run,
    ):
        await commit(redis, 0, 0, 1, decisions=[message(1, ["push"])])
        shard = partition(b"u:1", SHARDS)
        records = await until(lambda: _two(log, shard))
    for record in records:
        catalog.apply(customer, decode(record.value), lambda table, row: rows.append((table, row)))
    assert catalog.value(customer, "coupons.unused", 1_780_000_000_000) == 0
    [(table, row)] = rows
    assert (table, row["fact"], row["coupon_id"]) == ("coupon_ledger", "voided", "C-1")


async def _two(log, shard):
    found = await log.read(shard, 0, 9)
    return found if len(found) == 2 else None


async def test_in_record_time_nothing_comes_back_and_nothing_is_put_off(redis):
    push = Receiver(Failed("no"))
    made = sinks(redis, record=True, push=push)
    async with running(*(one.run for one in made)):
        quiet = [0, 1439, "defer"]
        await commit(redis, 0, 0, 1, decisions=[message(1, ["push"], quiet=quiet)])
        rows = await until(lambda: told(redis, 1))
    assert said(rows) == [("push", "failed", "no")]
    assert await receipts(redis) == []


async def test_never_two_successes_whenever_the_relay_dies(redis):
    """A channel that refused is not asked again, though it would say yes by then."""
    push, sms = Receiver(Failed("no"), Sent()), Receiver()
    count = 150
    for number in range(count):
        await commit(
            redis, number % 2, number, number + 1, decisions=[message(number, ["push", "sms"])]
        )
    for pause in (0.01, 0.02, 0.03, 0.04, 0.05, 0.06):
        tasks = [
            asyncio.create_task(one.run(asyncio.Event()))
            for one in sinks(redis, push=push, sms=sms)
        ]
        await asyncio.sleep(pause)
        await end(tasks)
    names = {f"channel-{via}{end}": stream for via in ("push", "sms")
             for stream, end in ((OUTBOX, ""), (AGAIN, "-again"))}  # fmt: skip
    await redis.hset("laike:sinks", mapping=names)
    async with running(*(one.run for one in sinks(redis, push=push, sms=sms))):
        await until(lambda: drained(redis, SHARDS))
    sent = [row["decision_id"] for row in await outcomes(redis, SHARDS) if row["fact"] == "sent"]
    assert len(sent) == len(set(sent)) == count
    taken = {one.key for one in push.took}, {one.key for one in sms.took}
    assert len(taken[0] | taken[1]) == count
    assert not taken[0] & taken[1]
    assert taken[1], "some were handed over"


async def test_what_was_sent_and_not_settled_comes_again_under_the_same_key(redis):
    class Dying(Receiver):
        async def send(self, message):
            await super().send(message)
            await asyncio.sleep(60)  # it has it; we never hear of it

    first, second = Dying(), Receiver()
    await commit(redis, 0, 0, 1, decisions=[message(1, ["push"])])
    tasks = [asyncio.create_task(one.run(asyncio.Event())) for one in sinks(redis, push=first)]
    await until(lambda: _took(first))
    await end(tasks)
    assert await outcomes(redis, SHARDS) == []
    async with running(*(one.run for one in sinks(redis, push=second))):
        rows = await until(lambda: told(redis, 1))
    assert said(rows) == [("push", "sent", "")]
    assert [one.key for one in first.took] == [one.key for one in second.took]


async def _took(receiver):
    return receiver.took


def quiet_now(then="defer"):
    """Quiet hours that began a while ago and end within the next two hours."""
    local = time.gmtime(time.time() + 8 * 3600)
    minute = local.tm_hour * 60 + local.tm_min
    return [(minute - 60) % 1440, (minute + 120) % 1440, then]


async def test_inside_quiet_hours_a_message_is_put_off_and_holds_up_no_other(redis):
    push = Receiver()
    soon = round(time.time() * 1000) + 600_000
    async with running(*(one.run for one in sinks(redis, push=push))):
        await commit(redis, 0, 0, 4, decisions=[
            message(1, ["push"], quiet=quiet_now()),
            message(2, ["push", "sms"], quiet=quiet_now(), not_after=soon),
            message(3, ["push", "sms"], quiet=quiet_now("drop")),
            message(4, ["push"], purpose="service"),
        ])  # fmt: skip
        rows = await until(lambda: told(redis, 3))
        ends = await Reader(redis, SHARDS).ends()
        await until(lambda: _passed(redis, ends))
        [(_, fields)] = await redis.xrange(stream_key(0, AGAIN))
    found = {int(row["decision_id"]): f"{row['fact']} {row['reason']}".strip() for row in rows}
    assert found == {2: "failed quiet", 3: "failed quiet", 4: "sent"}
    [waiting] = orjson.loads(fields[b"b"])["messages"]
    assert (waiting["decision_id"], waiting["hop"]) == (f"{1:026d}", 1)
    assert 0 < waiting["not_before"] - time.time() * 1000 <= 2 * 3_600_000
    assert (waiting["text"], waiting["to"]) == ("", "customer"), "made anew when it goes"


async def _passed(redis, ends):
    cursors = await Reader(redis, SHARDS).cursors("channel-push")
    return all(cursors[shard] >= end for shard, end in enumerate(ends))


async def test_a_message_put_off_goes_at_its_time_and_others_before_it(redis):
    push, now = Receiver(), round(time.time() * 1000)
    late, early = (
        Message(f"{n:026d}", "a", "r", "u:1", "push", "t", not_after=now + 86_400_000, hop=1,
                not_before=now + wait)
        for n, wait in ((1, 700), (2, 0))
    )  # fmt: skip
    await redis.xadd(stream_key(0, AGAIN), {b"b": again_body([late, early])})
    async with running(*(one.run for one in sinks(redis, push=push))):
        await until(lambda: told(redis, 2))
        assert time.time() * 1000 >= now + 700
    assert [int(one.decision_id) for one in push.took] == [2, 1]


async def test_who_asks_for_this_message_later_gets_the_others_at_once(redis):
    push = Receiver(Later("refused 451", answered=True, rest=0.2), Sent())
    async with running(*(one.run for one in sinks(redis, push=push))):
        await commit(redis, 0, 0, 1, decisions=[message(1, ["push"])])
        ends = await Reader(redis, SHARDS).ends()
        await until(lambda: _passed(redis, ends))
        assert said(await until(lambda: told(redis, 1))) == [("push", "sent", "")]
    assert push.tries == {f"{1:026d}:notify:hello": 2}


async def test_the_words_are_in_the_customers_language_and_of_the_decisions_version(redis):
    await publish(
        redis,
        **{"hello.zh.push": "{{ shop.name }}：{{ coupon | off }}券{{ coupon.code }}，{{ cart.value | money }}元",
           "hello.en.push": "{{ coupon | off }} with {{ coupon.code }}"},
    )  # fmt: skip
    call = {"type": "identify", "userId": "1", "traits": {"locale": "en-US"}}
    await store(redis, "u:1", parse(call, source="app", received_at=1))
    push = Receiver()
    async with running(*(one.run for one in sinks(redis, push=push))):
        await commit(redis, 0, 0, 2, decisions=[
            message(1, ["push"]), message(2, ["push"], cid="u:2", reads={"cart.value": 30.0}),
        ])  # fmt: skip
        await until(lambda: told(redis, 2))
    words = {one.cid: (one.language, one.text) for one in push.took}
    assert words == {"u:1": ("en", "5 CNY off with C-1"), "u:2": ("zh", "来客小铺：5元券C-2，30元")}
    assert orjson.loads(push.took[0].json())["data"]["text"]


async def test_words_that_cannot_be_made_fail_their_channel_alone(redis):
    await publish(
        redis,
        **{"hello.zh.push": "{{ gone }}", "hello.zh.wechat": "好" * 601, "hello.zh.sms": "{{ n }}"},
    )
    sms = Receiver()
    made = sinks(redis, push=Receiver(), wechat=Receiver(), email=Receiver(), sms=sms)
    async with running(*(one.run for one in made)):
        await commit(redis, 0, 0, 3, decisions=[
            message(1), message(2, ["email", "sms"], **{"with": {"n": 7}}), message(3, ["sms"]),
        ])  # fmt: skip
        rows = await until(lambda: told(redis, 6))
    reasons = {(int(row["decision_id"]), row["channel"]): row["reason"] for row in rows}
    assert reasons[1, "push"].startswith("template: missing_value: templates/hello.zh.push.j2")
    assert reasons[1, "wechat"].startswith("template: too_long")
    assert reasons[2, "email"] == "template: no_template: hello.zh.email.j2 is not there"
    assert [reasons[number, "sms"] for number in (1, 2, 3)] == ["", "", ""]
    assert {one.text for one in sms.took} == {"1", "7", "3"}


async def test_the_kill_switch_stops_what_was_decided_before_it(redis):
    await redis.set(WANTED, text_of(["rule:cart-rescue"]))
    push = Receiver()
    async with running(*(one.run for one in sinks(redis, push=push))):
        await commit(redis, 0, 0, 2, decisions=[
            message(1, ["push", "sms"]), message(2, ["push"], rule="win-back"),
        ])  # fmt: skip
        rows = await until(lambda: told(redis, 2))
    assert sorted(said(rows)) == [("push", "failed", "killed"), ("push", "sent", "")]
    assert [one["event"] for one in await receipts(redis)] == ["Message Failed", "Coupon Voided"]
