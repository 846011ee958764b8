"""What must fire: four rules as a person would explain them, played over the logs of plain people.

Must live here: the model of each rule for customers who never merge and whose carts and orders come
in order. Must not: the rule language, the engine. A customer's timers are due by his shard's log
time, and are looked at before each of his own good records and at each tick of his shard.

    check-views   the third look at a product within 24 h: a message, once a product
    check-first   the first order paid: a coupon and a message, once a customer
    check-cart    30 min after the last add to a cart: a message; 2 h later a coupon; not if it was
                  paid or emptied
    check-lapse   2 h without an order after one: a message, once a silence
"""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.faults.auditor.erased import ASKED
from simulator.faults.history import History

MINUTE, HOUR = 60_000, 3_600_000
LATE_EVENT = 10 * MINUTE
PAID = {"Order Paid", "Order Completed"}


class Fired(NamedTuple):
    """A decision that must be there; `how` is act, or why it is held."""

    rule: str
    cid: str
    about: str
    how: str
    at: int


@dataclass
class _Timer:
    rule: str
    about: str
    due: int
    step: int = 0


@dataclass
class _Person:
    """One customer and his timers."""

    cid: str
    late_ms: int
    fired: list[Fired] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    looks: dict[str, list[int]] = field(default_factory=dict)
    done: set[tuple[str, str]] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    carts: dict[str, _Timer] = field(default_factory=dict)
    lapse: _Timer | None = None
    erased_at: int = 0

    def wake(self, now: int) -> None:
        """Fire what is due by log time, the earliest first."""
        while True:
            timers = [*self.carts.values(), *([self.lapse] if self.lapse else [])]
            timer = min(timers, key=lambda one: one.due, default=None)
            if timer is None or timer.due > now:
                return
            late = bool(self.late_ms) and now - timer.due > self.late_ms
            self._fire(timer.rule, timer.about, "late" if late else "act", timer.due)
            if timer.rule == "check-lapse":
                self.lapse = None
            elif late or timer.step == 1:
                del self.carts[timer.about]
            else:
                timer.step, timer.due = 1, timer.due + 2 * HOUR

    def hear(self, event: dict[str, Any], now: int) -> None:
        """One good record of his own, at log time `now`."""
        self.wake(now)
        if event["timestamp"] <= self.erased_at:
            return
        if event["event"] == ASKED:
            self._forget(max(event["timestamp"], now))
            return
        if event["messageId"] in self.seen:
            return
        self.seen.add(event["messageId"])
        name, at, about = event["event"], event["timestamp"], event.get("properties", {})
        if name == "Product Viewed":
            self._look(about["product_id"], at, now)
        elif name == "Product Added":
            self._add(about["cart_id"], at, now)
        elif name == "Cart Emptied":
            self._stop(about.get("cart_id"), at)
        elif name in PAID and about["order_id"] not in self.orders:
            self.orders.add(about["order_id"])
            self._stop(about.get("cart_id"), at)
            self.lapse = _Timer("check-lapse", str(at), at + 2 * HOUR)
            if len(self.orders) == 1:
                self._at_once("check-first", "customer", at, now)

    def _forget(self, at: int) -> None:
        """All that he did is gone, and what waited; he may begin anew."""
        fresh = _Person(self.cid, self.late_ms)
        self.seen, self.looks, self.done = fresh.seen, fresh.looks, fresh.done
        self.orders, self.carts, self.lapse = fresh.orders, fresh.carts, None
        self.erased_at = at

    def _fire(self, rule: str, about: str, how: str, at: int) -> None:
        self.fired.append(Fired(rule, self.cid, about, how, at))

    def _at_once(self, rule: str, about: str, at: int, now: int) -> None:
        if (rule, about) in self.done:
            return
        self.done.add((rule, about))
        late = now - at > LATE_EVENT
        self._fire(rule, about, "late" if late else "act", at)

    def _look(self, product: str, at: int, now: int) -> None:
        looks = [time for time in self.looks.get(product, []) if time > at - 24 * HOUR] + [at]
        self.looks[product] = looks if len(looks) < 3 else []
        if len(looks) >= 3:
            self._at_once("check-views", product, at, now)

    def _add(self, cart: str, at: int, now: int) -> None:
        timer = self.carts.get(cart)
        if timer is not None and timer.step == 0:
            timer.due = max(timer.due, at + 30 * MINUTE)
        if ("check-cart", cart) in self.done:
            return
        self.done.add(("check-cart", cart))
        due = at + 30 * MINUTE
        if now - at > LATE_EVENT and due <= now:
            self._fire("check-cart", cart, "late", due)
        else:
            self.carts[cart] = _Timer("check-cart", cart, due)

    def _stop(self, cart: str | None, at: int) -> None:
        for name in [cart] if cart is not None else list(self.carts):
            if self.carts.pop(name, None):
                self._fire("check-cart", name, "stopped", at)


def expected(history: History) -> list[Fired]:
    """Everything that the four rules must have decided."""
    fired: list[Fired] = []
    for log in history.logs:
        people: dict[str, _Person] = {}
        now = 0
        for record in log:
            now = max(now, record.log_time)
            if record.key == b"!tick":
                for person in people.values():
                    person.wake(now)
            elif record.key.decode() in history.plain and record.value not in history.bad:
                cid = record.key.decode()
                person = people.setdefault(cid, _Person(cid, history.late_ms))
                person.hear(json.loads(record.value), now)
        fired += [one for person in people.values() for one in person.fired]
    return fired
