"""What models say of a customer, read by rules and segments: laid over when it is asked for."""

import asyncio
import hashlib

import orjson
import pytest

from engine.effects import Effects, Moment, Settings
from engine.records import MODEL as MODEL_RECORD
from engine.scores import SCORES, scores_of
from engine.turn import Turn
from engine.why import why
from features.models import purchase
from features.models.names import SCORE_NAMES
from features.models.purchase import INPUTS
from features.models.snapshot import pack
from rules.load import book_from_sources
from simulator.rule_tests import run_examples
from tests.memory_engine import HOUR, START, MemoryEngine

SECRET = b"secret-of-the-tests"
RULE = """
rule: likely
title: t
owner: o
status: live
when: {event: Product Added}
if: purchase.chance_24h > 0.5
once_per: day
holdout: 0%
do:
  - points: {add: 10}
examples:
  - name: likely
    customer: {purchase.chance_24h: 0.9}
    given:
      - {at: 0m, event: Product Added, product_id: p, price: 10}
    expect:
      - {at: 0m, points: 10}
    until: 1h
  - name: hardly
    customer: {purchase.chance_24h: 0.1}
    given:
      - {at: 0m, event: Product Added, product_id: p, price: 10}
    expect: []
    until: 1h
"""
SEGMENT = "segment: hot\ntitle: t\nif: purchase.chance_24h > 0.5\n"
ENTERS = (
    RULE.partition("examples:")[0]
    .replace("rule: likely", "rule: enters")
    .replace("when: {event: Product Added}\nif: purchase.chance_24h > 0.5", "when: {enters: hot}")
)
PAUSE = 'pauses:\n  - "purchase.chance_24h > 0.95"\n'
RULES = {"campaigns/likely.yaml": RULE}


def weights(intercept):
    """A model for which who has things in the cart is likely to buy."""
    return {
        "model": purchase.MODEL, "intercept": intercept, "means": dict.fromkeys(INPUTS, 0.0),
        "weights": {**dict.fromkeys(INPUTS, 0.0), "cart.items": 2.0},
        "variances": dict.fromkeys(INPUTS, 1.0),
    }  # fmt: skip


def publish(world, intercept, at):
    """As the learner does: the scorer and its manifest, then a record in every shard's log."""
    bodies = world.store.bodies

    def keep(body):
        digest = hashlib.sha256(body).hexdigest()
        bodies["model", digest] = body
        return digest

    part = keep(pack({"model": purchase.MODEL, "weights": weights(intercept)}, SECRET))
    named = {"scorers": {purchase.MODEL: part}, "learners": {}, "cursors": {}}
    digest = keep(pack(named, SECRET))
    for shard in range(world.shards):
        world.append(shard, MODEL_RECORD, orjson.dumps({"hash": digest}), START + at)
    return digest


def added(world, at, user, number=3):
    for n in range(number):
        world.send(at + n, "Product Added", userId=user, product_id=f"p{n}", price=10)


def test_a_rule_reads_a_score_and_its_row_says_what_it_read_and_by_which_models():
    world = MemoryEngine(RULES)
    added(world, 0, "early")
    version = publish(world, -1.5, HOUR)
    added(world, 2 * HOUR, "likely")
    added(world, 2 * HOUR, "hardly", number=1)
    asyncio.run(world.run())
    rows = {row["cid"]: row for row in world.decisions(acts=False) if row["result"] == "act"}
    assert rows.keys() == {"u:likely"}
    row = rows["u:likely"]
    customer = world.customer("u:likely")
    assert row["model_version"] == version
    assert 0.5 < float(row["values"]["purchase.chance_24h"]) < 1
    scorer = purchase.Scorer(weights(-1.5))
    first = [0.0] * len(INPUTS)
    first[INPUTS.index("cart.items")] = 1.0986122886681098  # two in the cart
    assert float(row["values"]["purchase.chance_24h"]) == pytest.approx(scorer.score(first))
    assert customer is not None


def test_without_a_model_a_score_is_missing():
    world = MemoryEngine(RULES)
    added(world, 0, "u")
    asyncio.run(world.run())
    assert not world.decisions()
    moment = Moment(Settings(0, 1, SECRET), book_from_sources(RULES), START, 0)
    assert scores_of(world.customer("u:u"), moment, START) == {}
    assert all(score(world.customer("u:u"), moment, START) is None for score in SCORES.values())
    found = why(Turn(world.customer("u:u"), moment, Effects()), moment.book.rules["likely"], START)
    assert "no model has learned yet: purchase.chance_24h cannot be known" in found.facts
    assert [(one.answer, one.values) for one in found.condition] == [
        ("unknown", (("purchase.chance_24h", "not known"),))
    ]


def test_why_says_the_score_and_of_which_version_it_is():
    world = MemoryEngine(RULES)
    added(world, 0, "u")
    asyncio.run(world.run())
    models = {purchase.MODEL: purchase.Scorer(weights(-3.0))}
    book = book_from_sources(RULES)
    moment = Moment(Settings(0, 1, SECRET), book, START + HOUR, 0, models, "ab" * 32)
    found = why(Turn(world.customer("u:u"), moment, Effects()), book.rules["likely"], START)
    assert "purchase.chance_24h by the models of version abababababab" in found.facts
    (clause,) = found.condition
    assert str(clause) == (
        "`purchase.chance_24h > 0.5`: no, purchase.chance_24h is 0.4434; above 0.5 it would hold"
    )


def test_an_example_sets_a_score():
    assert [str(one) for one in run_examples(book_from_sources(RULES)) if one.why] == []


def test_a_segment_reads_a_score_and_moves_with_it():
    rules = {"campaigns/e.yaml": ENTERS, "segments/hot.yaml": SEGMENT}
    world = MemoryEngine(rules)
    publish(world, -1.5, 0)
    added(world, HOUR, "u", number=1)
    added(world, 2 * HOUR, "u")
    asyncio.run(world.run())
    (row,) = world.decisions()
    assert row["rule"] == "enters"
    (move,) = [
        row for entry in world.entries() for row in entry.get("facts", {}).get("segment_moves", ())
    ]
    assert (move["segment"], move["move"], move["cid"]) == ("hot", 1, "u:u")


def test_a_pause_of_the_shop_reads_a_score_though_the_rule_does_not():
    rule = RULE.partition("examples:")[0].replace("if: purchase.chance_24h > 0.5\n", "")
    world = MemoryEngine({"campaigns/r.yaml": rule, "shop.yaml": PAUSE})
    publish(world, 5.0, 0)
    added(world, HOUR, "u", number=1)
    asyncio.run(world.run())
    assert {row["held"] for row in world.decisions(acts=False)} == {"pause"}


def test_every_name_says_what_it_is():
    assert all(one.doc and one.kind == "number" for one in SCORE_NAMES.values())
