"""The core on the memory store: journeys, identity, dedup, batches; a clock driven by hand."""

import orjson
import pytest

from engine.records import Record
from engine.store import Fenced, Stopped
from features.models.purchase import MODEL
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

RESCUE = """
rule: rescue
title: t
owner: o
status: live
when: {event: Product Added}
if: cart.value >= 200
once_per: cart
holdout: 0%
stop_on: [Order Paid, Order Completed, Cart Emptied]
do:
  - wait: {for: 30m, since_last: [Product Added, Product Removed, Cart Viewed]}
  - notify: {via: [push], template: cart_waiting}
  - wait: 1d
  - coupon: {offer: SAVE, off: 10%, most: 50, valid: 48h}
"""
BACK = """
rule: back
title: t
owner: o
status: live
when: {inactive: 45d, of: Order Completed}
if: orders.count >= 1
once_per: lapse
holdout: 0%
do:
  - notify: {via: [push], template: miss_you}
  - wait: {event: Product Viewed, for: 3d}
  - coupon: {offer: BACK, off: 40, over: 100, valid: 72h}
"""
NUDGE = """
rule: nudge
title: t
owner: o
status: live
when: {event: Product Viewed, count: 3, within: 24h}
once_per: product
holdout: 0%
limit: 1 per 7d
do:
  - notify: {via: [push], template: nudge}
"""


def engine(*rules: str, **options) -> MemoryEngine:
    return MemoryEngine({f"campaigns/r{i}.yaml": text for i, text in enumerate(rules)}, **options)


def add(world: MemoryEngine, at: int, price: float = 260, **who) -> None:
    world.send(
        at, "Product Added", cart_id="c1", product_id=f"p{price}", price=price, quantity=1, **who
    )


def timeline(world: MemoryEngine) -> list[tuple[int, str]]:
    return [
        ((row["at"] - START) // MINUTE, action["name"])
        for row in world.decisions()
        for action in row["actions"]
    ]


async def test_a_cart_is_rescued_at_the_time_the_rule_says():
    world = engine(RESCUE)
    add(world, 0, 150, userId="u1")
    add(world, 20 * MINUTE, 110, userId="u1")
    world.tick(3 * DAY)
    await world.run()
    # The first add was under 200: the second opens the instance, 30 minutes after it.
    assert timeline(world) == [(50, "notify:cart_waiting"), (1490, "coupon:SAVE")]
    coupon = world.decisions()[1]["actions"][0]
    assert len(coupon["code"]) == 16
    assert coupon["expires_at"] == world.decisions()[1]["at"] + 48 * HOUR


async def test_who_paid_is_not_rescued():
    world = engine(RESCUE)
    add(world, 0, userId="u1")
    world.send(10 * MINUTE, "Order Paid", order_id="o1", cart_id="c1", total=260, userId="u1")
    world.tick(3 * DAY)
    await world.run()
    assert world.decisions() == []
    assert [row["held"] for row in world.decisions(acts=False)] == ["stopped"]


async def test_another_cart_being_paid_does_not_stop_this_one():
    world = engine(RESCUE)
    add(world, 0, userId="u1")
    world.send(10 * MINUTE, "Order Paid", order_id="o1", cart_id="c9", total=260, userId="u1")
    world.tick(HOUR)
    await world.run()
    assert timeline(world) == [(30, "notify:cart_waiting")]


async def test_a_lapsed_customer_is_won_back_once_a_lapse():
    world = engine(BACK)
    world.send(0, "Order Completed", order_id="o1", total=300, userId="u1")
    world.tick(50 * DAY)
    world.send(51 * DAY, "Order Paid", order_id="o1", total=300, userId="u1")  # the same payment
    world.tick(120 * DAY)
    world.send(121 * DAY, "Order Completed", order_id="o2", total=300, userId="u1")
    world.tick(180 * DAY)
    await world.run()
    days = [(at / 1440, name) for at, name in timeline(world)]
    assert days == [
        (45, "notify:miss_you"), (48, "coupon:BACK"), (166, "notify:miss_you"), (169, "coupon:BACK"),
    ]  # fmt: skip


@pytest.mark.parametrize("record", [True, False])
async def test_a_rule_comes_to_those_who_were_silent_before_it(record):
    world = engine(NUDGE, shards=1, record=record)
    for n in range(1_200):
        who = {"userId": f"u{n}"}
        world.send(n, "Order Completed", order_id=f"o{n}", total=9, **who)
    world.send(DAY, "Product Viewed", product_id="p", userId="never")
    await world.run()
    world.publish({"campaigns/back.yaml": BACK}, 60 * DAY)
    if record:
        world.tick(60 * DAY)
    else:
        for second in range(3):
            world.tick(60 * DAY + second * 1_000)
    world.tick(61 * DAY)
    await world.run()
    assert [at / 1440 for at, _ in timeline(world)] == [60] * 1_200
    world.publish({"campaigns/back.yaml": BACK + "# again"}, 62 * DAY)
    world.tick(62 * DAY)
    await world.run()
    assert len(timeline(world)) == 1_200


async def test_an_awaited_event_ends_the_wait_early():
    world = engine(BACK)
    world.send(0, "Order Completed", order_id="o1", total=300, userId="u1")
    world.tick(46 * DAY)
    world.send(46 * DAY + HOUR, "Product Viewed", product_id="p", userId="u1")
    await world.run()
    assert [at / 60 for at, _ in timeline(world)] == [45 * 24, 46 * 24 + 1]


async def test_the_third_view_of_one_product_nudges_and_the_limit_holds_the_next():
    world = engine(NUDGE)
    for view in range(3):
        for product in ("p1", "p2"):
            world.send(view * HOUR, product_id=product, userId="u1")
    await world.run()
    assert timeline(world) == [(120, "notify:nudge")]
    assert [row["held"] for row in world.decisions(acts=False) if row["held"]] == ["limit"]


async def test_a_repeat_of_a_message_is_dropped_and_counted():
    world = engine(NUDGE)
    for _ in range(5):
        world.send(0, product_id="p1", userId="u1", messageId="same")
    await world.run()
    assert world.counts()["duplicate"] == 4
    assert world.counts()["processed"] == 1
    assert world.decisions() == []
    assert sum(len(entry.get("skipped", [])) for entry in world.entries()) == 4


async def test_a_file_replayed_twice_changes_nothing_however_late():
    world = engine(NUDGE)
    for again in range(2):
        for row in range(1500):
            world.send(row * 1000, product_id="p", userId="u1", messageId=f"r{row}", row=["f", row],
                       log_time=START + again * 30 * DAY + row)  # fmt: skip
    await world.run()
    assert world.counts()["processed"] == 1500
    assert world.counts()["duplicate"] == 1500


async def test_an_anonymous_cart_is_rescued_for_the_customer_it_became():
    world = engine(RESCUE)
    add(world, 0, anonymousId="anon")
    world.send(5 * MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    world.tick(HOUR)
    await world.run()
    assert timeline(world) == [(30, "notify:cart_waiting")]
    assert world.decisions()[0]["cid"] == "u:u9"
    links = [
        row for entry in world.entries() for row in entry.get("facts", {}).get("identities", ())
    ]
    assert [(row["alias"], row["cid"]) for row in links] == [("a:anon", "u:u9")]


async def test_who_paid_on_the_known_side_is_not_rescued_for_the_anonymous_cart():
    world = engine(RESCUE)
    add(world, 0, anonymousId="anon")
    world.send(4 * MINUTE, "Order Paid", order_id="o1", cart_id="c1", total=260, userId="u9")
    world.send(5 * MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    world.tick(2 * DAY)
    await world.run()
    assert timeline(world) == []


async def test_late_events_of_the_anonymous_reach_the_customer_and_repeats_do_not():
    world = engine(NUDGE)
    world.send(0, product_id="p1", anonymousId="anon", messageId="first")
    world.send(MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    world.send(0, product_id="p1", anonymousId="anon", messageId="first")
    world.send(2 * MINUTE, product_id="p1", anonymousId="anon")
    await world.run()
    world.send(3 * MINUTE, product_id="p1", userId="u9")
    await world.run()
    assert timeline(world) == [(3, "notify:nudge")]
    counts = world.counts()
    assert counts["events"] == counts["processed"] + counts["duplicate"] == 5


async def test_chains_end_at_the_last_id_and_circles_are_refused():
    world = engine(NUDGE)
    world.send(0, product_id="p1", anonymousId="a1")
    world.send(1, type="identify", userId="u1", anonymousId="a1")
    await world.run()
    world.send(2, type="alias", userId="u2", previousId="u1")
    await world.run()
    world.send(3, type="alias", userId="u1", previousId="u2")
    await world.run()
    world.send(4, product_id="p1", anonymousId="a1")
    world.send(5, product_id="p1", userId="u1")
    await world.run()
    (row,) = world.decisions()
    assert row["cid"] == "u:u2"
    links = [
        row for entry in world.entries() for row in entry.get("facts", {}).get("identities", ())
    ]
    final = {row["alias"]: row["cid"] for row in sorted(links, key=lambda row: row["version"])}
    assert final["a:a1"] == final["u:u1"] == "u:u2"


async def test_two_ids_that_claim_each_other_at_once_become_one():
    world = engine(NUDGE)
    world.send(0, product_id="p1", userId="u1")
    world.send(1, product_id="p1", userId="u2")
    await world.run()
    world.send(2, type="alias", userId="u2", previousId="u1")
    world.send(2, type="alias", userId="u1", previousId="u2")
    await world.run()
    world.send(3, product_id="p1", userId="u1")
    await world.run()
    assert len(world.decisions()) == 1
    moved = [world.customer(f"u:u{n}").state("engine").identity.moved_to for n in (1, 2)]
    assert sorted(moved) == ["", "u:u1"]


@pytest.mark.parametrize(
    "names", [("u1", "u2"), ("u2", "u1"), ("u2", "u4"), ("u1", "u2", "u3"), ("u4", "u1", "u2")]
)
async def test_no_repeat_slips_through_while_ids_claim_each_other_in_a_ring(names):
    world = engine(NUDGE)
    await world.open()
    for name in names:
        world.send(0, product_id="p1", userId=name, messageId=f"view of {name}")
    for name, other in zip(names, (*names[1:], names[0]), strict=True):
        world.send(2, type="alias", userId=name, previousId=other)
    for _ in range(20):  # longer than all letters of the two are under way
        for worker in world.workers:
            await worker.process(world.logs[worker.number][worker.next_offset :])
        world.carry()
        for name in names:
            world.send(3, product_id="p1", userId=name, messageId=f"view of {name}")
    await world.run()
    assert world.counts()["processed"] == 2 * len(names)
    assert world.decisions() == []


@pytest.mark.parametrize("names", [("u1", "u2", "u3"), ("u3", "u2", "u1"), ("u2", "u4", "u6")])
async def test_three_ids_that_claim_each_other_in_a_ring_become_one(names):
    world = engine(NUDGE)
    await world.open()
    for name in names:
        world.send(0, product_id="p1", userId=name, messageId=f"view of {name}")
    for name, other in zip(names, (*names[1:], names[0]), strict=True):
        world.send(2, type="alias", userId=name, previousId=other)
    await world.run()
    for name in names:
        world.send(3, product_id="p1", userId=name, messageId=f"view of {name}")
    world.send(4, product_id="p1", userId=names[0])
    await world.run()
    assert world.counts()["processed"] == 7
    assert [row["cid"] for row in world.decisions()] == [f"u:{min(names)}"]


async def test_a_shared_tablet_belongs_to_its_first_claimant():
    world = engine(NUDGE)
    world.send(0, product_id="p1", anonymousId="tablet")
    world.send(1, type="identify", userId="u1", anonymousId="tablet")
    await world.run()
    world.send(2, type="identify", userId="u2", anonymousId="tablet")
    await world.run()
    assert world.customer("a:tablet").state("engine").identity.moved_to == "u:u1"
    assert world.customer("u:u2").state("engine").identity.aliases == []


@pytest.mark.parametrize(("batch", "warm"), [(1, 1000), (3, 2), (40, 0), (1000, 5)])
async def test_ids_do_not_depend_on_batches_nor_on_who_is_at_hand(batch, warm):
    def story(world: MemoryEngine) -> None:
        for n in range(40):
            who = {"anonymousId": f"a{n % 7}"} if n % 3 else {"userId": f"u{n % 5}"}
            add(world, n * MINUTE, 250 + n, **who)
            world.send(n * MINUTE + 1, product_id="p1", **who)
            if n % 6 == 5:
                world.send(
                    n * MINUTE + 2, type="identify", userId=f"u{n % 5}", anonymousId=f"a{n % 7}"
                )
        world.tick(3 * DAY)

    async def told(size: int, at_hand: int) -> tuple[list[dict], list[dict]]:
        world = engine(RESCUE, NUDGE, batch=size)
        await world.open()
        for worker in world.workers:
            worker.warm_max = at_hand
        story(world)
        await world.run()
        letters = [
            {k: v for k, v in row.items() if k != "body"} for row in world.gathered("letters")
        ]
        return world.decisions(acts=False), letters

    assert await told(batch, warm) == await told(17, 0)


async def test_a_bad_record_goes_aside_and_its_neighbours_are_decided():
    world = engine(NUDGE)
    for n in range(3):
        world.send(n, product_id="p1", userId="u1")
        if n == 1:
            shard = next(i for i, log in enumerate(world.logs) if len(log) > 1)
            world.append(shard, b"u:u1", b"{not json", START + 2)
    await world.run()
    assert timeline(world) == [(0, "notify:nudge")]
    (row,) = world.gathered("quarantine")
    assert row["reason"] == "unreadable"
    assert world.counts()["quarantined"] == 1


async def test_a_poison_event_of_one_who_moved_goes_aside_and_the_letters_after_it_arrive():
    world = engine(NUDGE)
    world.send(0, product_id="p1", anonymousId="anon")
    world.send(MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    shard = next(i for i, log in enumerate(world.logs) if any(r.key == b"a:anon" for r in log))
    poison = {"type": "track", "event": "Product Added", "messageId": "bad", "source": "foreign",
              "timestamp": START, "receivedAt": START, "anonymousId": "anon",
              "properties": {"product_id": "p1", "price": "much"}}  # fmt: skip
    world.append(shard, b"a:anon", orjson.dumps(poison), START + HOUR)
    world.send(2 * HOUR, product_id="p1", anonymousId="anon")
    world.send(2 * HOUR, product_id="p1", anonymousId="anon")
    await world.run()
    assert timeline(world) == [(120, "notify:nudge")]
    assert [row["reason"] for row in world.gathered("quarantine")] == ["poison"]
    counts = world.counts()
    assert counts["events"] == counts["processed"] + counts["quarantined"] == 5


async def test_a_stream_that_fails_stops_the_worker_instead_of_emptying_into_quarantine():
    world = engine(NUDGE)
    for _ in range(150):
        world.append(0, b"u:u1", b"[]", START)
    with pytest.raises(Stopped, match="quarantined"):
        await world.run()


async def test_a_hole_in_the_log_stops_the_shard():
    world = engine(NUDGE)
    await world.open()
    with pytest.raises(Stopped, match="records are lost"):
        await world.workers[0].process([Record(5, START, b"!tick", b"{}")])


async def test_a_hole_within_a_batch_stops_the_shard_before_anything_is_decided():
    world = engine(NUDGE)
    await world.run()
    worker = world.workers[0]
    start = worker.next_offset
    batch = [Record(start + n, START, b"!tick", b"{}") for n in (0, 1, 3)]
    with pytest.raises(Stopped, match=f"offset {start + 3} but offset {start + 2} was not"):
        await worker.process(batch)
    assert worker.next_offset == start


async def test_a_second_owner_fences_the_first():
    world = engine(NUDGE)
    await world.run()
    first = world.workers
    await world.open()
    world.send(0, product_id="p1", userId="u1")
    shard = next(i for i, log in enumerate(world.logs) if log[-1].key == b"u:u1")
    with pytest.raises(Fenced):
        await first[shard].process(world.logs[shard][first[shard].next_offset :])


async def test_a_purchase_within_a_day_closes_the_example_with_one_and_its_absence_with_zero():
    world = engine(NUDGE)
    world.send(0, product_id="p1", userId="buyer")
    world.send(HOUR, "Order Completed", order_id="o1", total=10, userId="buyer")
    world.send(0, product_id="p1", userId="looker")
    world.tick(2 * DAY)
    await world.run()
    examples = [row for row in world.gathered("examples") if row["model"] == MODEL]
    labels = {row["cid"]: row["label"] for row in examples}
    assert labels == {"u:buyer": 1, "u:looker": 0}


@pytest.mark.parametrize("batch", [1, 100])
async def test_an_example_alone_wakes_nobody_for_a_day_yet_who_comes_closes_it(batch):
    world = engine(NUDGE, batch=batch)
    world.tick(0)
    for who in ("comes", "away"):
        world.send(0, product_id="p1", userId=who)
    world.tick(DAY + HOUR)
    await world.run()
    assert closed(world) == set()  # whoever happens to be at hand
    world.send(DAY + 2 * HOUR, product_id="p1", userId="comes")
    world.tick(DAY + 3 * HOUR)
    await world.run()
    assert closed(world) == {("u:comes", START)}
    world.tick(2 * DAY)
    await world.run()
    assert closed(world) == {("u:comes", START), ("u:away", START)}


def closed(world):
    rows = [row for row in world.gathered("examples") if row["model"] == MODEL]
    assert not any(row["label"] for row in rows)
    return {(row["cid"], row["at"]) for row in rows}


async def test_a_late_event_updates_features_and_does_not_fire_what_is_past():
    world = engine(NUDGE, record=False)
    for n in range(3):
        world.send(n * MINUTE, product_id="p1", userId="u1", log_time=START + 2 * HOUR)
    await world.run()
    assert world.decisions() == []
    assert [row["held"] for row in world.decisions(acts=False)] == ["late"]
