"""From orders to scores: looked at by the engine, learned, read as names of rules."""

import asyncio

import msgspec
import pytest

from engine.effects import Moment, Settings
from engine.journal import Memory, memory
from engine.scores import scores_of
from features.models.learners import LEARNERS
from features.models.returning import CHURN, PURCHASE, VALUE
from features.models.scorers import SCORERS
from rules.load import book_from_sources
from tests.memory_engine import DAY, START
from tests.simulation.test_returns import Shop

BOOK = book_from_sources({"shop.yaml": "currency: CNY\n"})
ENDS = 260


@pytest.fixture(scope="module")
def taught():
    """Twenty who order every week for 90, twenty who ordered twice and left; what they teach."""
    shop = Shop(shards=2)
    for user in range(20):
        for week in range(36):
            shop.order(1 + user / 20 + 7 * week, user=f"regular{user}", total=90.0)
        for day in (1, 9):
            shop.order(day + user / 20, user=f"gone{user}", total=90.0)
    shop.note(100, "Product Viewed", userId="visitor", product_id="p")
    learners = {name: LEARNERS[name]() for name in (PURCHASE, CHURN, VALUE)}
    for row in asyncio.run(shop.examples(ENDS)):
        learners[row["model"]].learn(row)
    return shop, {name: SCORERS[name](one.weights()) for name, one in learners.items()}


def scored(shop, models, user):
    moment = Moment(Settings(0, 1, b"s"), BOOK, START + ENDS * DAY, 0, models, "ab" * 32)
    return scores_of(shop.customer(f"u:{user}"), moment, moment.log_time)


def test_who_orders_weekly_comes_and_who_left_does_not(taught):
    shop, models = taught
    regular, gone = scored(shop, models, "regular3"), scored(shop, models, "gone3")
    assert regular["purchase.chance_30d"] > 0.9 > 0.1 > gone["purchase.chance_30d"]
    assert regular["churn.risk"] < 0.2 < 0.8 < gone["churn.risk"]
    assert 500 < regular["value.next_90d"] < 2_500  # 12 or 13 orders of 90
    assert 0 <= gone["value.next_90d"] < 150


def test_before_the_first_order_or_a_model_a_score_is_missing(taught):
    shop, models = taught
    assert scored(shop, models, "visitor") == {}
    assert scored(shop, {}, "regular3") == {}
    only = {PURCHASE: models[PURCHASE]}
    assert scored(shop, only, "regular3").keys() == {"purchase.chance_30d"}


def test_a_memory_stored_before_buyers_were_looked_at_is_read():
    older = msgspec.msgpack.encode([[b"birth"], [b"", b"", 0, 0], [], [b"", 0, 0, 0.0, ""]])
    found = msgspec.msgpack.decode(older, type=Memory)
    assert found.identity.birth == b"birth"
    assert (found.returning.next, found.returning.looks) == (0, [])


def test_who_bought_before_is_looked_at_from_his_next_order_on(taught):
    shop, _ = taught
    assert memory(shop.customer("u:regular1")).returning.next > START + (ENDS - 31) * DAY
    assert memory(shop.customer("u:visitor")).returning.next == 0
