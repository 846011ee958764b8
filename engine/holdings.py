"""What a customer holds that time takes away: reservations, coupons, points.

Must live here: when the next of it lapses, and the rows that its ledgers emit. Must not: what a
lapse is (features/coupon_ledger.py, points_ledger.py).
"""

from collections.abc import Sequence
from typing import Any, Final

from engine.effects import Effects, Moment, Row
from features import coupon_ledger, points_ledger
from features.customer import Customer
from features.events import Event
from features.facet import Emit
from features.segment_moves import moved

LAPSING: Final = frozenset(("coupon_ledger", "points_ledger"))  # whose rows may set a timer
_HELD: Final[tuple[tuple[str, Any], ...]] = (("coupons", coupon_ledger), ("points", points_ledger))


def emitter(customer: Customer, moment: Moment, effects: Effects) -> Emit:
    """What writes facets' rows; while an event is folded they are told first (`Effects.tell`)."""

    def emit(table: str, row: Row) -> None:
        effects.fact(table, {**row, "cid": customer.cid, "version": moment.offset})

    return emit


def holdings_due(customer: Customer) -> int:
    """When the next of it lapses (ms), 0 for never."""
    times = [ledger.due(customer.states[facet]) for facet, ledger in _HELD]
    return min([due for due in times if due], default=0)


def lapse(customer: Customer, moment: Moment, effects: Effects) -> int:
    """Let go of what has lapsed by the log time; when the next of it lapses (ms), 0 for never."""
    due = holdings_due(customer)
    if not 0 < due <= moment.log_time:
        return due
    emit = emitter(customer, moment, effects)
    for facet, ledger in _HELD:
        if 0 < ledger.due(customer.states[facet]) <= moment.log_time:
            ledger.lapse(customer.touch(facet), moment.log_time, emit)
    return holdings_due(customer)


def count_once(mine: Customer, theirs: Customer, emit: Emit, at: int) -> None:
    """Of two who become one: a tier or label that both were counted in counts once from now on."""
    one, other = mine.state("tags"), theirs.state("tags")
    both = [("tag", name) for name in sorted(one.labels.keys() & other.labels.keys())]
    both += [("audience", name) for name in sorted(one.audiences.keys() & other.audiences.keys())]
    tiers = mine.state("member"), theirs.state("member")
    if all(side.tier for side in tiers):
        both.append(("member", min(tiers, key=lambda side: side.told).tier))
    for kind, name in both:
        holder = mine.touch("member" if kind == "member" else "tags")
        holder.moves = moved(kind, name, "", at, holder.moves, emit)


def redeemed_by(customer: Customer, event: Event, rows: Sequence[Row]) -> list[Event]:
    """The coupons that an order used, as the events that rules know a redemption by."""
    held = customer.state("coupons")
    return [
        Event(
            type="track", name="Coupon Redeemed", message_id=f"{event.message_id}:{number}",
            at=event.at, received_at=event.received_at, source=event.source,
            user_id=event.user_id, anonymous_id=event.anonymous_id,
            properties={"code": held.code_of(row["coupon_id"]), "order_id": row["order_id"]},
        )
        for number, row in enumerate(rows)
        if row["fact"] == coupon_ledger.REDEEMED
    ]  # fmt: skip
