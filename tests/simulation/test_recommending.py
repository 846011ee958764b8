"""Recommendations through the engine: what leaves to be learned, and what rules and pages show."""

import hashlib

import orjson

from engine.effects import Moment, Settings
from engine.records import MODEL as MODEL_RECORD
from engine.redeeming import OURS
from engine.requests import ASKED, SHOWN, propose
from engine.shards import partition
from features.events import Event, encode, key, parse
from features.models.recommend import MODEL, Scorer
from features.models.recommend_learner import Learner
from features.models.snapshot import pack
from rules.load import book_from_sources
from sinks.messages import messages_of
from sinks.outbox import Entry, EntryId
from sinks.rendering import rendered
from tests.memory_engine import DAY, HOUR, MINUTE, START, MemoryEngine

SECRET = b"secret-of-the-tests"
RULE = """
rule: {name}
title: t
owner: o
status: live
purpose: service
when: {{event: Product Viewed}}
once_per: {once}
do:
  - recommend: {{kind: {name}, n: 2}}
"""
PAGE = """
rule: shelf
title: t
owner: o
status: live
when: {request: shelf}
once_per: visit
holdout: 0%
do:
  - recommend: {kind: similar, n: 2}
"""
KINDS = ("for_you", "similar", "together", "trending")


def shop(once="product", batch=100):
    sources = {f"campaigns/{kind}.yaml": RULE.format(name=kind, once=once) for kind in KINDS}
    return MemoryEngine(sources, batch=batch)


def learned(world):
    """What the learner makes of the examples that have left so far."""
    learner = Learner()
    for example in world.gathered("examples"):
        if example["model"] == MODEL:
            learner.learn(example)
    return learner


def publish(world, learner, at):
    part = pack({"model": MODEL, "weights": learner.weights()}, SECRET)
    digest = hashlib.sha256(part).hexdigest()
    manifest = pack(
        {"scorers": {MODEL: digest}, "learners": {}, "cursors": {}, "log_time": 0, "figures": {}},
        SECRET,
    )
    name = hashlib.sha256(manifest).hexdigest()
    world.store.bodies["model", digest] = part
    world.store.bodies["model", name] = manifest
    for shard in range(world.shards):
        world.append(shard, MODEL_RECORD, orjson.dumps({"hash": name}), START + at)


def order(world, who, number, *products, at=0):
    lines = [{"product_id": name, "category": "tea", "price": 5} for name in products]
    world.send(at, "Order Paid", userId=who, order_id=f"{who}{number}", total=5, products=lines)


def mine(world):
    return [one for one in world.gathered("examples") if one["model"] == MODEL]


def chosen(world, who):
    return {
        row["rule"]: [item["product_id"] for item in row["actions"][0]["items"]]
        for row in world.decisions()
        if row["cid"] == who
    }


async def taught():
    """A shop of tea drinkers; its model in force from an hour on."""
    world = shop()
    for n in range(8):
        order(world, f"b{n}", 1, "tea", "pot", at=n)
        order(world, f"b{n}", 2, "tea", "cup", at=MINUTE + n)
        world.send(2 * MINUTE, product_id="tea", userId=f"b{n}")
        world.send(3 * MINUTE, product_id="mate", userId=f"b{n}")
        world.send(HOUR, "Signed In", userId=f"b{n}")
    await world.run()
    publish(world, learned(world), 2 * HOUR)
    return world


async def test_one_example_an_order_and_one_a_visit_that_is_over():
    world = shop()
    world.send(0, product_id="a", userId="u")
    world.send(MINUTE, product_id="b", userId="u", category="tea")
    order(world, "u", 1, "b", "c", at=2 * MINUTE)
    order(world, "u", 1, "b", "c", at=2 * MINUTE)  # the same again is no order
    world.send(HOUR, "Signed In", userId="u")
    world.send(DAY, product_id="x", userId="u")
    world.send(DAY + MINUTE, product_id="y", userId="u")
    world.send(DAY + 2 * MINUTE, product_id="x", userId="u")
    world.send(2 * DAY, "Signed In", userId="u")
    world.send(2 * DAY, "Signed In", userId="u")
    order(world, "u", 2, "c", "d", at=3 * DAY)
    world.send(4 * DAY, "Order Refunded", userId="u", order_id="u2", refund_id="r",
               products=[{"product_id": "d"}])  # fmt: skip
    await world.run()
    found = [
        {k: v for k, v in one.items() if k not in {"model", "cid", "at"}} for one in mine(world)
    ]
    facts = {name: ["tea", ""] for name in "bcd"}
    assert found == [
        {"basket": ["b", "c"], "viewed": ["a", "b"], "facts": {n: facts[n] for n in "bc"}},
        {"viewed": ["y", "x"]},
        {"basket": ["c", "d"], "had": ["b", "c"], "days": [2, 0], "facts": {n: facts[n] for n in "cd"}},
        {"returned": ["d"]},
    ]  # fmt: skip


async def test_a_view_is_an_example_only_while_the_product_is_not_known():
    world = await taught()
    await world.run()
    before = len(mine(world))
    for n in range(3):
        world.send(3 * HOUR + n, product_id="tea", category="tea", userId="v")
    await world.run()
    assert len(mine(world)) == before
    world.send(4 * HOUR, product_id="new", category="tea", brand="acme", userId="w")
    await world.run()
    assert {"new": ["tea", "acme"]} in [one.get("facts") for one in mine(world)]


async def test_rules_recommend_by_the_model_in_force():
    world = await taught()
    world.send(3 * HOUR, product_id="tea", userId="u")
    await world.run()
    found = chosen(world, "u:u")
    assert set(found["together"]) == {"pot", "cup"}
    assert found["similar"][0] == "mate"
    assert found["trending"][0] == "tea"
    assert set(found["for_you"]) <= {"pot", "cup", "mate", "tea"}


async def test_who_has_a_product_sees_it_as_the_rule_says():
    found = {}
    for bought in ("learned", "never", "always"):
        text = RULE.format(name="for_you", once="event").replace("n: 2", f"n: 9, bought: {bought}")
        world = MemoryEngine({"campaigns/r.yaml": text})
        for n in range(30):  # tea again and again, the pot once
            order(world, f"b{n}", 1, "tea", "pot", at=n)
            order(world, f"b{n}", 2, "tea", "cup", at=MINUTE + n)
            for more in range(3, 6):
                order(world, f"b{n}", more, "tea", at=more * MINUTE + n)
        await world.run()
        publish(world, learned(world), HOUR)
        world.send(2 * HOUR, product_id="x", userId="b1")
        await world.run()
        found |= {bought: chosen(world, "u:b1").get("for_you", [])}
    assert found["learned"] == ["tea"]
    assert found["never"] == []
    assert set(found["always"]) == {"tea", "pot", "cup"}


async def test_before_there_is_a_model_he_sees_what_he_looked_at():
    world = shop(once="event")
    world.send(0, product_id="p1", userId="u")
    world.send(1, product_id="p2", userId="u")
    await world.run()
    assert chosen(world, "u:u") == {
        "for_you": ["p2", "p1"], "similar": ["p1"], "together": ["p1"], "trending": ["p2", "p1"],
    }  # fmt: skip


async def test_what_is_out_of_stock_leaves_the_lists():
    world = await taught()
    world.send(3 * HOUR, "Product Stock Changed", product_id="pot", quantity=0)
    world.send(3 * HOUR, "Product Launched", product_id="new", category="tea", brand="acme")
    await world.run()
    publish(world, learned(world), 4 * HOUR)
    world.send(5 * HOUR, product_id="tea", userId="u")
    world.send(5 * HOUR, product_id="new", category="tea", userId="w")
    await world.run()
    assert chosen(world, "u:u")["together"][0] == "cup"
    assert "pot" not in chosen(world, "u:u")["together"]
    assert chosen(world, "u:w")["similar"] == ["tea", "cup"]  # as of its category


async def test_batches_of_any_size_leave_the_same_examples():
    found = []
    for batch in (1, 7, 100):
        world = shop(batch=batch)
        for n in range(30):
            world.send(n * 20 * MINUTE, product_id=f"p{n % 7}", userId=f"u{n % 3}")
            if n % 5 == 4:
                order(world, f"u{n % 3}", n, f"p{n % 7}", at=n * 20 * MINUTE + 1)
        await world.run()
        found.append(mine(world))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 5


def test_a_page_about_a_product_is_shown_what_is_similar_to_it():
    learner = Learner()
    for at in range(5):
        learner.learn({"model": MODEL, "cid": "u:1", "at": START + at, "viewed": ["tea", "mate"]})
    book = book_from_sources({"campaigns/p.yaml": PAGE})
    models = {MODEL: Scorer(learner.weights())}
    moment = Moment(Settings(0, 1, SECRET), book, START, 0, models)
    event = Event(
        type="track", name=ASKED, message_id="r", at=START, received_at=START, source=OURS,
        user_id="u", session_id="s", properties={"product_id": "tea"},
    )  # fmt: skip
    [row] = propose(MemoryEngine().customer("u:u"), "shelf", event, moment)
    assert row["actions"][0]["items"] == [{"product_id": "mate"}]


async def test_what_a_page_has_shown_is_what_is_kept_whatever_would_be_chosen_now():
    world = MemoryEngine({"campaigns/p.yaml": PAGE})
    world.send(0, product_id="tea", userId="u")
    await world.run()
    book = book_from_sources({"campaigns/p.yaml": PAGE})
    moment = Moment(Settings(0, 1, SECRET), book, START + HOUR, 0)
    event = Event(
        type="track", name=ASKED, message_id="r", at=START + HOUR, received_at=START + HOUR,
        source=OURS, user_id="u", session_id="s", properties={"product_id": "pot"},
    )  # fmt: skip
    [row] = propose(world.customer("u:u"), "shelf", event, moment)
    given = {name: row[name] for name in ("rule", "run", "step", "split", "arm", "decision_id")}
    call = {
        "type": "track", "event": SHOWN, "messageId": "s", "userId": "u", "timestamp": START + HOUR,
        "properties": {**given, "subject": row["instance"], "items": ["tea", "cup"]},
    }  # fmt: skip
    told = parse(call, source=OURS, received_at=START + HOUR)
    world.append(partition(key(told), world.shards), key(told), encode(told), START + HOUR)
    await world.run()
    [kept] = world.decisions()
    assert kept["decision_id"] == row["decision_id"]
    assert kept["actions"][0]["items"] == [{"product_id": "tea"}, {"product_id": "cup"}]


async def test_a_message_names_what_was_recommended():
    rule = RULE.format(name="for_you", once="event") + "  - notify: {via: [push], template: t}\n"
    text = "{% for one in items %}[{{ one.product_id }}]{% endfor %}"
    texts = {f"templates/t.{language}.push.j2": text for language in ("zh", "en")}
    sources = {"campaigns/r.yaml": rule, **texts}
    world = MemoryEngine(sources)
    world.send(0, product_id="tea", userId="u")
    world.send(1, product_id="pot", userId="u")
    await world.run()
    book = book_from_sources(sources)
    messages = [
        message
        for shard in range(world.shards)
        for name, body in world.store.shard(shard).outbox
        for message in messages_of(Entry(shard, EntryId(0, 0), body))
    ]
    assert [rendered(one, book, "zh").text for one in messages] == ["[tea]", "[pot][tea]"]
