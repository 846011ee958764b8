"""Pages that ask: a proposal writes nothing, what was shown is a decision, a claim is one coupon."""

import asyncio
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.answers import noted
from engine.effects import Moment, Settings
from engine.redeeming import OURS
from engine.requests import ASKED, propose
from engine.shards import partition
from features.events import Event, encode, key, parse
from rules.load import book_from_sources, load_text
from simulator.rule_tests import run_examples
from tests.memory_engine import HOUR, MINUTE, START, MemoryEngine

BANNER = """
rule: banner
title: t
owner: o
status: live
when:
  request: home
  if: event.page != "checkout"
if: visits.count >= 1
once_per: day
holdout: %d%%
limit: 1 per 7d
%s
do:
  - show: {template: hello, with: {n: "= visits.count"}}
  - coupon: {offer: SAVE, off: 10, valid: 48h}
examples:
  - given:
      - {at: 0m, event: Product Viewed, product_id: p}
      - {at: 1m, request: home, page: start}
      - {at: 2m, request: elsewhere}
      - {at: 3m, request: home, page: start}
    expect:
      - {at: 1m, show: hello, coupon: SAVE}
      - {at: 3m, held: once_per}
  - given:
      - {at: 0m, event: Product Viewed, product_id: p}
      - {at: 1m, request: home, page: checkout}
    expect: []
"""
LATER = BANNER.replace("rule: banner", "rule: later\npriority: 10") % (0, "")


def world_of(*rules, shards=4, holdout=0, more="", record=True):
    sources = {f"campaigns/r{i}.yaml": rule for i, rule in enumerate(rules)}
    sources |= {"campaigns/banner.yaml": BANNER % (holdout, more)}
    world = MemoryEngine(sources, shards=shards, record=record)
    world.book = book_from_sources(sources)
    return world


def asked(world, who="u1", at=HOUR, page="home"):
    """The proposals for a page, as the API computes them."""
    customer = world.customer(f"u:{who}")
    moment = Moment(Settings(0, 1, b"secret-of-the-tests"), world.book, START + at, 0)
    event = Event(
        type="track", name=ASKED, message_id="r", at=START + at, received_at=START + at,
        source=OURS, user_id=who, properties={"page": page},
    )  # fmt: skip
    return propose(customer, "home", event, moment)


def tell(world, what, row, at=HOUR, **more):
    """What the API appends when a page tells that it showed a proposal, or claims it."""
    said = {name: row[name] for name in ("rule", "run", "step", "split", "arm", "decision_id")}
    said |= {"subject": row["instance"], **more}
    call = {
        "type": "track", "event": what, "messageId": f"{what}{row['decision_id']}{more}",
        "userId": row["cid"][2:], "timestamp": START + at, "properties": said,
    }  # fmt: skip
    event = parse(call, source=OURS, received_at=START + at)
    where = key(event)
    world.append(partition(where, world.shards), where, encode(event), START + at)


def claim(world, row, at=HOUR):
    tell(world, "Offer Claimed", row, at, claim=f"{row['decision_id']}:claim")


def answer(world, row):
    return noted(world.customer(row["cid"]), f"{row['decision_id']}:claim")


def test_a_page_in_an_example_sees_and_claims_at_once():
    book = load_text(BANNER % (0, ""), "banner.yaml")
    assert [str(one) for one in run_examples(book) if not one.passed] == []


async def test_a_proposal_writes_nothing_and_what_was_shown_is_one_decision():
    world = world_of()
    world.send(0, userId="u1", product_id="p")
    await world.run()
    before = world.customer("u:u1").encode()
    (row,) = asked(world)
    assert [one["kind"] for one in row["actions"]] == ["show", "coupon"]
    assert row["actions"][0]["with"] == {"n": 1}
    assert asked(world, page="checkout") == []
    assert world.customer("u:u1").encode() == before
    for _ in range(2):
        tell(world, "Offer Shown", row)
    tell(world, "Offer Shown", row, at=HOUR + 1, again=1)
    await world.run()
    (shown,) = world.decisions(acts=False)
    assert shown["decision_id"] == row["decision_id"]
    assert [one["kind"] for one in shown["actions"]] == ["show"]
    assert asked(world) == []
    assert asked(world, at=30 * HOUR) == []  # its limit counts what was shown


async def test_who_is_held_out_is_told_of_and_the_next_rule_shows():
    world = world_of(LATER, holdout=100)
    world.send(0, userId="u1", product_id="p")
    await world.run()
    held, shown = asked(world)
    assert (held["rule"], held["arm"], held["actions"]) == ("banner", "holdout", [])
    assert shown["rule"] == "later"
    tell(world, "Offer Shown", held)
    await world.run()
    (row,) = world.decisions(acts=False)
    assert (row["decision_id"], row["held"], row["arm"]) == (
        held["decision_id"],
        "holdout",
        "holdout",
    )


async def test_a_claim_is_a_coupon_of_his_and_a_second_one_the_same():
    world = world_of()
    world.send(0, userId="u1", product_id="p")
    await world.run()
    (row,) = asked(world)
    claim(world, row)
    claim(world, row, at=2 * HOUR)
    await world.run()
    shown, claimed = world.decisions()
    assert [one["kind"] for one in chain(shown["actions"], claimed["actions"])] == [
        "show",
        "coupon",
    ]
    told = answer(world, row)
    assert told["ok"]
    assert told["code"] == claimed["actions"][0]["code"]
    assert list(world.customer("u:u1").state("coupons").coupons) == [told["code"]]


async def test_an_answer_that_is_not_kept_any_more_is_given_again():
    world = world_of()
    world.send(0, userId="u1", product_id="p")
    await world.run()
    (row,) = asked(world)
    for hours in range(1, 26):
        tell(world, "Offer Claimed", row, hours * HOUR, claim=f"{row['decision_id']}:{hours}")
    await world.run()
    customer = world.customer("u:u1")
    kept = customer.state("answers").kept
    assert len(kept) == 20
    assert {one["code"] for one in kept.values()} == {*customer.state("coupons").coupons}


async def test_a_claim_of_a_rule_that_is_no_more_is_refused():
    world = world_of()
    world.send(0, userId="u1", product_id="p")
    await world.run()
    (row,) = asked(world)
    world.publish({"campaigns/other.yaml": LATER}, HOUR)
    claim(world, row)
    await world.run()
    assert answer(world, row)["reason"] == "rule"
    assert world.decisions(acts=False) == []


@settings(max_examples=25, deadline=None)
@given(
    shards=st.integers(1, 5),
    record=st.booleans(),
    limit=st.integers(0, 5),
    order=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=50),
)
def test_fifty_claims_in_any_order_never_spend_more_than_the_budget(shards, record, limit, order):
    """Of customers on any shard, some claiming the same proposal again; ticks end what waits."""
    world = world_of(
        shards=shards, record=record, more=f"budget: {{coupons: {limit or 1} per day}}"
    )
    asyncio.run(_claims(world, order))
    codes = [
        one["code"]
        for row in world.decisions()
        for one in row["actions"]
        if one["kind"] == "coupon"
    ]
    people = {who for who, _ in order}
    assert len(codes) == len(set(codes)) == min(limit or 1, len(people))
    told = [answer(world, row) for row in world.rows.values()]
    assert sorted(one["code"] for one in told if one["ok"]) == sorted(codes)
    assert {one.get("reason", "budget") for one in told} == {"budget"}


async def _claims(world, order):
    for who in {who for who, _ in order}:
        world.send(0, userId=f"u{who}", product_id="p")
    await world.run()
    world.rows = {who: asked(world, f"u{who}", MINUTE)[0] for who in {who for who, _ in order}}
    for number, (who, again) in enumerate(order):
        for more in range(again + 1):
            tell(
                world, "Offer Claimed", world.rows[who], 2 * MINUTE + number, n=more,
                claim=f"{world.rows[who]['decision_id']}:claim",
            )  # fmt: skip
    await world.run()
    for hours in range(1, 4):
        world.tick(hours * HOUR)
        await world.run()
