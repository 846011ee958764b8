"""The core on the memory store: journeys, dedup, batches; a clock driven by hand."""

import pytest

from features.models.purchase import MODEL
from tests.carts import BACK, NUDGE, RESCUE, add, engine, timeline
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine


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


async def test_a_purchase_within_a_day_is_told_at_the_examples_deadline_as_its_absence_is():
    world = engine(NUDGE)
    for who in ("buyer", "looker", "late"):
        world.send(0, product_id="p1", userId=who)
    world.send(HOUR, "Order Completed", order_id="o1", total=10, userId="buyer")
    world.send(2 * HOUR, product_id="p1", userId="buyer")
    world.tick(DAY - HOUR)
    await world.run()
    assert labels(world) == {}
    world.send(DAY + HOUR, "Order Completed", order_id="o2", total=10, userId="late")
    world.tick(3 * DAY)
    await world.run()
    assert labels(world) == {"u:buyer": 1, "u:looker": 0, "u:late": 0}


@pytest.mark.parametrize("buyer", ["visitor", "user", "united"])
async def test_of_two_who_are_one_the_first_example_tells_what_either_bought(buyer):
    world = engine(NUDGE)
    visitor, user = {"anonymousId": "v"}, {"userId": "u"}
    world.send(0, product_id="p1", **visitor)
    world.send(HOUR, product_id="p1", **user)
    buyers = {"visitor": visitor, "user": user}
    if who := buyers.get(buyer):
        world.send(2 * HOUR, "Order Completed", order_id="o1", total=10, **who)
    world.send(3 * HOUR, type="identify", **visitor, **user)
    await world.run()
    if buyer == "united":
        world.send(4 * HOUR, "Order Completed", order_id="o1", total=10, **user)
    world.tick(3 * DAY)
    await world.run()
    told = [(row["cid"], row["at"], row["label"]) for row in examples(world)]
    assert told == [("u:u", START, 1)]


def examples(world):
    return [row for row in world.gathered("examples") if row["model"] == MODEL]


def labels(world):
    return {row["cid"]: row["label"] for row in examples(world)}


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
    rows = examples(world)
    assert not any(row["label"] for row in rows)
    return {(row["cid"], row["at"]) for row in rows}


async def test_a_late_event_updates_features_and_does_not_fire_what_is_past():
    world = engine(NUDGE, record=False)
    for n in range(3):
        world.send(n * MINUTE, product_id="p1", userId="u1", log_time=START + 2 * HOUR)
    await world.run()
    assert world.decisions() == []
    assert [row["held"] for row in world.decisions(acts=False)] == ["late"]
