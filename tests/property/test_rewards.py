"""What came after a decision: at the event or the deadline, bounded, through merges and erasure."""

import orjson

from engine.decide import decide, next_alarm, wake_up
from engine.effects import Effects, Moment, Settings
from engine.journal import OPEN_WATCHES_MAX, REGISTRY, Journey, Watch, memory
from engine.rewards import watch
from engine.turn import Turn
from engine.uniting import unite
from features.customer import Customer
from features.events import parse
from rules.book import Book
from rules.model import PAID, Shop

START = 1_767_571_200_000
HOUR = 3_600_000
BOOK = Book.of({}, Shop(), {}, {})
SETTINGS = Settings(0, 1, b"secret", record_clock=True)


class Life:
    """One customer, decided by hand."""

    def __init__(self) -> None:
        self.customer = Customer.decode("u:1", None, REGISTRY)
        self.effects = Effects()
        self.count = 0

    def moment(self, at: int) -> Moment:
        return Moment(SETTINGS, BOOK, START + at, self.count)

    def does(self, at: int, name: str, **properties: object) -> None:
        self.count += 1
        call = {
            "type": "track", "event": name, "userId": "1", "messageId": f"m{self.count}",
            "timestamp": START + at, "properties": properties,
        }  # fmt: skip
        event = parse(call, source="test", received_at=START + at)
        decide(self.customer, event, self.moment(at), self.effects)

    def passes(self, at: int) -> None:
        wake_up(self.customer, self.moment(at), self.effects)

    def rewards(self, model: str = "b") -> list[tuple[float, int]]:
        found = [one for one in self.effects.examples if one["model"] == model]
        return [(one["reward"], one["after_ms"]) for one in found]


def test_the_first_event_after_it_closes_a_watch_with_its_worth() -> None:
    life = Life()
    life.does(0, "Product Viewed")
    for model, money in (("b", True), ("c", False)):
        assert watch(life.customer, model, START, 24 * HOUR, PAID, {"arm": "a"}, money=money)
    assert next_alarm(life.customer, life.moment(0)) == START + 24 * HOUR
    life.does(0, "Order Paid", order_id="o0", total=5)  # not after it
    life.does(HOUR, "Order Paid", order_id="o1", total=120.5)
    life.does(2 * HOUR, "Order Paid", order_id="o2", total=80)
    life.passes(48 * HOUR)
    assert (life.rewards("b"), life.rewards("c")) == ([(120.5, HOUR)], [(1.0, HOUR)])
    (row,) = [one for one in life.effects.examples if one["model"] == "b"]
    assert row == {
        "arm": "a", "model": "b", "cid": "u:1", "at": START, "reward": 120.5, "after_ms": HOUR,
    }  # fmt: skip


def test_nothing_by_the_deadline_is_a_reward_of_nothing() -> None:
    life = Life()
    watch(life.customer, "b", START, HOUR, PAID, {}, money=True)
    life.passes(HOUR - 1)
    assert life.rewards() == []
    life.passes(HOUR)
    assert life.rewards() == [(0.0, HOUR)]
    life.does(2 * HOUR, "Order Paid", order_id="o1", total=9)
    assert life.rewards() == [(0.0, HOUR)]


def test_one_payment_told_twice_is_one_and_a_watch_survives_being_stored() -> None:
    life = Life()
    life.does(1, "Order Paid", order_id="o1", total=9)
    watch(life.customer, "b", START + 1, HOUR, PAID, {"arm": "a"})
    life.customer = Customer.decode("u:1", life.customer.encode(), REGISTRY)
    life.does(2, "Order Completed", order_id="o1", total=9)
    assert life.rewards() == []
    life.does(3, "Order Completed", order_id="o2", total=9)
    assert life.rewards() == [(1.0, 2)]


def test_any_is_what_the_customer_does_himself() -> None:
    life = Life()
    watch(life.customer, "b", START, HOUR, frozenset(), {})
    life.does(1, "Message Delivered", decision_id="d", action="a", channel="push")
    assert life.rewards() == []
    life.does(2, "Product Viewed", product_id="p")
    assert life.rewards() == [(1.0, 2)]


def test_so_many_open_of_a_model_and_no_more() -> None:
    life = Life()
    opened = [watch(life.customer, "b", START + n, HOUR, PAID, {}) for n in range(10)]
    assert opened == [True] * OPEN_WATCHES_MAX + [False] * 2
    assert watch(life.customer, "other", START, HOUR, PAID, {})


def test_united_they_wait_for_both_the_oldest_first() -> None:
    def journey(*opened: int) -> Journey:
        rows = [Watch("b", at, at + HOUR, ["Order Paid"], False, orjson.dumps({})) for at in opened]
        return Journey(watches=rows)

    mine, theirs = journey(*range(5, 11)), journey(*range(5))
    turn = Turn(Customer.decode("u:1", None, REGISTRY), Moment(SETTINGS, BOOK, START, 0), Effects())
    turn.journey = mine
    unite(turn, theirs)
    assert [one.opened for one in mine.watches] == list(range(OPEN_WATCHES_MAX))
    assert mine.alarm == HOUR


def test_an_erasure_takes_them() -> None:
    life = Life()
    life.does(0, "Product Viewed")
    watch(life.customer, "b", START, HOUR, PAID, {})
    life.does(1, "Erasure Requested")
    assert memory(life.customer).journey.watches == []
    life.passes(HOUR)
    assert life.rewards() == []
