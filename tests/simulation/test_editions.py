"""A rule edited while customers are inside: they finish on what they entered, or move."""

from itertools import pairwise

import pytest

from engine.editions import EDITIONS_MAX, kept
from rules.load import book_from_sources
from tests.memory_engine import DAY, HOUR, START, MemoryEngine

RULE = """
rule: way
title: %s
owner: o
status: %s
when: {event: Signed Up}
once_per: customer
holdout: 0%%
%sdo:
%s"""
ONE = "  - notify: {via: [push], template: a}\n"
OLD = f"{ONE}  - wait: 1d\n  - notify: {{via: [push], template: old}}\n  - wait: 1d\n{ONE}"
NEW = (
    f"{ONE}  - tag: {{add: new}}\n    as: other\n  - wait: 3d\n"
    "  - notify: {via: [push], template: new}\n"
)


def book(steps: str, *, title: str = "t", status: str = "live", top: str = "", **more: str):
    return {"campaigns/way.yaml": RULE % (title, status, top, steps), **more}


async def play(before, after, *, tick: int = 9 * DAY, **options) -> MemoryEngine:
    world = MemoryEngine(before, **options)
    world.send(0, "Signed Up", userId="u1")
    world.tick(HOUR)
    world.publish(after, 2 * HOUR)
    world.send(3 * HOUR, "Signed Up", userId="u2")
    world.tick(tick)
    await world.run()
    return world


def told(world: MemoryEngine, who: str = "u:u1") -> list[tuple[float, str]]:
    return [
        ((row["at"] - START) / HOUR, row["held"] or row["actions"][0].get("template", "tag"))
        for row in world.decisions(acts=False)
        if row["cid"] == who
    ]


@pytest.mark.parametrize("top", ["", "in_flight: finish\n"])
async def test_who_is_inside_finishes_on_the_version_he_entered(top):
    world = await play(book(OLD), book(NEW, top=top))
    assert told(world) == [(0, "a"), (24, "old"), (48, "a")]
    assert told(world, "u:u2") == [(3, "a"), (75, "new")]
    first = book_from_sources(book(OLD)).hash
    rows = world.decisions()
    assert {row["version"] for row in rows if row["cid"] == "u:u1"} == {first}
    assert all("moved_from" not in row["values"] for row in rows)


async def test_or_he_moves_and_the_decision_says_so():
    world = await play(book(OLD), book(NEW, top="in_flight: move\n"))
    assert told(world) == [(0, "a"), (24, "new")]  # his wait is as long as it was
    (row,) = [one for one in world.decisions() if one["at"] == START + DAY]
    assert row["values"]["moved_from"] == book_from_sources(book(OLD)).rules["way"].version
    assert row["version"] == book_from_sources(book(NEW, top="in_flight: move\n")).hash


async def test_who_stands_where_the_new_one_has_no_wait_is_out_and_it_is_said():
    world = await play(book(OLD), book(ONE, top="in_flight: move\n"))
    assert told(world) == [(0, "a"), (24, "edited")]


async def test_an_old_version_that_is_not_to_be_had_any_more_moves_him():
    world = MemoryEngine(book(OLD))
    world.send(0, "Signed Up", userId="u1")
    world.tick(HOUR)
    await world.run()
    old = book_from_sources(book(OLD))
    world.publish(book(NEW), 2 * HOUR)
    del world.store.bodies["rules", old.hash]
    world.tick(9 * DAY)
    await world.run()
    assert told(world) == [(0, "a"), (24, "new")]
    assert world.decisions()[-1]["values"] == {"moved_from": old.rules["way"].version}


async def test_a_worker_that_starts_again_reads_the_old_versions_again():
    world = MemoryEngine(book(OLD))
    world.send(0, "Signed Up", userId="u1")
    world.publish(book(NEW), 2 * HOUR)
    world.tick(3 * HOUR)
    await world.run()
    await world.open()
    world.tick(9 * DAY)
    await world.run()
    assert told(world) == [(0, "a"), (24, "old"), (48, "a")]


async def test_two_edits_are_two_old_versions_and_the_way_back_is_none():
    world = MemoryEngine(book(OLD))
    world.send(0, "Signed Up", userId="u1")
    world.publish(book(NEW), HOUR)
    world.send(2 * HOUR, "Signed Up", userId="u2")
    world.publish(book(OLD.replace("old", "newest")), 3 * HOUR)
    world.tick(4 * HOUR)
    await world.run()
    assert len(world.workers[0]._state.past) == 2
    world.publish(book(OLD), 5 * HOUR)
    world.tick(9 * DAY)
    await world.run()
    assert told(world) == [(0, "a"), (24, "old"), (48, "a")]
    assert told(world, "u:u2") == [(2, "a"), (74, "new")]


async def test_words_about_a_rule_are_no_edit_and_its_status_holds_for_all():
    world = await play(book(OLD), book(OLD, title="Another"))
    assert told(world) == [(0, "a"), (24, "old"), (48, "a")]
    assert world.workers[0]._state.past == {}
    world = await play(book(OLD), book(NEW, status="paused"))
    assert told(world) == [(0, "a"), (24, "paused")]
    world = await play(
        book(OLD), {"campaigns/other.yaml": book(NEW)["campaigns/way.yaml"].replace("way", "other")}
    )
    assert told(world) == [(0, "a")]  # a rule that is gone ends for everybody


async def test_an_old_version_still_hears_what_ends_or_delays_it():
    stops = "stop_on: [Order Completed]\n"
    for event, found in (("Order Completed", [(0, "a"), (20, "stopped")]), ("Cart Viewed", None)):
        world = MemoryEngine(book(OLD, top=stops))
        world.send(0, "Signed Up", userId="u1")
        world.publish(book(NEW), 2 * HOUR)
        world.send(20 * HOUR, event, order_id="o1", total=9, userId="u1")
        world.tick(9 * DAY)
        await world.run()
        assert told(world) == (found or [(0, "a"), (24, "old"), (48, "a")])


async def test_it_is_read_with_the_offers_segments_and_templates_of_its_time():
    steps = (
        "  - wait: 1d\n  - if: segment.keen\n    coupon: {offer: %s}\n"
        "  - notify: {via: [push], template: hello}\n"
    )
    around = {
        "offers/a.yaml": "offer: OLDEN\noff: 7\nvalid: 1d\n",
        "segments/k.yaml": "segment: keen\nif: orders.count < 1\n",
        "templates/hello.zh.push.j2": "{{ orders.count }}",
        "templates/hello.en.push.j2": "{{ orders.count }}",
    }
    after = {
        **around,
        "offers/a.yaml": "offer: NEWER\noff: 9\nvalid: 1d\n",
        "templates/hello.zh.push.j2": "hi",
        "templates/hello.en.push.j2": "hi",
    }
    world = await play(book(steps % "OLDEN", **around), book(steps % "NEWER", **after))
    (first, second) = [
        next(one for one in row["actions"] if one["kind"] == "coupon")
        for row in sorted(world.decisions(), key=lambda row: row["cid"])
    ]
    assert (first["offer"], first["off"], second["offer"]) == ("OLDEN", 7, "NEWER")


def test_a_shard_keeps_so_many_and_those_alone_that_are_needed():
    texts = [f"{ONE}  - wait: {n}d\n{ONE}" for n in range(1, EDITIONS_MAX + 9)]
    books = [book_from_sources(book(steps)) for steps in texts]
    past: dict[str, str] = {}
    for before, after in pairwise(books):
        past = kept(before, after, past)
    assert len(past) == EDITIONS_MAX
    assert books[-2].hash in past.values()
    assert books[0].hash not in past.values()
    moving = book_from_sources(book(NEW, top="in_flight: move\n"))
    assert kept(books[-1], moving, past) == {}


async def test_uniting_counts_a_wait_that_is_looked_up_anew():
    steps = "  - wait: {for: {by: member.tier, gold: 1h, else: 5h}, since_last: [Product Viewed]}\n"
    world = MemoryEngine(book(steps + ONE))
    world.send(0, "Signed Up", userId="u1")
    world.send(10 * 60_000, "Product Viewed", product_id="p", anonymousId="a1")
    world.send(20 * 60_000, type="identify", userId="u1", anonymousId="a1")
    world.tick(30 * 60_000)
    await world.run()
    world.tick(DAY)
    await world.run()
    assert told(world) == [(5 + 1 / 6, "a")]
