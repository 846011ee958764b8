"""Segments on the real core: who is in, when he moves, which rules hear of it, what is told."""

from pathlib import Path

import pytest

from engine.decide import meet
from engine.effects import Effects, Moment, Settings
from engine.journal import REGISTRY, memory
from engine.turn import Turn
from features.customer import Customer
from rules.load import book_from_sources
from simulator.rule_tests import run_examples
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

RULE = """
rule: {name}
title: t
owner: o
status: live
when: {when}
once_per: tick
holdout: 0%
do:
  - notify: {{via: [push], template: hello}}
"""
VIP = "segment: vip\nif: orders.net >= 1000\nstay: orders.net >= 900\n"
VALUE = """
segment: value
tiers:
  - tier: gold
    if: orders.net >= 5000
    stay: orders.net >= 4500
  - tier: silver
    if: orders.net >= 1000
"""
AWAY = "segment: away\nif: orders.days_since_last >= 30\n"


def rules(*segments: str, **when: str) -> dict[str, str]:
    found = {f"segments/{n}.yaml": text for n, text in enumerate(segments)}
    for name, text in when.items():
        found[f"campaigns/{name}.yaml"] = RULE.format(name=name, when=text)
    return found


def pay(world: MemoryEngine, at: int, total: float, who: str = "u") -> None:
    world.send(at, "Order Paid", userId=who, order_id=f"{who}{at}", total=total)


def refund(world: MemoryEngine, at: int, order_at: int, amount: float) -> None:
    world.send(at, "Order Refunded", userId="u", order_id=f"u{order_at}", refund_id=str(at),
               amount=amount, total=amount)  # fmt: skip


async def fired(world: MemoryEngine, until: int = 5 * DAY) -> list[tuple[str, float]]:
    world.tick(until)
    await world.run()
    return [(row["rule"], (row["at"] - START) / HOUR) for row in world.decisions()]


def moves(world: MemoryEngine) -> list[tuple[str, float, int]]:
    return [(row["segment"], (row["at"] - START) / HOUR, row["move"]) for row in rows_of(world)]


def rows_of(world: MemoryEngine) -> list[dict]:
    return [row for one in world.entries() for row in one.get("facts", {}).get("segment_moves", ())]


async def test_he_comes_in_stays_by_the_looser_condition_and_leaves():
    world = MemoryEngine(rules(VIP, come="{enters: vip}", go="{leaves: vip}"))
    pay(world, 0, 600)
    pay(world, HOUR, 500)
    refund(world, 2 * HOUR, 0, 150)  # 950: he stays
    refund(world, 3 * HOUR, 0, 100)  # 850: he leaves
    pay(world, 4 * HOUR, 100)  # 950: not enough to come in
    pay(world, 5 * HOUR, 100)
    assert await fired(world) == [("come", 1), ("go", 3), ("come", 5)]
    assert moves(world) == [("vip", 1, 1), ("vip", 3, -1), ("vip", 5, 1)]
    assert memory(world.customer("u:u")).journey.inside == {"vip": "vip"}


async def test_the_first_tier_that_holds_is_his():
    when = {
        "any": "{enters: value}",
        "gold": "{enters: value.gold}",
        "fell": "{leaves: value.gold}",
    }
    world = MemoryEngine(rules(VALUE, **when))
    pay(world, 0, 1200)
    pay(world, HOUR, 4000)
    refund(world, 2 * HOUR, HOUR, 600)  # 4600: gold still
    refund(world, 3 * HOUR, HOUR, 600)  # 4000: silver
    assert await fired(world) == [("any", 0), ("gold", 1), ("fell", 3)]
    assert memory(world.customer("u:u")).journey.inside == {"value": "silver"}
    assert moves(world) == [
        ("value", 0, 1), ("value.silver", 0, 1),
        ("value.silver", 1, -1), ("value.gold", 1, 1),
        ("value.gold", 3, -1), ("value.silver", 3, 1),
    ]  # fmt: skip


async def test_time_alone_moves_him_at_the_shops_midnight():
    world = MemoryEngine(rules(AWAY, come="{enters: away}", go="{leaves: away}"))
    pay(world, HOUR, 10)
    world.send(DAY, userId="u")
    world.tick(20 * DAY)
    pay(world, 70 * DAY, 10)
    # START is 08:00 in the shop's zone: the midnights come 16 hours later.
    assert await fired(world, 80 * DAY) == [("come", 30 * 24 + 16), ("go", 70 * 24)]


async def test_nobody_is_woken_each_night_for_nothing():
    world = MemoryEngine(rules(AWAY, come="{enters: away}"), shards=1)
    pay(world, 0, 10)
    asked = []
    for day in range(60):
        world.tick(day * DAY)
        await world.run()
        asked.append((memory(world.customer("u:u")).journey.asked - START - 16 * HOUR) // DAY)
    assert sorted(set(asked)) == [0, 4, 12, 30, 61]


async def test_a_new_segment_meets_those_who_are_there_in_silence():
    world = MemoryEngine({})
    pay(world, 0, 2000)
    pay(world, 0, 2000, "v")
    pay(world, 0, 10, "w")
    world.publish(rules(VIP, come="{enters: vip}", go="{leaves: vip}"), HOUR)
    pay(world, HOUR + 1, 5, "v")  # before the round reaches him
    world.tick(2 * HOUR)
    await world.run()
    assert await fired(world, 3 * HOUR) == []
    inside = [memory(world.customer(f"u:{one}")).journey.inside for one in "uvw"]
    assert inside == [{"vip": "vip"}, {"vip": "vip"}, {}]
    refund(world, 4 * HOUR, 0, 1500)
    pay(world, 5 * HOUR, 3000, "w")
    assert await fired(world) == [("go", 4), ("come", 5)]


async def test_an_edited_segment_moves_people_in_silence():
    world = MemoryEngine(rules(VIP, come="{enters: vip}"))
    pay(world, 0, 500)
    world.publish(
        rules(VIP.replace("1000", "400").replace("900", "300"), come="{enters: vip}"), HOUR
    )
    world.tick(2 * HOUR)
    assert await fired(world) == []
    assert moves(world) == [("vip", 1, 1)]
    world.publish(rules(VALUE, come="{enters: value}"), 6 * DAY)
    assert await fired(world, 7 * DAY) == []
    assert moves(world)[1:] == [("vip", 6 * 24, -1)]


async def test_rules_read_segments():
    files = rules(VIP, VALUE)
    files["campaigns/r.yaml"] = """
rule: r
title: t
owner: o
status: live
when: {event: Product Viewed}
if:
  - segment.vip
  - segment.value != "gold"
once_per: event
holdout: 0%
do:
  - notify: {via: [push], template: hello}
"""
    world = MemoryEngine(files)
    for n, total in enumerate((10, 1000, 5000)):
        pay(world, n * HOUR, total)
        world.send(n * HOUR + MINUTE, userId="u")
    assert [at for _, at in await fired(world)] == [1 + 1 / 60]


async def test_of_one_event_the_condition_reads_where_he_stands_after_it():
    files = rules(VIP, VALUE, go="{leaves: vip}")
    files["campaigns/go.yaml"] = files["campaigns/go.yaml"].replace(
        "once_per", 'if: segment.value != "silver"\nonce_per'
    )
    world = MemoryEngine(files)
    pay(world, 0, 1500)
    refund(world, HOUR, 0, 700)
    assert await fired(world) == [("go", 1)]


async def test_two_who_are_one_are_counted_once():
    world = MemoryEngine(rules(VIP, come="{enters: vip}"))
    world.send(0, "Order Paid", anonymousId="a", order_id="a1", total=1200)
    pay(world, 0, 700)
    world.send(HOUR, type="identify", userId="u", anonymousId="a")
    assert [rule for rule, _ in await fired(world)] == ["come"]
    sizes: dict[str, int] = {}
    for row in rows_of(world):
        sizes[row["cid"]] = sizes.get(row["cid"], 0) + row["move"]
    assert sizes == {"a:a": 0, "u:u": 1}
    assert memory(world.customer("u:u")).journey.inside == {"vip": "vip"}


async def test_who_comes_in_by_uniting_comes_in():
    world = MemoryEngine(rules(VIP, come="{enters: vip}"))
    world.send(0, "Order Paid", anonymousId="a", order_id="a1", total=600)
    pay(world, 0, 700)
    world.send(HOUR, type="identify", userId="u", anonymousId="a")
    assert await fired(world) == [("come", 1)]


@pytest.mark.parametrize("batch", [1, 7, 1000])
async def test_moves_do_not_depend_on_batches(batch: int):
    world = MemoryEngine(rules(VIP, VALUE, AWAY, come="{enters: away}"), batch=batch, shards=2)
    for n in range(60):
        pay(world, n * 7 * HOUR, 300 + n * 10, f"u{n % 7}")
    world.tick(60 * DAY)
    await world.run()
    rows = sorted(rows_of(world), key=lambda row: (row["cid"], row["seq"]))
    assert len({(row["cid"], row["seq"]) for row in rows}) == len(rows) > 20
    plain = [(row["cid"], row["seq"], row["at"], row["segment"], row["move"]) for row in rows]
    assert plain == (FIRST.setdefault("rows", plain))
    assert len(world.decisions()) == 7


FIRST: dict[str, list] = {}


def test_nothing_is_kept_of_who_is_in_no_segment():
    book = book_from_sources(rules(VIP))
    customer = Customer.decode("u:x", None, REGISTRY)
    settings = Settings(shard=0, shards=1, secret=b"x")
    turn = Turn(customer, Moment(settings, book, START, 0), Effects())
    meet(turn, START)
    assert (turn.journey.inside, turn.journey.asked) == ({}, 0)
    assert turn.journey.settled == book.standing


ROOT = Path(__file__).parents[2]
EXAMPLES = """
examples:
  - name: what an example lays over the catalog comes about with its first event
    customer: {orders.net: 25000, orders.count: 12, orders.refunds: 0}
    given: [{at: 5m, event: Product Viewed, product_id: p}]
    expect: [{at: 5m, notify: hello}]
  - name: by what he pays
    given:
      - {at: 0d, event: Order Paid, order_id: o, total: 30000}
    expect: []
"""
LEFT = """
examples:
  - name: 121 days after he paid, at midnight
    given: [{at: 0d, event: Order Paid, order_id: o, total: 6000}]
    expect: [{at: 121d, notify: hello}]
"""


def shipped() -> dict[str, str]:
    folder = ROOT / "rules" / "segments"
    return {f"segments/{path.name}": path.read_text() for path in folder.glob("*.yaml")}


@pytest.mark.parametrize("name", ["live-cart", "leaves-high-value", "suspicious", "tier-upgrade"])
def test_the_languages_own_examples_pass(name: str):
    text = (ROOT / "tests" / "contract" / "language" / f"{name}.yaml").read_text()
    book = book_from_sources({**shipped(), f"campaigns/{name}.yaml": text}, frozenset())
    assert [str(one) for one in run_examples(book) if not one.passed] == []


def test_examples_move_people_too():
    files = shipped()
    for name, when, examples in (
        ("in", "{enters: vip}", EXAMPLES),
        ("out", "{leaves: high_value}", LEFT),
    ):
        files[f"campaigns/{name}.yaml"] = RULE.format(name=name, when=when) + examples
    found = run_examples(book_from_sources(files))
    assert len(found) == 3
    assert [str(one) for one in found if not one.passed] == []
