"""Points: what he may spend, which of it expires next; earned, spent and written off by events.

Points Earned is multiplied while a decision said so; a negative one is the shop's adjustment.
Points Redeemed counts once an order_id, and not at all when the balance does not cover it. An order
that is cancelled, or refunded whole, takes back what it earned and gives back what it cost; of one
refunded in part the shop says how many points that is. Points Expired is heard for points whose
expiry nobody told; the others are written off when it comes.
"""

import math
from typing import Final

import msgspec

from features import order_lines
from features.events import Event
from features.facet import Emit, Facet, number
from features.fold import MINOR_MAX, short
from features.points_ledger import (
    BOOSTS_MAX,
    ORDERS_MAX,
    Entry,
    Lot,
    Points,
    adjust,
    balance,
    boosted,
    draw,
    give,
    good,
    keep_order,
    note,
    redeem,
)


def fold(points: Points, event: Event, emit: Emit) -> None:
    """Take the event into the ledger."""
    order = short(event.properties.get("order_id", ""))
    name = short(f"{event.source}:{event.message_id}")
    many = round(max(-MINOR_MAX, min(event.properties.get("points", 0), MINOR_MAX)))
    entry = Entry(name, event.at, _FACTS.get(event.name, "reversed"), order)
    if event.name not in _FACTS:
        if order and (event.name == "Order Cancelled" or order_lines.refund_amount(event) is None):
            _take_back(points, entry, emit)
    elif event.name == "Points Earned" and many < 0:
        adjust(points, msgspec.structs.replace(entry, fact="adjusted"), -many, emit)
    elif many <= 0:
        return
    elif event.name == "Points Earned":
        _earn(points, entry, many, event.properties.get("expires_at", 0), emit)
    elif event.name == "Points Redeemed":
        redeem(points, entry, many, emit)
    else:
        _write_off(points, entry, many, emit)


def _earn(points: Points, entry: Entry, many: int, expires_at: int, emit: Emit) -> None:
    give(points, entry, many, expires_at, emit)
    more = boosted(points, entry.at)
    bonus = min(round(many * (more.factor - 1)), MINOR_MAX) if more else 0
    if more and bonus:
        extra = Entry(f"{entry.id}!bonus", entry.at, "bonus", entry.order, more.rule)
        give(points, extra, bonus, expires_at, emit)
    if entry.order:
        note(points.awarded, entry.order, many + bonus)


def _take_back(points: Points, entry: Entry, emit: Emit) -> None:
    """What the order earned goes, as far as he still has it; what it cost comes back."""
    spent = points.spent.pop(entry.order, 0)
    if spent:
        back = Entry(f"{entry.id}!returned", entry.at, "returned", entry.order)
        give(points, back, spent, 0, emit)
        points.earned = max(0, points.earned - spent)
        points.redeemed = max(0, points.redeemed - spent)
    earned = points.awarded.pop(entry.order, 0)
    covered = min(earned, max(0, balance(points, entry.at)))
    if covered:
        draw(points, entry, covered, good(points, entry.at, entry.order), emit)


def _write_off(points: Points, entry: Entry, many: int, emit: Emit) -> None:
    """The shop says that points expired: those of which we do not know when, or did not yet."""
    lots = [lot for lot in points.lots if lot.expires_at <= entry.at]
    draw(points, entry, many, lots, emit)


_FACTS: Final = {
    "Points Earned": "earned",
    "Points Redeemed": "redeemed",
    "Points Expired": "expired",
}


def merge(mine: Points, theirs: Points) -> Points:
    """What both have, less what both owe."""
    united = Points(
        [Lot(lot.id, lot.left, lot.at, lot.expires_at, lot.order) for lot in mine.lots],
        mine.owed + theirs.owed,
        min(mine.earned + theirs.earned, MINOR_MAX),
        min(mine.redeemed + theirs.redeemed, MINOR_MAX),
        sorted([*mine.boosts, *theirs.boosts], key=lambda one: one.until)[-BOOSTS_MAX:],
        _orders(mine.awarded, theirs.awarded),
        _orders(mine.spent, theirs.spent),
    )
    united.lots += [Lot(lot.id, lot.left, lot.at, lot.expires_at, lot.order) for lot in theirs.lots]
    keep_order(united)
    if mine.owed or theirs.owed:
        for lot in united.lots:
            paid = min(lot.left, united.owed)
            lot.left -= paid
            united.owed -= paid
        united.lots = [lot for lot in united.lots if lot.left]
    return united


def _orders(mine: dict[str, int], theirs: dict[str, int]) -> dict[str, int]:
    both = dict(theirs)
    for order, many in mine.items():
        both[order] = both.pop(order, 0) + many
    return dict(list(both.items())[-ORDERS_MAX:])


def next_lot(points: Points, now: int) -> Lot | None:
    """The lot that expires next."""
    return next((lot for lot in points.lots if lot.expires_at > now), None)


def _expiring(points: Points, now: int) -> float:
    found = next_lot(points, now)
    return sum(lot.left for lot in points.lots if found and lot.expires_at == found.expires_at)


def _expires_at(points: Points, now: int) -> float:
    found = next_lot(points, now)
    return found.expires_at if found else math.nan


FACET: Final = Facet(
    name="points",
    version=1,
    state=Points,
    doc="Points in lots: the balance, what expires next, earned and redeemed.",
    events=frozenset((*_FACTS, "Order Cancelled", "Order Refunded")),
    fold=fold,
    merge=merge,
    features=(
        number("points.balance", "points", "Points that he can spend now.", balance),
        number("points.expiring", "points", "Points that expire next, all at one time.", _expiring),
        number("points.expires_at", "moment", "When those expire; missing for none.", _expires_at),
        number("points.earned", "points", "Points he was given, ever.", lambda s, _: s.earned),
        number("points.redeemed", "points", "Points he spent, ever.", lambda s, _: s.redeemed),
    ),
)
