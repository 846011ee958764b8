"""Recommendations: the tables learned from examples, and what is chosen by them."""

import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.models import heavy, recommend_learner, recommend_tables
from features.models.recommend import MODEL, Scorer, Taste, taste
from features.models.recommend_learner import Learner
from features.models.snapshot import pack, unpack
from tests.made_events import DAY, HOUR, NOW, Shopper, event

NOBODY = Taste({}, {}, frozenset(), frozenset(), (), ())


def ordered(*basket, at=NOW, had=(), days=(), **more):
    return {
        "model": MODEL, "cid": "u:1", "at": at, "basket": list(basket),
        "had": list(had), "days": list(days or [1] * len(had)), **more,
    }  # fmt: skip


def looked(*viewed, at=NOW, **more):
    return {"model": MODEL, "cid": "u:1", "at": at, "viewed": list(viewed), **more}


def taught(*examples):
    learner = Learner()
    for example in examples:
        learner.learn(example)
    return learner


def scorer(learner):
    return Scorer(orjson.loads(orjson.dumps(learner.weights())))


def likes(*seeds, **more):
    return NOBODY._replace(seeds=dict.fromkeys(seeds, 1.0), **more)


def world(orders, seed=618, products=40, at=NOW):
    """Orders of a shop whose products go in fours, some of which are bought again."""
    chance = random.Random(seed)
    held = {}
    for number in range(orders):
        who = chance.randrange(30)
        group = chance.randrange(products // 4)
        basket = [f"p{group * 4 + n}" for n in range(4) if chance.random() < 0.7] or ["p0"]
        had = held.setdefault(who, [])
        days = [chance.randrange(200) for _ in had]
        yield ordered(*basket, at=at + number * HOUR, had=list(had), days=days)
        had.extend(one for one in basket if one not in had)


def test_what_is_bought_together_is_near_and_what_everybody_buys_is_not():
    orders = [ordered("tea", "pot", "bag") for _ in range(6)]
    orders += [ordered(f"x{n}", "bag") for n in range(40)]
    found = scorer(taught(*orders)).near("together", ["tea"], NOBODY, 2)
    assert found == ["pot", "bag"]


def test_the_order_of_things_counts():
    orders = [ordered("case", had=["phone"]) for _ in range(5)]
    orders += [ordered("phone") for _ in range(5)]
    chosen = scorer(taught(*orders))
    assert chosen.for_you(likes("phone"), 1) == ["case"]
    assert chosen.near("similar", ["case"], NOBODY, 1) == []


def test_what_is_looked_at_in_one_visit_is_similar():
    chosen = scorer(taught(*[looked("red", "blue", "green")] * 3, looked("car", "bike")))
    assert set(chosen.near("similar", ["red"], NOBODY, 5)) == {"blue", "green"}


def test_the_products_own_rate_says_whether_owners_see_it():
    coffee = [ordered("coffee", had=["coffee", "lamp"], days=[9, 9]) for _ in range(200)]
    chosen = scorer(taught(ordered("coffee", "lamp"), *coffee))
    his = likes(again={"coffee": 1.0, "lamp": 1.0}, owned=frozenset({"coffee", "lamp"}))
    assert chosen.for_you(his, 5) == ["coffee"]
    assert chosen.for_you(his, 5, bought="never") == []
    assert set(chosen.for_you(his, 5, bought="always")) == {"coffee", "lamp"}


def test_in_a_shop_where_nothing_is_bought_twice_owners_see_nothing_twice():
    chosen = scorer(taught(*[ordered("lamp", "sofa")] * 5, ordered("rug", had=["lamp"])))
    his = likes("lamp", again={"lamp": 1.0}, owned=frozenset({"lamp"}))
    assert "lamp" not in chosen.for_you(his, 9)


def test_what_lies_in_the_cart_or_came_back_is_not_shown():
    chosen = scorer(taught(*[ordered("a", "b", "c", "d")] * 5))
    his = likes("a", barred=frozenset({"a", "b"}))
    assert set(chosen.for_you(his, 9)) == {"c", "d"}
    assert "b" not in chosen.trending_for(his, 9)


def test_out_of_stock_until_there_is_again():
    learner = taught(*[ordered("a", "b")] * 5)
    news = {"model": MODEL, "cid": "i:b", "at": NOW, "item": "b"}
    learner.learn({**news, "stock": 0})
    assert scorer(learner).for_you(likes("a"), 9) == ["a"]
    assert scorer(learner).ranked(likes("a"), ["b", "zzz", "a"])[-1][0] == "b"
    tables = learner.weights()["near"]
    learner.learn({**news, "stock": 3})
    assert learner.weights()["near"] is tables  # a word on stock makes no tables anew
    assert scorer(learner).for_you(likes("a"), 1) == ["b"]


def test_what_comes_back_often_is_worth_less():
    orders = [ordered("a", "b"), ordered("a", "c")] * 20
    back = [{"model": MODEL, "cid": "u", "at": NOW, "returned": ["b"]}] * 20
    assert scorer(taught(*orders, *back)).near("together", ["a"], NOBODY, 2) == ["c", "b"]


def test_no_category_has_more_than_its_share_while_there_are_others():
    facts = {f"s{n}": ["shoes", ""] for n in range(9)} | {f"h{n}": ["hats", ""] for n in range(9)}
    orders = [ordered("seed", *(f"s{n}" for n in range(9))) for _ in range(9)]
    orders += [ordered("seed", *(f"h{n}" for n in range(9)), facts=facts)]
    found = scorer(taught(*orders)).for_you(likes("seed", barred=frozenset({"seed"})), 6)
    assert sum(name.startswith("s") for name in found) == 3


def test_a_new_customer_sees_what_is_trending_of_all_and_of_a_category():
    orders = [ordered("old", at=NOW - 60 * DAY, facts={"old": ["tea", ""]})] * 30
    orders += [ordered("now", at=NOW, facts={"now": ["tea", ""]})] * 5
    chosen = scorer(taught(*orders, ordered("other", facts={"other": ["pots", ""]})))
    assert chosen.for_you(NOBODY, 2) == ["now", "other"]
    assert chosen.trending_for(NOBODY, 5, "tea") == ["now", "old"]
    assert chosen.trending_for(NOBODY, 5, "none such") == []
    assert chosen.for_you(NOBODY._replace(categories=("pots",)), 1) == ["other"]


def test_a_new_product_has_a_place_among_what_he_likes_and_neighbours_by_its_kind():
    orders = [ordered("a", *(f"b{n}" for n in range(20)))] * 3
    orders += [ordered("pot", facts={"pot": ["tea", "acme"]})] * 2
    orders += [ordered("cup", facts={"cup": ["tea", ""]})] * 9
    launch = {
        "model": MODEL, "cid": "i:new", "at": NOW, "item": "new", "launched": True,
        "facts": {"new": ["tea", "acme"]},
    }  # fmt: skip
    chosen = scorer(taught(*orders, launch))
    assert chosen.near("similar", ["new"], NOBODY, 2) == ["pot", "cup"]
    assert "new" in chosen.for_you(likes("a", categories=("tea",)), 10)
    assert "new" not in chosen.for_you(likes("a", categories=("hats",)), 10)
    assert "new" not in chosen.for_you(likes("a", categories=("tea",)), 5)


def test_candidates_are_put_into_his_order():
    chosen = scorer(
        taught(*[ordered("a", "b")] * 5, ordered("c", facts={"c": ["tea", ""]}), ordered("d"))
    )
    his = likes("a", categories=("tea",))
    found = chosen.ranked(his, ["unknown", "d", "c", "b", "unknown 2"])
    assert [name for name, _ in found] == ["b", "c", "d", "unknown", "unknown 2"]
    assert [name for name, _ in chosen.ranked(NOBODY, ["d", "a"])] == ["d", "a"]


def test_taste_is_read_from_the_facets():
    lines = [{"product_id": "p", "category": "tea"}, {"product_id": "q"}]
    shopper = Shopper().see(
        event("Order Paid", NOW - 60 * DAY, order_id="o", total=5, products=lines),
        event("Order Refunded", NOW - 50 * DAY, order_id="o", products=[{"product_id": "q"}]),
        event("Product Viewed", NOW - 12 * HOUR, product_id="v"),
        event("Product Added to Wishlist", product_id="w"),
        event("Product Added", product_id="c", price=1),
    )
    his = taste(shopper.customer, NOW)
    assert his.seeds == pytest.approx({"p": 0.5, "v": 0.5, "w": 2.0, "c": 3.0})
    assert his.again == pytest.approx({"p": 0.5 ** (60 / 120)})
    assert his.owned == {"p"}
    assert his.barred == {"q", "c"}
    assert his.categories == ("tea",)


def test_restored_it_goes_on_to_the_bit():
    examples = list(world(600))
    facts = {"p1": ["tea", "acme"], "p2": ["pots", ""]}
    examples.insert(50, looked("p1", "p2", "p3", at=NOW, facts=facts))
    straight = taught(*examples[:400])
    stopped = Learner.restore(unpack(pack(straight.state(), b"s"), b"s"))
    for example in examples[400:]:
        straight.learn(example)
        stopped.learn(example)
    assert straight.state() == stopped.state()
    assert straight.weights() == stopped.weights()
    assert straight.metrics() == stopped.metrics()


def test_it_finds_the_groups_and_says_how_well():
    learner = taught(*world(600))
    chosen = scorer(learner)
    right = sum(
        set(chosen.near("together", [f"p{n}"], NOBODY, 3)) == {f"p{n // 4 * 4 + m}" for m in range(4)} - {f"p{n}"}
        for n in range(40)
    )  # fmt: skip
    assert right >= 36
    assert 0 < learner.metrics()["hit_rate"] <= 1


def test_everything_is_bounded(monkeypatch):
    monkeypatch.setattr(recommend_learner, "ITEMS_MAX", 600)
    for module in (recommend_tables, recommend_learner):
        monkeypatch.setattr(module, "NEAR", (5, 10))
    chance, learner = random.Random(1), Learner()
    for number in range(900):
        basket = [
            f"p{number}x{chance.randrange(9)}",
            *(f"c{chance.randrange(30)}" for _ in range(4)),
        ]
        facts = {basket[0]: [f"k{number}", "b"]}
        learner.learn(ordered(*basket, at=NOW + number * DAY, had=["c1"], facts=facts))
    assert len(learner.items) <= 600
    assert {f"c{n}" for n in range(30)} <= learner.items.keys()
    assert max(map(len, learner.near.rows.values())) <= 10
    assert len(learner.trending) <= recommend_learner.CATEGORIES_MAX + 1
    assert learner.items.keys() >= learner.near.into.keys()
    again = Learner.restore(orjson.loads(orjson.dumps(learner.state())))
    assert again.state() == learner.state()
    assert scorer(again).for_you(likes("c1"), 20)


@pytest.mark.parametrize(
    "bad",
    [
        {"basket": "p1"}, {"basket": [1]}, {"basket": [""]}, {"had": ["a"], "days": []},
        {"had": ["a"], "days": [float("nan")]}, {"at": "soon"}, {"facts": {"a": ["one"]}},
        {"viewed": [None]},
    ],
)  # fmt: skip
def test_a_bad_example_is_refused_and_changes_nothing(bad):
    learner = taught(*world(20))
    before = orjson.dumps(learner.state())
    with pytest.raises((ValueError, TypeError)):
        learner.learn({**ordered("x"), **bad})
    assert orjson.dumps(learner.state()) == before


def test_another_models_tables_are_refused():
    for reader in (Scorer, Learner.restore):
        with pytest.raises(ValueError, match=MODEL):
            reader({"model": "churn"})
    weights = taught(*world(20)).weights()
    for part, wrong in (("rebuy", "AAAA"), ("near", {**weights["near"], "counts": ""})):
        with pytest.raises(ValueError, match=r"expected|buffer size"):
            Scorer({**weights, part: wrong})


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=200))
def test_who_is_heavy_is_in_the_table(pairs):
    table, truth = heavy.Heavy(10), dict[str, float]()
    for name, weight in pairs:
        table.add(str(name), weight)
        truth[str(name)] = truth.get(str(name), 0.0) + weight
    total = sum(truth.values())
    assert len(table.weights) <= 10
    assert sum(table.weights.values()) == total
    for name, weight in truth.items():
        if weight > total / 10:
            assert name in table.weights
        assert table.weights.get(name, weight) >= weight or name not in table.weights


def test_a_landmark_moves_up_and_nothing_else_changes():
    decay = heavy.Decay(DAY)
    assert decay.lead(NOW) == 1.0
    assert decay.move(NOW + 10 * DAY) == 1.0
    assert decay.move(NOW + 40 * DAY) == 2.0**-40
    assert decay.lead(NOW + 40 * DAY) == 1.0
    years = taught(ordered("a", "b", at=NOW), ordered("a", "c", at=NOW + 4_000 * DAY))
    assert scorer(years).near("together", ["a"], NOBODY, 1) == ["c"]
