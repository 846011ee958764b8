"""Points in lots, and the row of `points_ledger` that each change is: the balance is their sum.

Must live here: lots, giving, drawing, taking back, what time does to them. Must not: which event
does which (points.py). Lots that expire first are spent first. The balance is never below zero,
unless an adjustment said so: what it could not draw is owed, and paid by what is earned next.
"""

import math
from typing import Final

import msgspec

from features.facet import Emit
from features.fold import MINOR_MAX

LOTS_MAX: Final = 50
BOOSTS_MAX: Final = 5
ORDERS_MAX: Final = 20
GRACE_MS: Final = 600_000  # an event of before the expiry may still be on its way for so long


class Lot(msgspec.Struct, array_like=True, gc=False):
    """Points that were given together; times in ms, `expires_at` 0 for never."""

    id: str
    left: int
    at: int = 0
    expires_at: int = 0
    order: str = ""

    def good(self, now: int) -> bool:
        """Whether they can be spent."""
        return not self.expires_at or now < self.expires_at


class Boost(msgspec.Struct, array_like=True, gc=False):
    """What is earned is multiplied for a while (ms)."""

    factor: float
    since: int
    until: int
    rule: str = ""


class Points(msgspec.Struct, array_like=True):
    """Lots in the order in which they are spent; per order, what it earned and what it cost."""

    lots: list[Lot] = []
    owed: int = 0
    earned: int = 0
    redeemed: int = 0
    boosts: list[Boost] = []
    awarded: dict[str, int] = {}
    spent: dict[str, int] = {}


class Entry(msgspec.Struct, frozen=True):
    """What one change is called in the ledger: its id, when (ms), why."""

    id: str
    at: int
    fact: str
    order: str = ""
    rule: str = ""


def balance(points: Points, now: int) -> int:
    """What he can spend; below zero only when he owes."""
    return sum(lot.left for lot in points.lots if lot.good(now)) - points.owed


def give(points: Points, entry: Entry, many: int, expires_at: int, emit: Emit) -> None:
    """A new lot, less what he owes."""
    _tell(entry, many, entry.id, expires_at, emit)
    paid = min(points.owed, many)
    points.owed -= paid
    if many > paid:
        points.lots.append(Lot(entry.id, many - paid, entry.at, expires_at, entry.order))
    points.earned = min(points.earned + many, MINOR_MAX)
    keep_order(points)


def keep_order(points: Points) -> None:
    """Spent first is what expires first; beyond 50 lots the first joins the next, and lives on."""
    lots = points.lots
    lots.sort(key=lambda lot: (lot.expires_at or math.inf, lot.at, lot.id))
    while len(lots) > LOTS_MAX:
        lots[1].left += lots.pop(0).left


def good(points: Points, now: int, order: str = "") -> list[Lot]:
    """The lots that can be spent, in order; those that an order earned first."""
    lots = [lot for lot in points.lots if lot.good(now)]
    return sorted(lots, key=lambda lot: lot.order != order) if order else lots


def draw(points: Points, entry: Entry, many: int, lots: list[Lot], emit: Emit) -> int:
    """Take up to so many out of these lots; how many could be taken."""
    left = many
    for number, lot in enumerate(lots):
        if not left:
            break
        taken = min(lot.left, left)
        lot.left -= taken
        left -= taken
        name = f"{entry.id}#{number}" if number else entry.id
        _tell(msgspec.structs.replace(entry, id=name), -taken, lot.id, lot.expires_at, emit)
    points.lots = [lot for lot in points.lots if lot.left]
    return many - left


def redeem(points: Points, entry: Entry, many: int, emit: Emit) -> bool:
    """Spend them, once an order: all of them or, where the balance does not cover it, none."""
    name = entry.order or entry.id
    if name in points.spent:
        return True
    if balance(points, entry.at) < many:
        _tell(msgspec.structs.replace(entry, fact="refused"), 0, "", 0, emit)
        return False
    draw(points, entry, many, good(points, entry.at), emit)
    points.redeemed = min(points.redeemed + many, MINOR_MAX)
    note(points.spent, name, many)
    return True


def adjust(points: Points, entry: Entry, many: int, emit: Emit) -> None:
    """Take so many even if he has fewer: the rest is owed."""
    rest = many - draw(points, entry, many, good(points, entry.at), emit)
    if rest:
        points.owed = min(points.owed + rest, MINOR_MAX)
        _tell(msgspec.structs.replace(entry, id=f"{entry.id}#owed"), -rest, "", 0, emit)


def boost(points: Points, factor: float, since: int, until: int, rule: str) -> None:
    """Multiply what is earned from now on, for a while."""
    running = [one for one in points.boosts if one.until > since]
    points.boosts = [*running, Boost(factor, since, until, rule)][-BOOSTS_MAX:]


def boosted(points: Points, at: int) -> Boost | None:
    """The strongest that runs."""
    running = [one for one in points.boosts if one.since <= at < one.until]
    return max(running, key=lambda one: (one.factor, one.rule)) if running else None


def due(points: Points) -> int:
    """When the next lot is written off (ms), 0 for never."""
    if not points.lots:
        return 0
    return min((lot.expires_at + GRACE_MS for lot in points.lots if lot.expires_at), default=0)


def lapse(points: Points, until: int, emit: Emit) -> None:
    """Write off the lots that expired, up to `until` (ms)."""
    for lot in [lot for lot in points.lots if 0 < lot.expires_at <= until - GRACE_MS]:
        points.lots.remove(lot)
        expiry = Entry(f"{lot.id}!expired", lot.expires_at, "expired", lot.order)
        _tell(expiry, -lot.left, lot.id, lot.expires_at, emit)


def note(orders: dict[str, int], order: str, many: int) -> None:
    """Remember of the last 20 orders."""
    orders[order] = orders.pop(order, 0) + many
    while len(orders) > ORDERS_MAX:
        del orders[next(iter(orders))]


def _tell(entry: Entry, many: int, lot: str, expires_at: int, emit: Emit) -> None:
    emit("points_ledger", {
        "entry_id": entry.id, "at": entry.at, "fact": entry.fact, "points": many, "lot": lot,
        "expires_at": expires_at or None, "order_id": entry.order, "rule": entry.rule,
    })  # fmt: skip
