"""What the customers of a run do, and all that must come of it: the workload and its known outcome.

Must live here: stories by seed, their rules, what is to be expected. Must not: anything that asks
the engine; what is expected follows from what was sent. A story's next step is told only after the
one before was acknowledged. Times are the wall's.

    glancer   looks twice, each look sent twice: nothing may come of it
    looker    looks three times, one look sent twice: one message
    leaver    leaves a full cart: one coupon and one message, after a wait
    buyer     pays what is in the cart, in one breath: one welcome coupon, and no rescue; earns
              points, told twice, and is in the segment of those who paid
    visitor   looks, says who he is, looks again as both: counts go on across the merge, by letters
    junk      sends what cannot be read: one row of quarantine
"""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.habits import iso

Item = dict[str, Any]
Act = tuple[str, str, str]  # rule, customer, what it was about

THIRD_LOOK, RESCUE, WELCOME = "third-look", "rescue", "welcome"
SHOP = """timezone: Asia/Shanghai
currency: CNY
languages: [zh, en]
holdout: {marketing: 0%, everything: 0%}
consent: opt-out
"""
PAYING, POINTS = "paying", 30
SEGMENT = f"segment: {PAYING}\nif: orders.count >= 1\n"
OFFER = "offer: GIFT\ntitle: A gift\noff: 10\nvalid: 72h\n"
RULES = {
    THIRD_LOOK: """when: {event: Product Viewed, count: 3, within: 24h}
once_per: product
do:
  - notify: {via: [push], template: again}
""",
    RESCUE: """when: {event: Product Added}
once_per: customer
stop_on: [Order Paid]
do:
  - wait: %s
  - coupon: {offer: GIFT, off: 10, valid: 72h}
  - notify: {via: [push], template: cart}
""",
    WELCOME: """when: {event: Order Paid}
once_per: customer
do:
  - coupon: {offer: GIFT, off: 10, valid: 72h}
  - notify: {via: [push], template: welcome}
""",
}
KINDS = ("glancer", "looker", "leaver", "buyer", "visitor")
JUNK_EVERY, JUNK_MOST = 40, 60  # the engine stops at a hundred bad ones among ten thousand
PAUSES = (0.0, 1.5)  # seconds between two steps of a story


def write_rules(folder: Path, wait_seconds: int) -> None:
    """The rule files of a run; nobody is held out, so that every outcome is certain."""
    (folder / "campaigns").mkdir(parents=True)
    (folder / "offers").mkdir()
    (folder / "segments").mkdir()
    (folder / "segments" / f"{PAYING}.yaml").write_text(SEGMENT)
    (folder / "shop.yaml").write_text(SHOP)
    (folder / "offers" / "GIFT.yaml").write_text(OFFER)
    for name, text in RULES.items():
        body = text.replace("%s", f"{wait_seconds}s")
        head = f"rule: {name}\ntitle: {name}\nowner: kills\nstatus: live\n"
        (folder / "campaigns" / f"{name}.yaml").write_text(head + body)


@dataclass
class Step:
    """Items that are sent together, so long after the step before."""

    items: list[Item]
    pause: float = 0.0
    merged: str = ""  # the visitor who must have become a customer by then


@dataclass(order=True)
class _Due:
    at: float
    number: int
    steps: list[Step] = field(compare=False)


@dataclass
class Expected:
    """All that must be found at the end, and nothing else."""

    events: dict[str, str] = field(default_factory=dict)  # message id -> customer as it came in
    acts: set[Act] = field(default_factory=set)
    coupons: set[tuple[str, str]] = field(default_factory=set)  # rule, customer
    points: dict[str, int] = field(default_factory=dict)  # customer -> his balance
    moves: set[tuple[str, str]] = field(default_factory=set)  # segment, who came in
    junk: int = 0


class Stories:
    """Stories begun one after another by seed; `due` hands out what is to be sent now."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.expected = Expected()
        self.begun = self.ended = 0
        self.last_left = 0.0  # when the last cart was left
        self._due: list[_Due] = []
        self._waiting: list[_Due] = []  # for a merge
        self._messages = 0

    @property
    def open(self) -> int:
        """How many stories are not told to their end; a step that is being sent counts."""
        return self.begun - self.ended

    @property
    def merging(self) -> list[str]:
        """The visitors whose merge somebody waits for."""
        return [due.steps[0].merged for due in self._waiting]

    def begin(self, now: float) -> None:
        """One more customer appears."""
        self.begun += 1
        who = f"{self.begun}"
        kind = self.random.choice(KINDS)
        if self.begun % JUNK_EVERY == 0 and self.expected.junk < JUNK_MOST:
            kind = "junk"
        tell: Callable[[str], Iterator[Step]] = getattr(self, f"_{kind}")
        heapq.heappush(self._due, _Due(now, self.begun, list(tell(who))))

    def due(self, now: float) -> list[tuple[Step, "_Due"]]:
        """The steps whose time has come; hand each back by `told` once it is acknowledged."""
        found = []
        while self._due and self._due[0].at <= now:
            due = heapq.heappop(self._due)
            found.append((due.steps[0], due))
            self._stamp(due.steps[0], now)
        return found

    def told(self, due: _Due, now: float) -> None:
        """A step was acknowledged: the story goes on."""
        step = due.steps.pop(0)
        if any(item.get("event") == "Product Added" for item in step.items):
            self.last_left = now
        if not due.steps:
            self.ended += 1
            return
        due.at = now + due.steps[0].pause
        if due.steps[0].merged:
            self._waiting.append(due)
        else:
            heapq.heappush(self._due, due)

    def merged(self, aliases: set[str]) -> None:
        """These visitors are customers now."""
        for due in [due for due in self._waiting if due.steps[0].merged in aliases]:
            self._waiting.remove(due)
            heapq.heappush(self._due, due)

    def _stamp(self, step: Step, now: float) -> None:
        """The items happen now; a repeat is the same to the letter, so it keeps its first time."""
        for number, item in enumerate(step.items):
            item.setdefault("timestamp", iso(round(now * 1000) + number))

    def probe(self, user: str, now: float) -> Item:
        """An event that nothing comes of, to see when the engine has come so far."""
        item = self._track({"userId": user}, "Kill Seen")
        item["timestamp"] = iso(round(now * 1000))
        return item

    def _track(self, who: dict[str, str], name: str, **properties: Any) -> Item:
        self._messages += 1
        cid = f"u:{who['userId']}" if "userId" in who else f"a:{who['anonymousId']}"
        message = f"m{self._messages}"
        self.expected.events[message] = cid
        return {"type": "track", "event": name, "messageId": message, **who,
                "properties": properties}  # fmt: skip

    def _looks(self, who: dict[str, str], product: str, number: int) -> list[Step]:
        return [
            Step([self._track(who, "Product Viewed", product_id=product)], self._pause())
            for _ in range(number)
        ]

    def _pause(self) -> float:
        return self.random.uniform(*PAUSES)

    def _act(self, rule: str, cid: str, subject: str = "") -> None:
        self.expected.acts.add((rule, cid, subject))
        if rule != THIRD_LOOK:
            self.expected.coupons.add((rule, cid))

    def _glancer(self, who: str) -> Iterator[Step]:
        for step in self._looks({"userId": who}, "p1", 2):
            yield Step([*step.items, *step.items], step.pause)

    def _looker(self, who: str) -> Iterator[Step]:
        first, *others = self._looks({"userId": who}, "p1", 3)
        yield from (first, *others, Step(first.items, self._pause()))
        self._act(THIRD_LOOK, f"u:{who}", "p1")

    def _leaver(self, who: str) -> Iterator[Step]:
        yield Step([self._added(who)], self._pause())
        self._act(RESCUE, f"u:{who}")

    def _buyer(self, who: str) -> Iterator[Step]:
        paid = self._track({"userId": who}, "Order Paid", order_id=f"o{who}", total=260)
        earned = self._track({"userId": who}, "Points Earned", points=POINTS)
        yield Step([self._added(who), paid, earned], self._pause())
        yield Step([earned], self._pause())
        self._act(WELCOME, f"u:{who}")
        self.expected.points[f"u:{who}"] = POINTS
        self.expected.moves.add((PAYING, f"u:{who}"))

    def _added(self, who: str) -> Item:
        return self._track(
            {"userId": who}, "Product Added", product_id="p1", price=260, quantity=1
        )  # fmt: skip

    def _visitor(self, who: str) -> Iterator[Step]:
        visitor, customer = {"anonymousId": f"v{who}"}, {"userId": who}
        yield from self._looks(visitor, "p1", 2)
        known = self._track(customer, "identify") | visitor | {"type": "identify"}
        yield Step([known], self._pause())
        third, *_ = self._looks(customer, "p1", 1)
        yield Step(third.items, third.pause, merged=f"a:v{who}")
        yield from self._looks(visitor, "p2", 3)  # late ones under the old id are sent on
        yield from self._looks(visitor, "p3", 2)
        self._act(THIRD_LOOK, f"u:{who}", "p1")
        self._act(THIRD_LOOK, f"u:{who}", "p2")

    def _junk(self, who: str) -> Iterator[Step]:
        bad = {"type": "track", "event": "Product Added", "messageId": f"junk{who}", "userId": who,
               "properties": {"product_id": "p1", "price": "cheap"}}  # fmt: skip
        self.expected.junk += 1
        yield Step([bad], self._pause())
