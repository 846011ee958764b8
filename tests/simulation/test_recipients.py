"""What a decision gives to another customer is decided where that one lives."""

import pytest

from features import catalog
from rules.errors import RuleErrors
from rules.load import book_from_sources
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

REFERRAL = """
rule: referral
title: t
owner: o
status: live
when:
  event: Referral Accepted
  if: event.referrer != event.friend
if: orders.count == 0
once_per: referral
holdout: 0%
do:
  - coupon: {offer: FRIEND, off: 20, over: 100, valid: 14d}
    as: friends
  - coupon: {offer: REFERRER, off: 30, over: 100, valid: 30d, to: referrer}
    as: referrers
  - notify: {via: [push, sms], template: miss_you, to: referrer, with: {code: "= referral.code"}}
    optional: true
  - points: {add: 50, to: referrer}
  - emit: {event: Referral Rewarded, properties: {code: "= referral.code"}, to: referrer}
"""
HEARS = """
rule: hears
title: t
owner: o
status: live
when: {event: Referral Rewarded}
once_per: event
holdout: 0%
do:
  - notify: {via: [push], template: first_order}
"""


def accepted(world: MemoryEngine, at: int, friend: str, code: str = "c1", who: str = "old") -> None:
    world.send(at, "Referral Accepted", code=code, referrer=who, friend=friend, userId=friend)


def ruled(text: str = REFERRAL, **files: str) -> dict[str, str]:
    more = {f"campaigns/{name}.yaml": file for name, file in files.items()}
    return {"campaigns/a.yaml": text, **more}


@pytest.mark.parametrize("shards", [1, 4])
async def test_friend_and_referrer_each_get_their_own(shards: int):
    world = MemoryEngine(ruled(b=HEARS), shards=shards)
    world.send(0, "Order Paid", order_id="o", total=9, userId="old")
    accepted(world, HOUR, "new")
    await world.run()
    world.tick(2 * HOUR)
    await world.run()
    (mine,) = [row for row in world.decisions() if row["cid"] == "u:new"]
    assert [(one["kind"], one["to"]) for one in mine["actions"]] == [
        ("coupon", "customer"), ("gift", "referrer"), ("gift", "referrer"),
        ("gift", "referrer"), ("gift", "referrer"),
    ]  # fmt: skip
    assert sum("code" in one for one in mine["actions"]) == 1
    theirs = [row for row in world.decisions() if row["cid"] == "u:old"]
    assert [row["rule"] for row in theirs] == ["hears", "referral"]
    gift = theirs[1]
    assert [one["kind"] for one in gift["actions"]] == ["coupon", "notify", "points"]
    assert gift["at"] == mine["at"] == START + HOUR
    assert gift["actions"][0]["off"] == 30
    assert gift["actions"][1]["with"] == {"code": "c1"}
    assert gift["actions"][0]["code"] != mine["actions"][0]["code"]
    assert catalog.value(world.customer("u:old"), "points.balance", START + 2 * HOUR) == 50
    assert not catalog.value(world.customer("u:new"), "points.balance", START + 2 * HOUR)


async def test_his_consent_his_holdout_and_his_caps_hold():
    world = MemoryEngine(ruled())
    world.send(0, "Message Unsubscribed", channel="push", userId="old")
    world.send(0, "Message Unsubscribed", channel="sms", userId="old")
    accepted(world, HOUR, "new")
    await world.run()
    (row,) = [row for row in world.decisions() if row["cid"] == "u:old"]
    assert [one["kind"] for one in row["actions"]] == ["coupon", "points"]

    held = MemoryEngine(ruled(REFERRAL.replace("holdout: 0%", "holdout: 50%")))
    for number in range(40):
        accepted(held, number, f"n{number}", code=f"c{number}", who=f"w{number}")
    await held.run()
    rows = held.decisions(acts=False)
    givers = {row["cid"][3:]: row["arm"] for row in rows if row["cid"].startswith("u:n")}
    theirs = {row["cid"][3:]: row["arm"] for row in rows if row["cid"].startswith("u:w")}
    assert theirs.keys() == {name for name, arm in givers.items() if arm == "treated"}
    assert set(theirs.values()) == {"treated", "holdout"}


async def test_a_referrers_limit_is_the_one_of_who_gets_it():
    text = REFERRAL.replace(
        "holdout", "limit: {customer: 1 per ever, referrer: 2 per day}\nholdout"
    )
    world = MemoryEngine(ruled(text))
    for number in range(5):
        accepted(world, number * MINUTE, f"n{number}", code=f"c{number}")
    await world.run()
    rows = [row for row in world.decisions(acts=False) if row["cid"] == "u:old"]
    assert sorted(row["held"] for row in rows) == ["", "", "limit", "limit", "limit"]
    assert len({row["decision_id"] for row in rows}) == 5


async def test_a_gift_waits_for_his_morning_and_for_the_budget():
    text = REFERRAL.replace(
        "holdout",
        "budget: {coupons: 3 per day}\nquiet_hours: {from: '22:00', to: '08:00'}\nholdout",
    )
    world = MemoryEngine(ruled(text))
    for number in range(3):  # 23:00 in Shanghai: the friend hears nothing, the referrer would
        accepted(world, 15 * HOUR + number, f"n{number}", code=f"c{number}", who=f"w{number}")
    for hour in range(15, 40):
        world.tick(hour * HOUR)
        await world.run()
    rows = world.decisions(acts=False)
    friends = [row for row in rows if row["cid"].startswith("u:n")]
    theirs = [row for row in rows if row["cid"].startswith("u:w")]
    assert {row["at"] for row in friends} <= {START + 15 * HOUR + n for n in range(3)}
    assert {row["at"] for row in theirs} == {START + DAY}  # 08:00 in Shanghai
    acts = [row for row in theirs if row["result"] == "act"]
    assert len(acts) == 3  # of the next day's budget


async def test_what_comes_twice_is_given_once_and_who_moved_gets_it_where_he_is():
    world = MemoryEngine(ruled())
    world.send(0, "Product Viewed", product_id="p", anonymousId="before")
    world.send(1, type="identify", userId="old", anonymousId="before")
    await world.run()
    accepted(world, HOUR, "new", who="a:before")
    await world.run()
    for shard, log in enumerate(world.logs):
        for letter in [one for one in log if one.key == b"!letter"]:
            world.append(shard, letter.key, letter.value, letter.log_time)
    world.tick(2 * HOUR)
    await world.run()
    (row,) = [row for row in world.decisions() if row["cid"] == "u:old"]
    assert [one["kind"] for one in row["actions"]] == ["coupon", "notify", "points"]
    assert not [row for row in world.decisions() if row["cid"] == "a:before"]


async def test_the_merchant_of_an_order_is_alerted():
    text = """
rule: late
title: t
owner: o
status: live
purpose: service
when: {event: Order Cancelled}
once_per: order
do:
  - notify: {via: [push], template: miss_you, to: merchant}
  - notify: {via: [push], template: first_order}
"""
    world = MemoryEngine(ruled(text))
    world.send(0, "Order Placed", order_id="o1", total=9, merchant_id="m7", userId="u")
    world.send(1, "Order Cancelled", order_id="o1", userId="u")
    await world.run()
    (row,) = world.decisions()
    alert, message = row["actions"]
    assert (alert["kind"], alert["to"], alert["merchant_id"]) == ("alert", "merchant", "m7")
    assert message["kind"] == "notify"


async def test_a_message_to_the_merchant_is_an_email_that_has_what_its_text_reads():
    text = """
rule: late
status: live
purpose: service
when: {event: Order Cancelled}
once_per: order
do:
  - notify: {via: push, template: gone, to: merchant}
"""
    files = {"campaigns/r.yaml": text, "shop.yaml": "languages: [zh]\n"}
    with pytest.raises(RuleErrors, match="`gone` has no text for email"):
        book_from_sources({**files, "templates/gone.zh.push.j2": "x"})
    world = MemoryEngine(
        {**files, "templates/gone.zh.email.j2": "{{ order.total }} {{ event.why }}"}
    )
    world.send(0, "Order Placed", order_id="o1", total=9, merchant_id="m7", userId="u")
    world.send(1, "Order Cancelled", order_id="o1", why="too late", userId="u")
    await world.run()
    (row,) = world.decisions()
    assert row["actions"][0]["reads"] == {"order.total": 9, "event.why": "too late"}


async def test_nobody_to_give_to_holds_it_all_and_names_it():
    text = (
        REFERRAL.replace("event: Referral Accepted", "event: Order Paid")
        .replace("\n  if: event.referrer != event.friend", "")
        .replace("once_per: referral", "once_per: order")
        .replace(', with: {code: "= referral.code"}', "")
        .replace(', properties: {code: "= referral.code"}', "")
        .replace("if: orders.count == 0\n", "")
    )
    world = MemoryEngine(ruled(text))
    world.send(0, "Order Paid", order_id="o", total=9, userId="alone")
    accepted(world, 1, "sent")
    world.send(2, "Order Paid", order_id="o2", total=9, userId="sent")
    await world.run()
    rows = {row["cid"]: row for row in world.decisions(acts=False)}
    assert rows["u:alone"]["held"] == "missing_value"
    assert rows["u:sent"]["result"] == "act"
    assert rows["u:old"]["result"] == "act"
