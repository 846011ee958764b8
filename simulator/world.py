"""The made-up shop: a seeded population whose events can be asked for, step by step.

`World(seed, customers, start_ms).step(from_ms, to_ms)` gives the Segment items of that time. Each
day of each person is a function of the seed alone, so a step depends on no earlier one and a
restart goes on anywhere; only what came of messages (`react`) is remembered, in memory. Must live
here: the population and its calendar. Must not: what a person does (habits.py), sending.
"""

from bisect import bisect_left
from collections.abc import Mapping
from operator import itemgetter
from random import Random
from typing import Any, NamedTuple

from simulator.catalogue import BRANDS, Catalogue
from simulator.habits import (
    DAY,
    HOUR,
    MINUTE,
    TAIL_DAYS,
    ZONE_MS,
    Cart,
    Diary,
    Happening,
    day_of,
    pay,
)
from simulator.people import Kind, Person, born

_BEFORE = 240  # days that the first lives began before the world did, at most
_TIME = itemgetter(0)
_ORDER = itemgetter(0, 1, 2)


class Truth(NamedTuple):
    """What nobody tells the engine about a person."""

    kind: Kind
    visits_per_day: float
    intent: float


class World:
    """About two events a customer a day; `customers` live at any time, others take their places."""

    def __init__(self, seed: int, customers: int, start_ms: int, *, retries: float = 0.002) -> None:
        self.seed = seed
        self.customers = customers
        self.start = start_ms
        self.retries = retries  # share of events that a bad network makes the SDK send twice
        self.shop = Catalogue(seed)
        self._zero = (start_ms + ZONE_MS) // DAY * DAY - ZONE_MS  # local midnight of day 0
        self._places: list[tuple[int, Person] | None] = [None] * customers
        self._days: dict[int, list[Happening]] = {}
        self._whole = self._next = -(10**9)  # days from _whole on are complete, up to _next
        self._reactions: list[Happening] = []

    def step(self, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """The items of [from_ms, to_ms), in order of time."""
        first, last = self._day(from_ms), self._day(to_ms - 1)
        found: list[Happening] = []
        for day in range(first, last + 1):
            plan = self._plan(day)
            low, high = (bisect_left(plan, at, key=_TIME) for at in (from_ms, to_ms))
            found += plan[low:high]
        for past in [day for day in self._days if day < first]:
            del self._days[past]
        self._whole = max(self._whole, first)
        if self._reactions:
            due = [h for h in self._reactions if h.at < to_ms]
            self._reactions = [h for h in self._reactions if h.at >= to_ms]
            found = sorted(found + [h for h in due if h.at >= from_ms], key=_ORDER)
        return [happening.item for happening in found]

    def react(self, decision: Mapping[str, Any]) -> None:
        """Let the person that `decision` acts on answer in the steps to come."""
        self._reactions += self.answers(decision)

    def answers(self, decision: Mapping[str, Any]) -> list[Happening]:
        """The person that `decision` acts on receives, opens and clicks it, and perhaps buys.

        `decision` is a row of the outbox: decision_id, cid, at, result and actions. The answer is
        a function of the seed and the decision alone: who is treated in two runs does the same.
        """
        person = self.person(str(decision["cid"]))
        if person is None or decision.get("result") != "act":
            return []
        rng = Random(f"{self.seed} {decision['decision_id']}")
        diary = Diary(person, f"m{decision['decision_id']}", rng)
        diary.on(person.devices[0], known=str(decision["cid"]).startswith("u:"))
        coupon = next((a["code"] for a in decision["actions"] if a["kind"] == "coupon"), "")
        for action in decision["actions"]:
            if action["kind"] == "notify":
                self._receive(diary, decision, action, coupon)
        return diary.happenings

    def truth(self, cid: str) -> Truth | None:
        """What is hidden of the customer `cid`; None if he is not of this world."""
        person = self.person(cid)
        return person and Truth(person.kind, person.visits_per_day, person.intent)

    def person(self, cid: str) -> Person | None:
        """Whose id this is: u:<user id> or a:<id of one of his own devices>."""
        text = cid[2:].partition("-")[0]
        number = int(text[1:]) - (100_000 if text[0] == "u" else 0) if text[1:].isdigit() else -1
        if number < 0 or text[0] not in "ud":
            return None
        generation, slot = divmod(number, self.customers)
        person = self._first(slot)
        for following in range(1, generation + 1):
            person = self._born(slot, following, person)
        return person

    def _receive(self, diary: Diary, decision: Mapping[str, Any], action: Mapping[str, Any],
                 coupon: str) -> None:  # fmt: skip
        person, rng = diary.person, diary.rng
        via = action.get("channel") or next(iter(action.get("via", ())), "push")
        name = action.get("name") or f"notify:{action.get('template', '')}"
        said = {"decision_id": decision["decision_id"], "action": name, "channel": via}
        at = int(decision["at"]) + rng.randrange(2_000, 90_000)
        if rng.random() < 0.01:
            diary.track(at, "Message Bounced", said)
            return
        diary.track(at, "Message Delivered", said)
        if rng.random() > (0.3 if person.kind is Kind.LOST else 0.5):
            return
        at += round(rng.expovariate(1 / (25 * MINUTE)))
        diary.track(at, "Message Opened", said)
        if rng.random() < (0.3 if person.kind is Kind.SLEEPING else 0.004):
            diary.track(at + 9_000, "Message Unsubscribed", said)
            return
        if rng.random() > (0.15 if person.kind is Kind.LOST else 0.5):
            return
        diary.track(at + 5_000, "Message Clicked", said)
        cart = Cart(f"{person.number}-{decision['decision_id'][:10]}")
        product = self.shop.pick(rng, person.tastes[0], person.brand)
        diary.track(at + 9_000, "Product Viewed", product.properties())
        if person.kind is Kind.PERSUADABLE and rng.random() < (0.7 if coupon else 0.4):
            cart.lines.append((product, 1))
            line = product.properties() | {"quantity": 1, "cart_id": cart.cart_id}
            diary.track(at + 60_000, "Product Added", line)
            order: dict[str, object] = {"order_id": f"o{cart.cart_id[1:]}", "cart_id": cart.cart_id}
            if coupon:
                order["coupon"] = coupon
            pay(diary, cart, order, product.price, at + 2 * MINUTE)

    def _plan(self, day: int) -> list[Happening]:
        """The happenings of `day`, those begun on the days before it included."""
        if not self._whole <= day <= self._next + TAIL_DAYS:
            self._days, self._places = {}, [None] * self.customers
            self._whole, self._next = day, day - TAIL_DAYS
        while self._next <= day:
            self._make(self._next)
            self._next += 1
        return self._days.get(day, [])

    def _make(self, day: int) -> None:
        """Let everybody live through `day`; what was due by then is complete, and sorted."""
        for slot in range(self.customers):
            person = self._at(slot, day)
            if person is None:
                continue
            for happening in self._of(person, day):
                self._days.setdefault(self._day(happening.at), []).append(happening)
        self._days.get(day, []).sort(key=_ORDER)

    def _of(self, person: Person, day: int) -> list[Happening]:
        done = day_of(person, day, self._zero + day * DAY, self.seed, self.shop)
        if done and self.retries:
            rng = Random(f"retry {self.seed} {person.number} {day}")
            again = [h for h in done if rng.random() < self.retries]
            done += [h._replace(at=h.at + rng.randrange(1_000, HOUR)) for h in again]
        return done

    def _at(self, slot: int, day: int) -> Person | None:
        """Who holds the place `slot` on `day`; None while it is free."""
        place = self._places[slot]
        generation, person = place or (0, self._first(slot))
        while day >= person.gone:
            generation += 1
            person = self._born(slot, generation, person)
        self._places[slot] = (generation, person)
        return person if day >= person.arrives else None

    def _first(self, slot: int) -> Person:
        arrives = -Random(f"place {self.seed} {slot}").randrange(_BEFORE)
        return born(self.seed, slot, 0, self.customers, arrives, self.shop.categories, BRANDS)

    def _born(self, slot: int, generation: int, before: Person) -> Person:
        return born(self.seed, slot, generation, self.customers, before.gone,
                    self.shop.categories, BRANDS)  # fmt: skip

    def _day(self, at: int) -> int:
        return (at - self._zero) // DAY
