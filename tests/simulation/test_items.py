"""Items: an event about a product or a live room reaches who holds it, and nobody else."""

import pytest

from engine import items
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

DROP = """
rule: price-drop
title: t
owner: o
status: live
when:
  item: Product Price Changed
  held_in: [cart, favourites]
  if: event.price <= product.price_when_added * 0.9
once_per: product
holdout: 0%
do:
  - notify: {via: [push], template: miss_you, with: {before: "= product.price_when_added"}}
"""


def ruled(**changes: str) -> dict[str, str]:
    text = DROP
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return {"campaigns/a.yaml": text}


HELD = "held_in: [cart, favourites]"
IF = "\n  if: event.price <= product.price_when_added * 0.9"
WITH = ', with: {before: "= product.price_when_added"}'


def about(**changes: tuple[str, str]) -> dict[str, str]:
    return ruled(when=(IF, ""), with_=(WITH, ""), **changes)


def cids(world: MemoryEngine) -> list[str]:
    return sorted(row["cid"] for row in world.decisions())


def added(world: MemoryEngine, at: int, who: str, product: str = "p1", price: int = 100) -> None:
    world.send(at, "Product Added", product_id=product, price=price, quantity=1, userId=who)


async def settle(world: MemoryEngine, at: int, ticks: int = 2) -> None:
    """Letters arrive, the rounds go on."""
    await world.run()
    for number in range(ticks):
        world.tick(at + number * 1_000)
        await world.run()


async def test_a_price_drop_reaches_the_carts_and_favourites_that_hold_it():
    world = MemoryEngine(ruled())
    added(world, 0, "cart")
    added(world, 1, "cheap", price=80)
    added(world, 2, "other", product="p2")
    added(world, 3, "took-out")
    added(world, 4, "paid")
    world.send(5, "Product Viewed", product_id="p1", userId="looked")
    world.send(6, "Product Added to Wishlist", product_id="p1", price=100, userId="likes")
    added(world, 7, "likes")
    world.send(HOUR, "Product Removed", product_id="p1", userId="took-out")
    world.send(HOUR, "Order Paid", order_id="o", total=100, userId="paid")
    world.send(DAY, "Product Price Changed", product_id="p1", price=85)
    await settle(world, DAY + MINUTE)
    assert cids(world) == ["u:cart", "u:likes"]
    for row in world.decisions():
        assert row["at"] == START + DAY
        assert row["instance"] == "p1"
        assert row["actions"][0]["with"] == {"before": 100}


@pytest.mark.parametrize(
    ("holders", "reached"),
    [
        ("[cart]", ["u:cart"]), ("[favourites]", ["u:likes"]),
        ("[viewed]", ["u:viewed"]), ("[bought]", ["u:bought"]),
        ("[bought, viewed]", ["u:bought", "u:viewed"]),
    ],
)  # fmt: skip
async def test_each_holder_is_its_own(holders: str, reached: list[str]):
    world = MemoryEngine(about(held=(HELD, f"held_in: {holders}")))
    added(world, 0, "cart")
    world.send(1, "Product Added to Wishlist", product_id="p1", userId="likes")
    world.send(2, "Product Viewed", product_id="p1", userId="viewed")
    line = {"product_id": "p1", "price": 9, "quantity": 1}
    world.send(3, "Order Paid", order_id="o", total=9, products=[line], userId="bought")
    world.send(HOUR, "Product Price Changed", product_id="p1", price=1)
    await settle(world, HOUR + MINUTE)
    assert cids(world) == reached


async def test_a_live_room_reaches_who_joined_it_or_put_something_of_it_into_his_cart():
    for holders, reached in (("[viewed]", ["u:joined"]), ("[cart]", ["u:cart"])):
        rules = about(
            item=("Product Price Changed", "Live Ended"),
            held=(HELD, f"held_in: {holders}"), once=("once_per: product", "once_per: live"),
        )  # fmt: skip
        world = MemoryEngine(rules)
        world.send(0, "Live Stream Joined", live_id="l1", userId="joined")
        world.send(1, "Live Stream Joined", live_id="l2", userId="elsewhere")
        world.send(
            2, "Product Added", live_id="l1", product_id="p", price=9, quantity=1, userId="cart"
        )
        world.send(HOUR, "Live Ended", live_id="l1")
        await settle(world, HOUR + MINUTE)
        assert cids(world) == reached
        assert world.decisions()[0]["instance"] == "l1"


async def test_an_items_event_may_reach_an_audience():
    rules = about(
        item=("Product Price Changed", "Product Launched"), held=(HELD, "audience: everyone"),
    )  # fmt: skip
    rules["campaigns/a.yaml"] = rules["campaigns/a.yaml"].replace(
        "audience: everyone", "audience: everyone\n  if: event.brand == affinity.brand"
    )
    world = MemoryEngine(rules)
    for number in range(8):
        world.send(
            number, "Product Viewed", product_id=f"p{number}", brand="AB"[number % 2],
            userId=f"u{number}",
        )  # fmt: skip
    world.send(HOUR, "Product Launched", product_id="new", brand="A")
    await settle(world, HOUR + MINUTE)
    assert cids(world) == ["u:u0", "u:u2", "u:u4", "u:u6"]


@pytest.mark.parametrize("record", [True, False])
async def test_the_same_is_decided_whatever_the_shards_the_batches_and_what_comes_twice(
    record: bool,
):
    found = []
    for shards, batch in ((1, 100), (4, 1), (4, 1000)):
        rules = ruled(when=("  held_in", "  spread: 1h\n  held_in"))
        world = MemoryEngine(rules, shards=shards, batch=batch, record=record)
        for number in range(60):
            added(world, number, f"u{number}", price=100 + number)
        for repeat in range(2):  # the shop says it twice
            world.send(
                HOUR + repeat * MINUTE, "Product Price Changed", product_id="p1", price=99,
                messageId="m-price",
            )  # fmt: skip
        await world.run()
        for shard, log in enumerate(world.logs):  # and the relay sends its letters twice
            for letter in [one for one in log if one.key == b"!letter"]:
                world.append(shard, letter.key, letter.value, letter.log_time)
        for minute in range(61, 180, 2):
            world.tick(minute * MINUTE)
        await world.run()
        rows = world.decisions()
        found.append([(row["decision_id"], row["at"], row["cid"]) for row in rows])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 50  # from 110 on it is a tenth less
    assert len({at for _, at, _ in found[0]}) == 50


async def test_a_rule_that_is_new_finds_what_is_held_already():
    world = MemoryEngine(about(when_=("status: live", "status: draft")))
    added(world, 0, "early")
    await settle(world, HOUR)
    world.publish(about(), 2 * HOUR)
    world.send(2 * HOUR + 1, "Product Price Changed", product_id="p1", price=1)
    await settle(world, 2 * HOUR + MINUTE)
    assert cids(world) == ["u:early"]
    assert world.customer("u:early").cid == "u:early"


async def test_many_prices_change_at_once_and_share_commits():
    world = MemoryEngine(about(), shards=2, record=False)
    for number in range(300):
        added(world, number, f"u{number % 20}", product=f"p{number}")
        world.send(HOUR + number, "Product Price Changed", product_id=f"p{number}", price=1)
    world.send(HOUR, "Product Price Changed", product_id="p-nobody", price=1)
    await settle(world, HOUR + MINUTE, ticks=3)
    assert len(world.decisions()) == 300
    assert not any(worker._state.rounds for worker in world.workers)


async def test_an_items_event_from_a_clock_that_is_ahead_fires_nothing_before_its_time():
    lapse = (
        "rule: lapse\ntitle: t\nowner: o\nstatus: live\npurpose: service\n"
        "when: {inactive: 2h}\nonce_per: lapse\ndo:\n  - task: {team: t, title: t}\n"
    )
    rules = {"campaigns/drop.yaml": DROP, "campaigns/lapse.yaml": lapse}
    world = MemoryEngine(rules, shards=1, record=False)
    world.send(0, "Product Added", product_id="p", cart_id="c", price=100, userId="u")
    ahead = {"product_id": "p", "price": 1, "userId": "shop"}
    world.send(3 * HOUR, "Product Price Changed", log_time=START + HOUR, **ahead)
    await settle(world, HOUR)
    assert "lapse" not in {row["rule"] for row in world.decisions()}
    await settle(world, 2 * HOUR)
    assert "lapse" in {row["rule"] for row in world.decisions()}


async def test_of_too_many_rounds_a_later_word_replaces_an_earlier_and_others_are_told_of(
    monkeypatch,
):
    monkeypatch.setattr(items, "WAITING_MAX", 3)
    world = MemoryEngine(about(once=("once_per: product", "once_per: event")), shards=1)
    for n in range(4):
        what = {"product_id": f"p{n}", "price": 100, "quantity": 1}
        world.send(n, "Product Added", userId=f"u{n}", **what)
    world.tick(10)  # the round of the new rules
    for n, price in ((0, 9), (1, 8), (2, 7), (1, 6), (3, 5)):
        told = {"product_id": f"p{n}", "price": price}
        world.send(MINUTE + price, "Product Price Changed", userId="shop", **told)
    await world.run()
    world.tick(HOUR)
    await world.run()
    assert sorted((row["cid"], row["at"] - START - MINUTE) for row in world.decisions()) == [
        ("u:u0", 9), ("u:u1", 6), ("u:u2", 7),
    ]  # fmt: skip
    (aside,) = world.gathered("quarantine")
    assert (aside["reason"], '"p3"' in aside["body"]) == ("too_many_rounds", True)
    assert world.counts()["quarantined"] == 0
