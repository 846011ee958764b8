"""What decisions do to the customer: coupons, points, labels, pauses, events of their own."""

import pytest

from engine.journal import memory
from features.coupon_ledger import GRACE_MS
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

OFFER = """
offer: SAVE
returns: {cancel: back, refund: back}
cost: {shop: 60%, merchant: 40%}
"""


def rule(do: str, name: str = "one", event: str = "Product Added", more: str = "") -> str:
    lines = "\n".join(f"  - {line}" for line in do.strip().splitlines())
    head = f"rule: {name}\ntitle: t\nowner: o\nstatus: live\npurpose: service\n"
    once = "" if "once_per" in more else "once_per: event\n"
    return f"{head}when: {{event: {event}}}\n{once}{more}do:\n{lines}\n"


def engine(*rules: str, **options) -> MemoryEngine:
    sources = {f"campaigns/r{i}.yaml": text for i, text in enumerate(rules)}
    return MemoryEngine({**sources, "offers/SAVE.yaml": OFFER}, **options)


def add(world: MemoryEngine, at: int = 0, **more) -> None:
    world.send(
        at, "Product Added", cart_id="c1", product_id="p1", price=100, **{"userId": "u", **more}
    )


def ledger(world: MemoryEngine, table: str) -> list[dict]:
    return [row for entry in world.entries() for row in entry.get("facts", {}).get(table, ())]


def actions(world: MemoryEngine) -> list[dict]:
    return [action for row in world.decisions() for action in row["actions"]]


def value(world: MemoryEngine, feature: str, at: int, cid: str = "u:u"):
    customer = world.customer(cid)
    one = customer.registry.features[feature]
    return one.read(customer.state(one.facet), START + at)


async def test_a_coupon_is_his_in_the_decision_that_issues_it():
    world = engine(
        rule("coupon: {offer: SAVE, off: 10%, most: 50, valid: 48h}\nwait: 1h\n"
             "points: {add: 5, reason: r}", more="if: coupons.unused < 1\n"),
    )  # fmt: skip
    add(world)
    add(world, 30 * MINUTE)
    world.tick(2 * HOUR)
    await world.run()
    [coupon] = actions(world)
    held = world.customer("u:u").state("coupons").coupons[coupon["code"]]
    assert (held.offer, held.off, held.off_kind, held.most) == ("SAVE", 10.0, "percent", 5000)
    assert held.decision == world.decisions()[0]["decision_id"]
    assert (held.returns, held.share) == (3, 0.6)
    assert value(world, "coupons.unused", HOUR) == 1
    assert [row["held"] for row in world.decisions(acts=False)][1:] == ["condition"]


async def test_a_coupon_lapses_by_its_own_timer_and_is_written_off_once():
    world = engine(rule("coupon: {offer: SAVE, off: 30, valid: 1d}"))
    add(world)
    for day in range(1, 5):
        world.tick(day * DAY)
    world.tick(DAY + GRACE_MS)
    await world.run()
    [expired] = ledger(world, "coupon_ledger")
    assert (expired["fact"], expired["seq"], expired["at"]) == ("expired", 1, START + DAY)
    assert expired["face"] == 30
    assert memory(world.customer("u:u")).journey.alarm == 0


async def test_an_order_uses_it_and_its_cancelling_gives_it_back():
    world = engine(
        rule("coupon: {offer: SAVE, off: 30, valid: 7d}"),
        rule("tag: {add: [saver]}", "two", "Coupon Redeemed", "once_per: coupon\n"),
    )
    add(world)
    await world.run()
    code = actions(world)[0]["code"]
    world.send(HOUR, "Order Paid", order_id="o", coupon=code, discount=30, total=70, userId="u")
    world.send(HOUR, "Order Completed", order_id="o", coupon=code, discount=30, userId="u")
    world.send(2 * HOUR, "Order Cancelled", order_id="o", userId="u")
    world.tick(9 * DAY)
    await world.run()
    assert [(row["fact"], row["seq"], row["cost"]) for row in ledger(world, "coupon_ledger")] == [
        *(("redeemed", 1, 18), ("reversed", 2, 18), ("expired", 3, 0)),
    ]
    assert value(world, "tags.labels", HOUR) == ["saver"]


async def test_rules_know_the_coupons_that_decisions_issued():
    world = engine(
        rule("coupon: {offer: SAVE, off: 30, over: 100, valid: 7d}"),
        """
rule: ending
title: t
owner: o
status: live
purpose: service
when: {due: coupon.expires_at, offset: -1d}
if: coupon.redeemed == false
once_per: coupon
do:
  - notify: {via: [push], template: ending, with: {over: "= coupon.over"}}
""",
    )
    add(world)
    add(world, 2 * DAY)
    await world.run()
    first = actions(world)[0]["code"]
    world.send(3 * DAY, "Order Paid", order_id="o", coupon=first, total=70, userId="u")
    for day in range(4, 12):
        world.tick(day * DAY)
    await world.run()
    told = [row for row in world.decisions() if row["rule"] == "ending"]
    assert [(row["at"] - START) // DAY for row in told] == [8]
    assert told[0]["actions"][0]["with"] == {"over": 100}


async def test_the_coupons_of_a_visitor_are_his_when_he_is_known():
    world = engine(rule("coupon: {offer: SAVE, off: 30, valid: 1d}"))
    add(world, userId="", anonymousId="a")
    world.send(MINUTE, type="identify", userId="u", anonymousId="a")
    await world.run()
    world.tick(2 * DAY)
    await world.run()
    assert value(world, "coupons.count", 0) == 1
    assert [(row["cid"], row["fact"]) for row in ledger(world, "coupon_ledger")] == [
        ("u:u", "expired")
    ]


async def test_what_both_sides_of_one_person_were_counted_in_counts_once():
    world = engine(rule("tag: {add: [vip]}"))
    for who in ({"userId": "", "anonymousId": "a"}, {"userId": "u"}):
        add(world, **who)
    world.send(1, type="identify", userId="u", traits={"tier": "gold"})
    world.send(2, type="identify", anonymousId="a", traits={"tier": "silver"})
    world.send(MINUTE, type="identify", userId="u", anonymousId="a")
    await world.run()
    sizes: dict[str, int] = {}
    for row in ledger(world, "segment_moves"):
        sizes[row["segment"]] = sizes.get(row["segment"], 0) + row["move"]
    assert sizes == {"tag.vip": 1, "member.silver": 1, "member.gold": 0}
    assert value(world, "member.tier", HOUR) == "silver"


async def test_erasure_takes_what_he_holds():
    world = engine(rule("coupon: {offer: SAVE, off: 30, valid: 1d}\ntag: {add: [x]}\npause: {purpose: marketing, for: 9d}"))  # fmt: skip
    add(world)
    world.send(HOUR, "Erasure Requested", userId="u")
    world.tick(3 * DAY)
    await world.run()
    assert ledger(world, "coupon_ledger") == []
    assert "u:u" not in world.store.shard(0).customers
    assert world.store.shard(0).alarms.keys() | world.store.shard(1).alarms.keys() == set()


async def test_points_are_given_doubled_and_taken():
    world = engine(
        rule("points: {add: 100, expires: 30d, reason: hello}\npoints: {multiply: 2, for: 1d, reason: twice}"),
        rule("points: {add: -250, reason: fine}", "two", "Product Removed"),
    )  # fmt: skip
    add(world)
    world.send(HOUR, "Points Earned", points=50, order_id="o", userId="u")
    world.send(2 * DAY, "Points Earned", points=7, userId="u")
    await world.run()
    assert value(world, "points.balance", 0) == 207
    assert value(world, "points.expires_at", 0) == START + 30 * DAY
    world.send(3 * DAY, "Product Removed", product_id="p1", userId="u")
    world.tick(40 * DAY)
    await world.run()
    assert value(world, "points.balance", 0) == -43
    told = ledger(world, "points_ledger")
    assert sum(row["points"] for row in told) == -43
    assert [row["fact"] for row in told] == [
        *("given", "earned", "bonus", "earned", "adjusted", "adjusted", "adjusted", "adjusted"),
        "adjusted",
    ]
    assert {row["rule"] for row in told} == {"one", "", "two"}
    assert [action["points"] for action in actions(world)] == [100, "x2", -250]


async def test_points_expire_by_his_timer():
    world = engine(rule("points: {add: 100, expires: 1d, reason: hello}"))
    add(world)
    world.tick(2 * DAY)
    await world.run()
    assert [row["points"] for row in ledger(world, "points_ledger")] == [100, -100]


async def test_a_pause_holds_that_purpose_for_so_long():
    world = engine(
        rule("pause: {purpose: marketing, for: 2d}"),
        rule("notify: {via: [push], template: t}", "ads", "Product Viewed").replace(
            "purpose: service", "purpose: marketing\nholdout: 0%"
        ),
    )
    add(world)
    world.send(DAY, product_id="p1", userId="u")
    world.send(3 * DAY, product_id="p1", userId="u")
    await world.run()
    held = [row["held"] for row in world.decisions(acts=False) if row["rule"] == "ads"]
    assert held == ["pause", ""]


async def test_labels_and_audiences_are_moves_in_the_tables():
    world = engine(
        rule("tag: {add: [new, vip]}\naudience: {add: [shoes]}"),
        rule("tag: {remove: [new]}", "two", "Product Removed"),
    )
    add(world)
    world.send(HOUR, "Product Removed", product_id="p1", userId="u")
    await world.run()
    assert value(world, "tags.labels", HOUR) == ["vip"]
    assert value(world, "tags.audiences", HOUR) == ["shoes"]
    assert sorted((row["segment"], row["move"]) for row in ledger(world, "segment_moves")) == [
        *(("audience.shoes", 1), ("tag.new", -1), ("tag.new", 1), ("tag.vip", 1)),
    ]
    assert [action[action["kind"]] for action in actions(world)] == ["new,vip", "shoes", "new"]


@pytest.mark.parametrize("batch", [1, 100])
async def test_what_a_rule_emits_is_heard_by_others_once_and_counts_for_no_door(batch):
    world = engine(
        rule("emit: {event: Cart Noted, properties: {total: '= cart.value', note: hi}}"),
        rule("tag: {add: [noted]}", "two", "Cart Noted", "if: cart.value >= 100\n").replace(
            "when: {event: Cart Noted}", "when:\n  event: Cart Noted\n  if: event.total >= 100"
        ),
        batch=batch,
    )
    add(world)
    await world.run()
    world.tick(HOUR)
    await world.run()
    assert value(world, "tags.labels", 0) == ["noted"]
    counts = world.counts()
    assert (counts["events"], counts["processed"], counts["emitted"]) == (1, 1, 1)
    letter = next(one for entry in world.entries() for one in entry.get("letters", ()))
    assert letter["cid"] == "u:u"
    assert '"source":"laike"' in letter["body"]["value"]


async def test_rules_that_call_each_other_end():
    world = engine(
        rule("emit: {event: Ping}", event="Pong"), rule("emit: {event: Pong}", "two", "Ping")
    )
    world.send(0, "Ping", userId="u")
    await world.run()
    assert len(world.decisions()) == 5
    [held] = [row for row in world.decisions(acts=False) if row["result"] == "hold"]
    assert held["held"] == "error"
    assert "5 deep at most" in held["values"]["error"]


async def test_products_are_chosen_out_of_what_he_did():
    world = engine(
        rule("recommend: {kind: for_you, n: 2}\nnotify: {via: [push], template: t}", event="Product Viewed"),
        rule("recommend: {kind: favourites}", "two", "Product Viewed"),
    )  # fmt: skip
    add(world)
    world.send(1, product_id="p9", userId="u")
    await world.run()
    [chosen, told] = actions(world)
    assert chosen["items"] == [{"product_id": "p1"}, {"product_id": "p9"}]
    assert told["kind"] == "notify"
    assert [row["held"] for row in world.decisions(acts=False) if row["rule"] == "two"] == [
        "missing_value"
    ]


async def test_values_are_looked_up_and_a_lacking_one_holds_all_but_the_optional():
    sources = {
        "campaigns/a.yaml": rule(
            "coupon: {offer: SAVE, off: 30, valid: {by: member.tier, gold: 7d, else: 1d}}\n"
            "notify: {via: [push], template: {by: member.tier, gold: rich, else: poor}}\n"
            "pause: {purpose: consent, for: {by: member.tier, gold: 2d, else: 1d}}"
        ),
        "campaigns/b.yaml": rule("points: {add: '= orders.average', reason: r}", "two"),
        "campaigns/c.yaml": rule(
            "{points: {add: '= orders.average', reason: r}, optional: true}\ntag: {add: [a]}",
            "three",
        ),
        "offers/SAVE.yaml": OFFER,
    }
    world = MemoryEngine(sources)
    world.send(0, type="identify", userId="u", traits={"tier": "Gold"})
    add(world, HOUR)
    await world.run()
    coupon, message, pause, tag = actions(world)
    assert coupon["expires_at"] == START + HOUR + 7 * DAY
    assert message["template"] == "rich"
    assert pause["until"] == START + HOUR + 2 * DAY
    assert tag["kind"] == "tag"
    held = [row for row in world.decisions(acts=False) if row["result"] == "hold"]
    assert [(row["rule"], row["held"]) for row in held] == [("two", "missing_value")]


async def test_a_coupon_until_a_date_is_none_once_that_is_past():
    until = "coupon: {offer: SAVE, off: 30, valid: {until: 2026-01-20 00:00}}"
    world = engine(rule(until))
    add(world)
    add(world, 30 * DAY)
    await world.run()
    [coupon] = actions(world)
    assert coupon["expires_at"] == 1_768_838_400_000
    assert world.decisions(acts=False)[-1]["held"] == "missing_value"


async def test_a_customer_is_a_row_once_a_day_and_who_browses_is_none():
    world = engine(rule("points: {add: 9, reason: r}"))
    world.send(0, userId="v", product_id="p")
    world.send(0, type="identify", userId="u", traits={"tier": "gold", "city": "杭州"})
    add(world, HOUR)
    world.send(2 * HOUR, "Consent Updated", channels=["push"], userId="u")
    world.send(26 * HOUR, "Order Paid", order_id="o", total=5, userId="u")
    await world.run()
    first, second = ledger(world, "customers")
    assert (first["cid"], first["tier"], first["points"]) == ("u:u", "gold", 0)
    assert first["city"] == second["city"] == "杭州"
    assert (second["points"], second["consent"]) == (9, {"marketing": ["push"]})
    assert second["version"] == second["updated_at"] == START + 26 * HOUR


async def test_what_is_for_the_shops_own_people_says_all_they_need():
    world = engine(
        rule(
            "alert: {to: merchant, template: bad, with: {stars: '= review.rating'}}\n"
            "task: {team: care, title: call him, priority: high, due: 4h}\n"
            "webhook: {name: crm, body: {of: '= review.rating'}}",
            event="Product Reviewed",
            more="once_per: review\n",
        )
    )
    world.send(0, "Product Reviewed", rating=1, merchant_id="m7", product_id="p", userId="u")
    await world.run()
    alert, task, webhook = actions(world)
    assert (alert["to"], alert["merchant_id"], alert["with"]) == ("merchant", "m7", {"stars": 1})
    assert (task["team"], task["title"], task["priority"]) == ("care", "call him", "high")
    assert task["due_at"] == START + 4 * HOUR
    assert (webhook["hook"], webhook["body"]) == ("crm", {"of": 1})
