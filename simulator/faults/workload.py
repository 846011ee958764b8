"""Who does what in the simulated shop: from the seed, and independent of every fault.

Must live here: the customers, their calls, and which calls are doubled, late or broken. Must not:
faults of machines. Plain customers never merge and keep their days in order, so that the auditor's
model can follow them; the others are anonymous, identify, alias in chains and circles; one is hot.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulator.faults.world import START

MINUTE = 60_000
PLAIN, ANONYMOUS, KNOWN = 6, 6, 4
PRODUCTS = ("p1", "p2", "p3")
REPEATED, LATE, BROKEN = 0.12, 0.05, 0.02
ITEMS = 0.03
COMPLAINTS = 0.1  # of what those do who are not plain
ERASED = 0.02  # and of those who merge, in some seeds
BROKEN_KINDS = (b"{not json", b"[]", b'{"type":"track"}')


@dataclass(frozen=True)
class Call:
    """A call: it happened `late_ms` before it is sent; or it `repeats` an earlier one."""

    gap_ms: int
    item: dict[str, Any] = field(default_factory=dict)
    late_ms: int = 0
    repeats: int = -1
    raw: tuple[bytes, bytes] | None = None  # (key, value) from a producer who skips the rim


def plain() -> frozenset[str]:
    """The customers that never merge, by their keys."""
    return frozenset(f"u:plain{number}" for number in range(PLAIN))


def calls(seed: int, count: int, counts: dict[str, int]) -> list[Call]:
    """The seed's calls in the order of sending; `counts` of doubled, late and broken ones."""
    random = Random(f"{seed}:workload")
    shop = _Shop(random)
    made: list[Call] = []
    hot = random.random() < 0.3
    for number in range(count):
        gap = round(random.expovariate(1 / random.choice((300, 20_000, 4 * MINUTE))))
        chance = random.random()
        if made and chance < REPEATED:
            made.append(Call(gap, repeats=random.randrange(max(0, number - 60), number)))
            kind = "repeated"
        elif chance < REPEATED + BROKEN:
            made.append(Call(gap, raw=_broken(random, number)))
            kind = "broken"
        else:
            who, item = shop.next(hot=hot)
            late = 0
            if (item.get("event") == "Product Viewed" or who == "mixed") and random.random() < LATE:
                late = random.choice((2, 8, 25, 90)) * MINUTE
            made.append(Call(gap, {"type": "track", "messageId": f"m{number}", **item}, late))
            kind = "late" if late else "events"
            if item.get("event") == "Erasure Requested":
                kind = "erasures"
        counts[kind] = counts.get(kind, 0) + 1
    return made


def _broken(random: Random, number: int) -> tuple[bytes, bytes]:
    """A record that no rim has seen: unreadable, of an unknown kind, or poison for a fold."""
    moving = [f"a:m{visitor}" for visitor in range(ANONYMOUS)]
    who = random.choice([*sorted(plain()), *moving]).encode()
    kind = random.randrange(6)
    if kind == 5:
        return b"!rejected", b'{"id":"r%d","at":%d,"reason":"test"}' % (number, START)
    if kind == 3:
        return b"!unknown", b"%d" % number
    if kind == 4:
        price = b'"properties":{"product_id":"p1","cart_id":"x","price":"much"}'
        head = b'"type":"track","event":"Product Added","source":"broken","receivedAt":1'
        owner = b"userId" if who.startswith(b"u:") else b"anonymousId"
        form = b'{%s,"timestamp":1900000000000,"messageId":"b%d","%s":"%s",%s}'
        return who, form % (head, number, owner, who[2:], price)
    return who, BROKEN_KINDS[kind] + b" " * number


class _Shop:
    """What customers do next."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.carts = [0] * PLAIN
        self.orders = 0
        self.unpaid: dict[int, bool] = {}
        self.merged_too = random.random() < 0.4  # whether those who merge are erased

    def next(self, *, hot: bool) -> tuple[str, dict[str, Any]]:
        """Whose kind of customer it is, and his call."""
        if self.random.random() < ITEMS:
            return "item", _cheaper(self.random.choice(PRODUCTS), self.random.choice((50, 90)))
        if hot and self.random.random() < 0.5:
            return "mixed", {"userId": "hot", **self._any()}
        if self.random.random() < 0.5:
            return "plain", self._plain(self.random.randrange(PLAIN))
        return "mixed", self._mixed()

    def _plain(self, number: int) -> dict[str, Any]:
        """Looks, fills one cart at a time, pays or empties it, sometimes told twice."""
        who = {"userId": f"plain{number}"}
        cart = f"c{number}-{self.carts[number]}"
        if self.random.random() < ERASED:
            self.carts[number] += 1
            return who | {"event": "Erasure Requested"}
        chance = self.random.random()
        if chance < 0.45:
            return who | _viewed(self.random.choice(PRODUCTS))
        if chance < 0.75:
            return who | _added(self.random.choice(PRODUCTS), 120, cart)
        self.carts[number] += 1
        if chance < 0.80:
            return who | {"event": "Cart Emptied", "properties": {"cart_id": cart}}
        if chance < 0.85 and self.orders:
            return who | _paid("Order Paid", f"o{number}-{self.orders}", cart)
        self.orders += 1
        name = self.random.choice(("Order Paid", "Order Completed"))
        return who | _paid(name, f"o{number}-{self.orders}", cart)

    def _mixed(self) -> dict[str, Any]:
        """Someone with an anonymous id, a user id, or both to be united."""
        visitor = f"m{self.random.randrange(ANONYMOUS)}"
        user = f"k{self.random.randrange(KNOWN)}"
        if self.merged_too and self.random.random() < ERASED:
            known = {"userId": user}, {"anonymousId": visitor}
            return self.random.choice(known) | {"event": "Erasure Requested"}
        chance = self.random.random()
        if chance < 0.1:
            return {"type": "identify", "userId": user, "anonymousId": visitor}
        if chance < 0.17:
            other = f"k{self.random.randrange(KNOWN)}"
            return {"type": "alias", "userId": user, "previousId": other}
        if chance < 0.2:
            return {"type": "alias", "userId": user, "previousId": visitor}
        who = {"anonymousId": visitor} if chance < 0.6 else {"userId": user}
        if chance > 0.95:
            return who | _accepted(f"k{self.random.randrange(KNOWN)}", self.random.randrange(9))
        return who | self._any()

    def _any(self) -> dict[str, Any]:
        chance = self.random.random()
        if chance < COMPLAINTS:
            return _reviewed(self.random.choice(PRODUCTS))
        if chance < 0.6:
            return _viewed(self.random.choice(PRODUCTS))
        if chance < 0.85:
            cart = self.random.choice(("", f"x{self.random.randrange(9)}"))
            return _added(self.random.choice(PRODUCTS), 240, cart)
        self.orders += 1
        return _paid("Order Completed", f"o{self.orders}", "")


def _cheaper(product: str, price: int) -> dict[str, Any]:
    told = {"product_id": product, "price": price}
    return {"event": "Product Price Changed", "userId": "shop", "properties": told}


def _accepted(referrer: str, code: int) -> dict[str, Any]:
    told = {"code": f"r{code}", "referrer": referrer}
    return {"event": "Referral Accepted", "properties": told}


def _reviewed(product: str) -> dict[str, Any]:
    told = {"product_id": product, "merchant_id": "m", "rating": 1, "text": "破损"}
    return {"event": "Product Reviewed", "properties": told}


def _viewed(product: str) -> dict[str, Any]:
    return {"event": "Product Viewed", "properties": {"product_id": product, "price": 99}}


def _added(product: str, price: int, cart: str) -> dict[str, Any]:
    named = {"cart_id": cart} if cart else {}
    line = {"product_id": product, "price": price, "quantity": 1}
    return {"event": "Product Added", "properties": {**line, **named}}


def _paid(event: str, order: str, cart: str) -> dict[str, Any]:
    named = {"cart_id": cart} if cart else {}
    return {"event": event, "properties": {"order_id": order, "total": 200, **named}}
