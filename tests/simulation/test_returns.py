"""Looks at buyers by the real pipeline: when, what is kept of them, and what became of it."""

import itertools
import random
import struct

import orjson
import pytest

from engine import returns
from engine.examples import _inputs
from engine.journal import memory
from features.catalog import REGISTRY, apply
from features.customer import Customer
from features.events import decode
from features.models.progress import area_under_curve
from features.models.purchase import INPUTS
from features.models.returning import CHURN, PURCHASE, VALUE, unpack, vector
from features.models.returning_learner import Purchase
from tests.memory_engine import DAY, START, MemoryEngine

MODELS = (PURCHASE, CHURN, VALUE)


class Shop(MemoryEngine):
    """What happens is noted with its day, and sent in order of time, a tick a day between."""

    def __init__(self, **more):
        super().__init__(**{"shards": 1, **more})
        self.noted = []

    def note(self, day, name="Order Paid", **item):
        self.noted.append((item.get("log_time", START + round(day * DAY)), day, name, item))

    def order(self, day, user="ann", total=100.0, **more):
        number = len(self.noted)
        self.note(day, userId=user, order_id=f"o{number}", total=total, **more)

    def append_all(self, until, since=0):
        """The records of these days, each shard's in order of log time."""
        ticks = [(START + day * DAY, day, "", {}) for day in range(since + 1, until + 1)]
        noted = [one for one in self.noted if since * DAY < one[0] - START <= until * DAY]
        for _, day, name, item in sorted(noted + ticks, key=lambda one: one[0]):
            if name:
                self.send(round(day * DAY), name, **item)
            else:
                self.tick(day * DAY)

    async def examples(self, *days):
        """What was known of buyers by the last of these days; at each one letters are carried."""
        for since, until in itertools.pairwise((0, *days)):
            self.append_all(until, since)
            await self.run()
        found = [row for row in self.gathered("examples") if row["model"] in MODELS]
        return sorted(found, key=lambda row: (row["known"], row["id"], row["model"]))


def asked(rows, model, days):
    return [row for row in rows if row["model"] == model and row["days"] == days]


def events_of(engine, user="ann"):
    for log in engine.logs:
        for record in log:
            if record.key == f"u:{user}".encode():
                yield decode(record.value)


def leaks(engine, rows, user="ann"):
    """Examples whose inputs are not those of the time at which he was looked at."""
    wrong = []
    for row in rows:
        customer = Customer.decode(f"u:{user}", None, REGISTRY)
        for event in events_of(engine, user):
            if event.at <= row["at"]:
                apply(customer, event, lambda *_: None)
        honest = vector(customer, row["at"])
        if row["features"] != pytest.approx(honest, rel=2e-3, abs=1e-3):
            wrong.append(row["id"])
    return wrong


async def test_a_buyer_is_looked_at_every_thirty_days_and_told_at_the_deadline():
    shop = Shop()
    for day in (1, 9, 20, 70):
        shop.order(day)
    rows = await shop.examples(250)
    months = asked(rows, PURCHASE, 30)
    assert {b["at"] - a["at"] for a, b in itertools.pairwise(months)} == {30 * DAY}
    assert len(months) >= 6
    orders = [event.at for event in events_of(shop)]
    for row in rows:
        days = row["days"] or (row["known"] - row["at"]) // DAY
        assert row["known"] == row["at"] + days * DAY
        came = any(row["at"] < at <= row["known"] for at in orders)
        assert row["label"] == (came != (row["model"] == CHURN))
        assert 30 <= days <= 90
    quarters = asked(rows, VALUE, 90)
    assert 1 <= len(quarters) <= len(months) / 2
    assert all(row["paid"] == 100.0 * len([
        at for at in orders if row["at"] < at <= row["known"]]) for row in quarters)  # fmt: skip
    assert len({(row["model"], row["id"]) for row in rows}) == len(rows)


async def test_nothing_is_told_before_its_deadline():
    shop = Shop()
    for day in range(1, 200, 5):
        shop.order(day)
    await shop.examples(200)
    for entry in shop.entries():
        for row in entry.get("examples", ()):
            if row["model"] in MODELS:
                assert row["known"] <= entry["log_time"]


async def test_inputs_are_those_of_the_time_and_a_planted_leak_is_found(monkeypatch):
    def buyer():
        shop = Shop()
        for day in (1, 4, 11, 30, 33, 60, 61, 100, 150):
            shop.order(day, products=[{"product_id": "p", "quantity": 2}])
        return shop

    shop = buyer()
    rows = await shop.examples(220)
    assert len(rows) > 8
    assert leaks(shop, rows) == []
    monkeypatch.setattr(returns, "_tell", _tell_with_what_came(returns._tell))
    shop = buyer()
    assert leaks(shop, await shop.examples(220))


def _tell_with_what_came(honest):
    """The fault that this guards against: inputs are read when the label is known."""

    def tell(customer, one, now, effects):
        before = len(effects.examples)
        honest(customer, one, now, effects)
        for row in effects.examples[before:]:
            row["features"] = vector(customer, now)

    return tell


async def test_a_leak_shows_in_the_progressive_figures(monkeypatch):
    """Orders fall by lot: nobody can foretell them, so an area far above a half is a leak."""

    async def area(seed=5):
        made, shop = random.Random(seed), Shop()
        for user in range(60):
            shop.order(1 + made.random(), user=f"u{user}")
            for month in range(1, 7):
                if made.random() < 0.5:
                    shop.order(month * 30 + made.random() * 30, user=f"u{user}")
        learner = Purchase()
        for row in await shop.examples(210):
            if row["model"] == PURCHASE:
                learner.learn(row)
        return area_under_curve(list(learner._progress._recent))

    assert await area() < 0.65
    monkeypatch.setattr(returns, "_tell", _tell_with_what_came(returns._tell))
    assert await area() > 0.9


async def test_examples_do_not_depend_on_how_records_fall_into_batches():
    told = []
    for batch in (1, 7, 100):
        shop = Shop(shards=2, batch=batch)
        for user in range(6):
            for day in range(1 + user, 150, 11 + user):
                shop.order(day, user=f"u{user}", total=10.0 + day)
        told.append([orjson.dumps(row) for row in await shop.examples(200)])
    assert told[0] == told[1] == told[2]
    assert len(told[0]) > 50


async def test_a_refund_is_no_revenue():
    shop = Shop()
    for day in range(1, 180, 3):
        shop.order(day, total=50.0)
        shop.note(
            day + 0.1, "Order Refunded", userId="ann", order_id=f"o{day}", refund_id=f"r{day}",
            amount=20.0,
        )  # fmt: skip
    for row in asked(await shop.examples(250), VALUE, 90):
        assert row["paid"] % 30 in {0, 10, 20}  # a refund may fall beyond the deadline
        assert row["paid"] <= 31 * 30


async def test_what_comes_late_is_in_no_label():
    shop = Shop()
    shop.order(1)
    shop.note(20, log_time=START + 150 * DAY, userId="ann", order_id="late")
    rows = await shop.examples(170)
    assert rows
    assert all(row["label"] == 0 for row in rows if row["model"] == PURCHASE)


async def test_who_stays_away_is_left_alone_until_he_comes_again():
    shop = Shop()
    shop.order(1)
    shop.order(700)
    rows = asked(await shop.examples(800), PURCHASE, 30)
    ages = [(row["at"] - START) / DAY for row in rows]
    assert max(age for age in ages if age < 700) < 401 + 30
    assert any(age > 700 for age in ages)


async def test_what_is_kept_of_a_buyer_is_small_and_bounded():
    shop = Shop()
    for day in range(1, 400, 2):
        shop.order(day, products=[{"product_id": "p", "quantity": 2}])
    shop.append_all(400)
    await shop.open()
    (worker,), (log,), most = shop.workers, shop.logs, 0
    while worker.next_offset < len(log):
        await worker.process(log[worker.next_offset :][:5])
        looks = memory(shop.customer("u:ann")).returning.looks
        most = max(most, len(looks))
        assert sum(len(look.inputs) for look in looks) <= 60
    assert most == 2


async def test_two_who_are_one_go_on_as_the_known_user():
    shop = Shop(shards=2)
    shop.order(1)
    shop.note(2, anonymousId="x", order_id="guest", total=40.0)
    shop.note(100, type="identify", userId="ann", anonymousId="x")
    shop.order(120)
    rows = await shop.examples(101, 250)
    mine = [row for row in rows if row["cid"] == "u:ann"]
    assert {row["cid"] for row in rows if row["at"] > START + 100 * DAY} == {"u:ann"}
    assert len(asked(mine, PURCHASE, 30)) >= 7
    for row in asked(mine, VALUE, 90):
        came = row["at"] < START + 120 * DAY <= row["known"]
        assert row["paid"] == 100.0 * came  # the guest's 40 were before every look that is open


async def test_nothing_of_who_is_erased_is_learned_later():
    shop = Shop()
    for day in (1, 5, 9):
        shop.order(day)
    shop.note(50, "Erasure Requested", userId="ann")
    rows = await shop.examples(200)
    assert all(row["known"] <= START + 50 * DAY for row in rows)
    assert not memory(shop.customer("u:ann")).returning.next


def test_an_example_as_kept_before_is_read():
    numbers = [round(0.5 * n, 1) for n in range(len(INPUTS))]
    assert _inputs(struct.pack(f"<{len(INPUTS)}f", *numbers)) == numbers
    assert _inputs(struct.pack(f"<{len(INPUTS)}e", *numbers)) == numbers
    assert _inputs(b"") == [0.0] * len(INPUTS)
    assert set(unpack(b"")) == {0.0}
