"""Who is who on the memory store: anonymous carts, chains, rings, a shared tablet."""

import pytest

from tests.carts import NUDGE, RESCUE, add, engine, timeline
from tests.memory_engine import DAY, HOUR, MINUTE


def linked(world):
    return [
        row for entry in world.entries() for row in entry.get("facts", {}).get("identities", ())
    ]


async def ring(names):
    """An engine in which each of them has viewed once and claims the next."""
    world = engine(NUDGE)
    await world.open()
    for name in names:
        world.send(0, product_id="p1", userId=name, messageId=f"view of {name}")
    for name, other in zip(names, (*names[1:], names[0]), strict=True):
        world.send(2, type="alias", userId=name, previousId=other)
    return world


async def test_an_anonymous_cart_is_rescued_for_the_customer_it_became():
    world = engine(RESCUE)
    add(world, 0, anonymousId="anon")
    world.send(5 * MINUTE, type="identify", userId="u9", anonymousId="anon")
    await world.run()
    world.tick(HOUR)
    await world.run()
    assert timeline(world) == [(30, "notify:cart_waiting")]
    assert world.decisions()[0]["cid"] == "u:u9"
    assert [(row["alias"], row["cid"]) for row in linked(world)] == [("a:anon", "u:u9")]


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
    final = {
        row["alias"]: row["cid"] for row in sorted(linked(world), key=lambda row: row["version"])
    }
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
    world = await ring(names)
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
    world = await ring(names)
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
