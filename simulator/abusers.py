"""Those who live off the made-up shop's gifts, and what honest people do that looks alike.

Must live here: whole lives of abusers, drawn from the seed, and what is put on honest orders
(coupons, means of payment, merchants). Must not: the honest population (world.py), judging.
Each abuser is cautious to a degree that nobody tells: the more so, the more he acts like others.

    farmers   one person with many accounts, a coupon on every order, most of them given back
    brushers  orders made up for one merchant (刷单): not looked at, received at once, praised
    rings     accounts that refer one another, often on one device
"""

from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from simulator.habits import DAY, HOUR, MINUTE, iso

PAID = ("Order Paid", "Order Completed")
Item = dict[str, Any]


class Abuser(NamedTuple):
    """An account of an abuser, and what he does."""

    user: str
    kind: str
    items: list[Item]


class _Account:
    def __init__(self, user: str, device: str, start: int) -> None:
        self.user, self.device, self.items = user, device, list[Item]()
        self.do("identify", start)

    def do(self, name: str, at: int, **told: object) -> None:
        item: Item = {
            "type": "track", "userId": self.user, "anonymousId": self.device, "timestamp": iso(at),
            "messageId": f"{self.user}-{len(self.items)}", "event": name, "properties": told,
            "context": {"channel": "app"},
        }  # fmt: skip
        if name == "identify":
            item |= {"type": "identify", "traits": {}}
            del item["event"], item["properties"]
        self.items.append(item)

    def look(self, at: int, times: int) -> None:
        for n in range(times):
            self.do("Product Viewed", at - (n + 1) * MINUTE, product_id=f"p{n}", price=30)

    def order(self, at: int, rng: Random, **told: object) -> str:
        name = f"{self.user}o{len(self.items)}"
        told = {"order_id": name, "total": round(rng.uniform(20, 200), 2), **told}
        self.do("Order Paid", at, **told)
        return name


def abusers(seed: int, people: int, start: int, days: int) -> Iterator[Abuser]:
    """So many people of each kind, with all their accounts, over the days from `start` (ms)."""
    kinds = (("farmer", _farmer), ("brusher", _brusher), ("ring", _ring))
    for kind, live in kinds:
        for number in range(people):
            rng = Random(f"{kind} {seed} {number}")
            caution = rng.random()
            for one in live(f"{kind}{number}", caution, rng, start, days):
                yield Abuser(one.user, kind, one.items)


def _farmer(name: str, caution: float, rng: Random, start: int, days: int) -> list[_Account]:
    accounts = []
    for n in range(rng.randint(2, 7)):
        device = name if rng.random() > caution * 0.7 else f"{name}-{n}"
        at = start + rng.randrange(days * DAY // 2)
        one = _Account(f"{name}a{n}", device, at)
        for _ in range(rng.randint(1, 5)):
            at += rng.randrange(HOUR, 3 * DAY)
            one.look(at, rng.randrange(6))
            paid = {"payment_id": f"{name}k{rng.randrange(5)}", "address_id": name}
            order = one.order(at, rng, coupon="WELCOME", **paid)
            if rng.random() > 0.25 + 0.5 * caution:
                gone = at + rng.randrange(HOUR, DAY)
                back = rng.choice(("Order Cancelled", "Order Refunded"))
                one.do(back, gone, order_id=order, refund_id=f"{order}r")
        accounts.append(one)
    return accounts


def _brusher(name: str, caution: float, rng: Random, start: int, days: int) -> list[_Account]:
    at = start + rng.randrange(days * DAY // 2)
    one = _Account(f"{name}a", name, at)
    for _ in range(rng.randint(3, 12)):
        at += rng.randrange(20 * MINUTE, 2 * DAY)
        if rng.random() < caution:
            one.look(at, rng.randint(1, 4))
        own = rng.random() < 0.8
        whose = f"{name}m" if own else f"m{rng.randrange(40)}"
        order = one.order(at, rng, merchant_id=whose, payment_id=f"{name}k")
        fast = own and rng.random() > caution * 0.6
        got = at + (rng.randrange(2, 25) * MINUTE if fast else rng.randrange(DAY, 3 * DAY))
        one.do("Order Delivered", got, order_id=order)
        one.do("Product Reviewed", got + MINUTE, order_id=order, product_id="p1", rating=5)
        if rng.random() < 0.3 * (1 - caution):
            one.do("Order Refunded", got + HOUR, order_id=order, refund_id=f"{order}r")
    return [one]


def _ring(name: str, caution: float, rng: Random, start: int, days: int) -> list[_Account]:
    at = start + rng.randrange(days * DAY // 2)
    users = [f"{name}a{n}" for n in range(rng.randint(2, 4))]
    accounts = []
    for n, user in enumerate(users):
        device = name if rng.random() > caution * 0.8 else f"{name}-{n}"
        one = _Account(user, device, at + n * HOUR)
        referrer, friend = users[n - 1], users[(n + 1) % len(users)]
        one.do(
            "Referral Accepted", at + n * HOUR + MINUTE, code="r", referrer=referrer, friend=user
        )
        one.do("Referral Sent", at + n * HOUR + 2 * MINUTE, code="r", referrer=user, friend=friend)
        for _ in range(rng.randint(1, 3)):
            when = at + n * HOUR + rng.randrange(HOUR, 5 * DAY)
            one.look(when, rng.randrange(5))
            one.order(when, rng, payment_id=f"{name}k{n}", address_id=f"{name}{rng.randrange(2)}")
        accounts.append(one)
    return accounts


def dressed(item: Item, seed: int) -> list[Item]:
    """An honest item, its order with what honest orders have: some love coupons, some move.

    One order in twenty needs no parcel (tickets, credit, next door) and is there at once.
    """
    user, name = str(item.get("userId", "")), item.get("event")
    if name not in PAID or not user:
        return [item]
    person, told = _person(seed, user), dict(item["properties"])
    rng = Random(f"dress {seed} {told['order_id']}")
    if rng.random() < person["coupons"]:
        told["coupon"] = "SAVE"
    told["payment_id"] = f"{user}k{rng.randrange(int(person['payments']))}"
    told["address_id"] = f"{user}a{rng.randrange(int(person['addresses']))}"
    told["merchant_id"] = f"m{rng.randrange(int(person['merchants']))}"
    found = [{**item, "properties": told}]
    if rng.random() < 0.05:
        found.append({
            **item, "event": "Order Delivered", "messageId": f"{item['messageId']}-now",
            "properties": {"order_id": told["order_id"]},
        })  # fmt: skip
    return found


@lru_cache(maxsize=4_096)
def _person(seed: int, user: str) -> dict[str, float]:
    rng = Random(f"dressed {seed} {user}")
    return {
        "coupons": 0.95 if rng.random() < 0.15 else rng.random() * 0.4,
        "payments": rng.choice((1, 1, 1, 2, 3)),
        "addresses": rng.choice((1, 1, 2, 3)),
        "merchants": rng.choice((1, 3, 10, 40)),
    }
