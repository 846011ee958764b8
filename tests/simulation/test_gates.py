"""The gates between a condition and its action: caps, priority, pauses, quiet, reach, the switch."""

import orjson
import pytest

from engine.records import KILL
from engine.switches import text_of
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

LOOK = """
rule: look
title: t
owner: o
status: live
when: {event: Product Viewed}
once_per: event
holdout: 0%
do:
  - notify: {via: [push, sms], template: seen}
"""
OTHER = LOOK.replace("rule: look", "rule: also").replace("template: seen", "template: also")
NIGHT = 'quiet_hours: {from: "22:00", to: "08:00", then: defer}\n'
ZONE = 8 * HOUR  # of Asia/Shanghai: START is 08:00 there


def engine(*rules: str, shop: str = "", offers: dict[str, str] | None = None, **options):
    sources = {f"campaigns/r{i}.yaml": text for i, text in enumerate(rules)}
    shop_file = {"shop.yaml": shop} if shop else {}
    return MemoryEngine({**sources, **shop_file, **(offers or {})}, **options)


def view(world: MemoryEngine, at: int, who: str = "u1", **more) -> None:
    world.send(at, product_id="p", userId=who, **more)


def told(world: MemoryEngine) -> list[tuple[int, str, str]]:
    """Minute, rule, and the channel or why not."""
    return [
        (
            (row["at"] - START) // MINUTE,
            row["rule"],
            row["held"] or row["actions"][0].get("channel", row["actions"][0]["kind"]),
        )
        for row in world.decisions(acts=False)
    ]


async def test_a_channel_whose_cap_is_spent_gives_way_to_the_next_and_then_nothing_goes():
    shop = "caps:\n  - {purpose: marketing, via: push, limit: 1 per day}\n"
    shop += "  - {via: sms, limit: 1 per 7d}\n"
    world = engine(LOOK, shop=shop)
    for day in range(8):
        view(world, day * DAY)
        view(world, day * DAY + 1)
    await world.run()
    assert [what for _, _, what in told(world)] == [
        "push", "sms", *["push", "cap"] * 6, "push", "sms",
    ]  # fmt: skip


async def test_a_cap_counts_all_rules_and_the_higher_priority_takes_what_is_left():
    shop = "caps:\n  - {limit: 1 per day}\n"
    urgent = OTHER.replace("holdout: 0%", "holdout: 0%\npriority: 80")
    world = engine(LOOK, urgent, shop=shop)
    view(world, 0)
    await world.run()
    assert sorted(told(world)) == [(0, "also", "push"), (0, "look", "priority")]
    world = engine(LOOK, OTHER, shop=shop)  # alike in priority: by name
    view(world, 0)
    await world.run()
    assert sorted(told(world)) == [(0, "also", "push"), (0, "look", "priority")]


async def test_timers_due_at_one_moment_come_in_the_order_of_priority():
    wait = "do:\n  - wait: 1h\n"
    rules = (LOOK.replace("do:\n", wait), OTHER.replace("do:\n", "priority: 51\n" + wait))
    world = engine(*rules, shop="caps:\n  - {limit: 1 per day}\n")
    view(world, 0)
    world.tick(DAY)
    await world.run()
    assert told(world) == [(60, "also", "push"), (60, "look", "priority")]


async def test_a_cap_is_for_its_purpose_alone():
    shop = "caps:\n  - {purpose: marketing, limit: 1 per day}\n"
    world = engine(LOOK, OTHER.replace("holdout: 0%", "purpose: service"), shop=shop)
    view(world, 0)
    view(world, 1)
    await world.run()
    assert [what for _, rule, what in told(world) if rule == "also"] == ["push", "push"]
    assert [what for _, rule, what in told(world) if rule == "look"] == ["push", "cap"]


async def test_what_two_ids_were_sent_counts_for_the_one_customer():
    world = engine(LOOK, shop="caps:\n  - {limit: 2 per day}\n")
    view(world, 0)
    world.send(0, product_id="p", anonymousId="a1")
    world.send(1, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    view(world, 2)
    await world.run()
    assert [what for _, _, what in told(world)] == ["push", "push", "cap"]


async def test_a_limit_is_not_used_up_by_what_a_cap_held():
    rule = OTHER.replace("holdout: 0%", "holdout: 0%\nlimit: 1 per 7d")
    world = engine(
        LOOK.replace("do:", "priority: 90\ndo:"), rule, shop="caps:\n  - {limit: 1 per day}\n"
    )
    view(world, 0)
    await world.run()
    world.publish({"campaigns/r1.yaml": rule}, DAY)
    view(world, 2 * DAY)
    await world.run()
    assert [what for _, rule_name, what in told(world) if rule_name == "also"] == [
        "priority", "push",
    ]  # fmt: skip


async def test_an_offers_limit_is_a_customers_over_all_rules():
    coupon = "coupon: {offer: SAVE, off: 10, valid: 48h}"
    rules = [text.replace("notify: {via: [push, sms], template: " + name + "}", coupon)
             for text, name in ((LOOK, "seen"), (OTHER, "also"))]  # fmt: skip
    offers = {"offers/SAVE.yaml": "offer: SAVE\ntitle: t\nlimit: 1 per 30d\n"}
    world = engine(*rules, offers=offers)
    view(world, 0)
    view(world, 0, "u2")
    view(world, 31 * DAY)
    await world.run()
    acts = [(at // 1440, rule) for at, rule, what in told(world) if what == "coupon"]
    assert acts == [(0, "also"), (0, "also"), (31, "also")]
    assert [what for _, rule, what in told(world) if rule == "look"] == ["priority"] * 3
    view(world, 32 * DAY)
    await world.run()
    assert [what for at, _, what in told(world) if at == 32 * 1440] == ["limit"] * 2


async def test_what_a_higher_priority_took_of_a_budget_just_now_is_told_from_an_empty_one():
    coupon = "coupon: {offer: SAVE, off: %d, valid: 48h}"
    rules = [
        text.replace("notify: {via: [push, sms], template: " + name + "}", coupon % off)
        for text, name, off in ((LOOK, "seen", 10), (OTHER, "also", 30))
    ]
    world = engine(*rules, shop="budget: {coupons: 1 per day}\n")
    view(world, 0)
    await world.run()
    view(world, HOUR)
    await world.run()
    assert told(world) == [
        *((0, "also", "coupon"), (0, "look", "priority")),
        *((60, "also", "budget"), (60, "look", "budget")),
    ]
    world = engine(*rules, shop="budget: {money: 35 per day}\n")
    view(world, 0)
    await world.run()
    assert told(world) == [(0, "also", "coupon"), (0, "look", "priority")]


async def test_a_message_in_the_night_waits_for_the_morning_and_is_decided_anew_then():
    rule = LOOK.replace("do:\n", "do:\n  - coupon: {offer: SAVE, off: 10, valid: 48h}\n")
    rule = rule.replace("once_per: event", "once_per: day\nif: orders.count == 0")
    world = engine(rule, shop=NIGHT)
    night = 15 * HOUR  # 23:00
    view(world, night)
    view(world, night, "u2")
    world.send(night + HOUR, "Order Paid", order_id="o1", total=9, userId="u2")
    world.tick(3 * DAY)
    await world.run()
    rows = world.decisions(acts=False)
    morning = START + DAY
    assert [(row["cid"], row["at"], row["held"]) for row in rows if row["held"] != "once_per"] == [
        ("u:u1", morning, ""), ("u:u2", morning, "condition"),
    ]  # fmt: skip
    coupon = world.decisions()[0]["actions"][0]
    assert coupon["expires_at"] == morning + 48 * HOUR


async def test_what_stops_a_rule_stops_it_while_it_waits_for_the_morning():
    rule = LOOK.replace("do:", "stop_on: [Order Paid]\ndo:")
    world = engine(rule, shop=NIGHT)
    view(world, 15 * HOUR)
    world.send(16 * HOUR, "Order Paid", order_id="o1", total=9, userId="u1")
    world.tick(2 * DAY)
    await world.run()
    assert [what for _, _, what in told(world)] == ["stopped"]


async def test_a_rule_may_drop_what_falls_into_the_night_or_have_no_night():
    drop = LOOK.replace("do:", 'quiet_hours: {from: "22:00", to: "08:00", then: drop}\ndo:')
    none = OTHER.replace("do:", "quiet_hours: none\ndo:")
    world = engine(drop, none, shop=NIGHT)
    view(world, 15 * HOUR)
    await world.run()
    assert sorted(told(world)) == [(900, "also", "push"), (900, "look", "quiet")]


async def test_service_has_no_quiet_hours_of_the_shops():
    world = engine(LOOK.replace("holdout: 0%", "purpose: service"), shop=NIGHT)
    view(world, 15 * HOUR)
    await world.run()
    assert told(world) == [(900, "look", "push")]


async def test_closing_days_are_quiet_to_their_end_and_the_night_after():
    world = engine(LOOK, shop=NIGHT + "closing_days: [2026-01-05, 2026-01-06]\n")
    view(world, HOUR)
    world.tick(5 * DAY)
    await world.run()
    assert told(world) == [(2 * DAY // MINUTE, "look", "push")]  # 2026-01-07 08:00


async def test_after_a_deferred_message_the_next_wait_counts_from_the_morning():
    rule = LOOK.replace("do:", "do:\n  - wait: {for: 30m, since_last: [Product Viewed]}") + (
        "  - wait: 1h\n  - notify: {via: [push], template: later}\n"
    )
    world = engine(rule.replace("once_per: event", "once_per: customer"), shop=NIGHT)
    view(world, 15 * HOUR)
    view(world, 16 * HOUR, "u2")
    view(world, 23 * HOUR)  # while it waits for the morning: no wait begins anew
    world.tick(2 * DAY)
    await world.run()
    acts = [(at, rule) for at, rule, what in told(world) if what == "push"]
    assert acts == [(1440, "look"), (1440, "look"), (1500, "look"), (1500, "look")]


async def test_a_pause_of_the_shop_holds_marketing_and_nothing_else():
    shop = "pauses:\n  - cart.value > 100\n"
    world = engine(LOOK, OTHER.replace("holdout: 0%", "purpose: service"), shop=shop)
    world.send(0, "Product Added", product_id="p", price=200, quantity=1, userId="u1")
    view(world, 1)
    view(world, 1, "u2")
    await world.run()
    assert sorted(what for _, rule, what in told(world) if rule == "look") == ["pause", "push"]
    assert [what for _, rule, what in told(world) if rule == "also"] == ["push", "push"]


async def test_who_no_channel_reaches_is_unreachable_and_who_said_no_has_not_agreed():
    world = engine(LOOK)
    for channel in ("push", "sms"):
        world.send(0, "Message Bounced", channel=channel, userId="gone")
        world.send(0, "Message Unsubscribed", channel=channel, userId="no")
    world.send(0, "Message Bounced", channel="push", userId="half")
    for name in ("gone", "half", "no"):
        view(world, HOUR, name)
    await world.run()
    assert {row["cid"]: row["held"] for row in world.decisions(acts=False)} == {
        "u:gone": "unreachable", "u:half": "", "u:no": "consent",
    }  # fmt: skip


def kill(world: MemoryEngine, *names: str, at: int) -> None:
    for shard in range(world.shards):
        world.append(shard, KILL, orjson.dumps({"hash": text_of(names)}), START + at)


@pytest.mark.parametrize(
    "names", [("*",), ("rule:look",), ("purpose:marketing",), ("rule:other", "rule:look")]
)
async def test_the_kill_switch_holds_what_is_decided_after_it(names):
    world = engine(LOOK, OTHER.replace("holdout: 0%", "purpose: service"))
    view(world, 0)
    kill(world, *names, at=MINUTE)
    view(world, 2 * MINUTE)
    await world.run()
    await world.open()  # it holds for the next owner too
    kill(world, at=HOUR)
    view(world, 2 * HOUR)
    await world.run()
    assert [what for _, rule, what in told(world) if rule == "look"] == ["push", "killed", "push"]
    also = [what for _, rule, what in told(world) if rule == "also"]
    assert also == ["push", "killed" if names == ("*",) else "push", "push"]


async def test_what_was_waiting_when_the_switch_was_thrown_is_killed_too():
    world = engine(LOOK.replace("do:", "do:\n  - wait: 1h"))
    view(world, 0)
    kill(world, "rule:look", at=MINUTE)
    world.tick(DAY)
    await world.run()
    assert [what for _, _, what in told(world)] == ["killed"]


async def test_of_an_event_and_a_sequence_the_higher_priority_comes_first():
    step = "when: {sequence: [{event: Product Viewed}, {event: Product Viewed}], within: 1h}"
    shop = "caps:\n  - {limit: 1 per day}\n"
    for priority, wins in ((40, "look"), (60, "also")):
        text = OTHER.replace("when: {event: Product Viewed}", f"priority: {priority}\n{step}")
        late = LOOK.replace(
            "when: {event: Product Viewed}", "when: {event: Product Viewed, count: 2, within: 1h}"
        ).replace("once_per: event", "once_per: product")
        world = engine(late, text, shop=shop)
        view(world, 0)
        view(world, MINUTE)
        await world.run()
        assert {rule: what for _, rule, what in told(world)}[wins] == "push"
        assert sorted(what for _, _, what in told(world)) == ["priority", "push"]
