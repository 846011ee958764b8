"""What an acting decision does to the customer's own state, in the same commit.

Must live here: one function a kind of action that changes him, in a table. Must not: rows
(actions.py), sending. Only what goes to the customer himself is done here: what goes to another is
done where that one lives. To add one: a function from a Case and its row; a line in DOINGS.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.actions import id_of
from engine.case import Case
from engine.dues import redate
from engine.effects import Letter, Row
from engine.fields import tell
from engine.holdings import emitter, holdings_due
from engine.recipients import send
from engine.turn import Turn
from features import points_ledger, tags
from features.coupon_ledger import CANCEL, ISSUED, REFUND, Coupon, issue
from features.events import Event, encode
from features.facet import Emit
from features.fold import minor

SOURCE: Final = "laike"


def do(case: Case, rows: Sequence[Row]) -> None:
    """Do what the rows of a decision say."""
    for row in rows:
        doing = DOINGS.get(row["kind"])
        if doing is not None and row.get("to", "customer") == "customer":
            doing(case, row)
    send(case, rows)


def _emitter(case: Case) -> Emit:
    turn = case.turn
    return emitter(turn.customer, turn.moment, turn.effects)


def _coupon(case: Case, row: Row) -> None:
    """He has it from now on; what rules know of coupons, they are told of it too.

    Its first row in the ledger is made of the decision's own (sinks/rows.py).
    """
    turn, code = case.turn, row["code"]
    offer = turn.book.offers.get(row["offer"])
    returns = {"cancel": CANCEL, "refund": REFUND}
    policy = offer.returns if offer else {"cancel": True}
    write = _emitter(case)

    def emit(table: str, told: Row) -> None:
        if told["fact"] != ISSUED:
            write(table, told)

    issue(turn.customer.touch("coupons"), code, Coupon(
        offer=row["offer"], issued_at=case.at, expires_at=row["expires_at"],
        off=row["off"] if row["off_kind"] == "gift" else float(row["off"]),
        off_kind=row["off_kind"], over=minor(row["over"] or 0), most=minor(row["most"] or 0),
        rule=case.rule.name, decision=id_of(case, case.act.step),
        returns=sum(bit for name, bit in returns.items() if policy.get(name)),
        share=offer.cost.get("shop", 0.0) if offer else 1.0,
        ledger_id=row.get("coupon_id", ""), pool=row.get("pool", ""),
    ), emit)  # fmt: skip
    _arm(turn)
    told = {name: row[name] for name in ("code", "offer", "off", "over", "expires_at")}
    _know(turn, event(case, "Coupon Issued", code, {**told, "coupon_id": code}))


def _know(turn: Turn, issued: Event) -> None:
    """Rules that read a coupon's fields, or are due at its dates, learn of it."""
    ears = turn.book.ears(issued.name)
    if ears is None:
        return
    if ears.told:
        tell(turn.customer, issued, ears.told, turn.zone)
    extra = turn.extra
    for rule in ears.dated:
        redate(turn, rule, issued.at)
    turn.extra = extra


def _points(case: Case, row: Row) -> None:
    turn = case.turn
    points = turn.customer.touch("points")
    if "multiply" in row:
        points_ledger.boost(points, row["multiply"], case.at, row["until"], case.rule.name)
        return
    name = f"{id_of(case, case.act.step)}:{row['name']}"
    many = row["points"]
    fact = "given" if many > 0 else "adjusted"
    entry = points_ledger.Entry(name, case.at, fact, rule=case.rule.name)
    if many > 0:
        points_ledger.give(points, entry, many, row["expires_at"], _emitter(case))
    else:
        points_ledger.adjust(points, entry, -many, _emitter(case))
    _arm(turn)


def _arm(turn: Turn) -> None:
    if due := holdings_due(turn.customer):
        turn.journey.arm(due)


def _tag(case: Case, row: Row) -> None:
    held = case.turn.customer.touch("tags")
    tags.change(held, row["kind"], row["add"], row["remove"], case.at, _emitter(case))


def _pause(case: Case, row: Row) -> None:
    paused = case.turn.journey.paused
    paused[row["purpose"]] = max(row["until"], paused.get(row["purpose"], 0))


def _emit(case: Case, row: Row) -> None:
    """The event comes back to him as a letter: his record, like any other."""
    turn, name = case.turn, f"{id_of(case, case.act.step)}:{row['name']}"
    value = encode(event(case, row["event"], name, row["properties"])).decode()
    body = {"value": value, "path": [], "emitted": turn.moment.depth + 1}
    turn.effects.letters.append(Letter(turn.customer.cid, "event", body, turn.moment.offset))


def event(case: Case, name: str, message_id: str, properties: dict[str, Any]) -> Event:
    """An event of our own about the customer, as of the act."""
    kind, _, own = case.turn.customer.cid.partition(":")
    return Event(
        type="track", name=name, message_id=message_id, at=case.at, source=SOURCE,
        received_at=max(case.at, case.turn.moment.log_time), properties=properties,
        user_id=own if kind == "u" else "", anonymous_id=own if kind == "a" else "",
    )  # fmt: skip


DOINGS: Final[dict[str, Callable[[Case, Row], None]]] = {
    "coupon": _coupon,
    "points": _points,
    "tag": _tag,
    "audience": _tag,
    "pause": _pause,
    "emit": _emit,
}
