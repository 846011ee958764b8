"""Budgets: what a decision spends of them, out of the slices that its shard holds.

Must live here: which ledgers a decision spends from and how much, the slices, asking for more.
Must not: the ledger's own sums (ledger.py), what its answers do (slices.py).

A coupon is reserved when it is issued, at its face: `off` if that is money, `most` if it is a
percentage or another value, nothing for one without either (free shipping, a gift: it counts as a
coupon). What was reserved stays spent in its period, redeemed or not. A decision counts in the
period of its due time, spends from all its ledgers or none, and the last gate is the budget's: what
another gate holds spends nothing. A ledger lives under a name of its own, like a customer:

    b:rule/cart-rescue:coupons:day    b:offer/SAVE:money:week    b:shop:money:2592000000
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.caps import PRIORITY, outranked
from engine.case import Case
from engine.effects import Effects, Letter, Moment, Row
from engine.ledger import Bucket, Ledger, Purse, Slice, bucket
from engine.pools import POOL, taken
from rules.model import Budget, Rate

ASK, SLICE, UNSPENT = "ask", "slice", "unspent"  # the letters
LEDGERS: Final = "b:"
IDLE_MS: Final = 600_000  # then a slice goes back, and a no is asked anew
RETRY_MS: Final = 60_000
HELD: Final = "budget"
NO_CODES: Final = "codes"  # the pool is empty
WAITS: Final = "slice"
_CODES: Final = Rate(10**9, 0, "ever")  # what a pool may give is what it has


class Claim(NamedTuple):
    """What a decision wants of one ledger; of a pool, the codes for these rows."""

    ledger: str
    rate: Rate
    amount: int
    rows: Sequence[Row] = ()

    @property
    def no(self) -> str:
        """The reason when its ledger says no."""
        return NO_CODES if self.rows else HELD


def paid(case: Case, rows: list[Row]) -> tuple[str, list[Row]]:
    """Spend what the actions cost: why not, "" when done, and the actions; it may wait.

    When the budget's no is said of all, those that are not optional are tried alone.
    """
    reason = spend(case, rows)
    if reason not in {HELD, NO_CODES, PRIORITY}:
        return reason, rows
    optional = {action.name for action in case.act.actions if action.optional}
    needed = [row for row in rows if row["kind"] != "coupon" or row["name"] not in optional]
    if not needed or len(needed) == len(rows):
        return reason, rows
    return spend(case, needed), needed


def spend(case: Case, rows: Sequence[Row]) -> str:
    """Spend what these actions cost: "" when done, why not at a ledger's no, else it waits."""
    purse = case.turn.moment.purse
    if purse is None:
        return ""
    wanted = claims(case, rows)
    found = [(one, bucket(one.rate, case.at, case.turn.zone)) for one in wanted]
    for one, period in found:
        if short := _short(case, purse, one, period):
            return short
    for one, period in found:
        held = purse.slices[_key(one.ledger, period.number)]
        held.left -= one.amount
        held.won = (case.at, case.rule.name, case.turn.customer.cid, one.amount)
        for row in one.rows:
            pool = one.ledger.removeprefix(POOL)
            row.update(taken(case.turn.moment.settings.secret, pool, held.codes.pop(0)))
        held.used = case.turn.moment.log_time
        if held.left <= held.size // 4 and not held.asked and purse.home is None:
            held.asked = True
            _ask(case, one, period, 0)
    return ""


def claims(case: Case, rows: Sequence[Row]) -> list[Claim]:
    """What the actions want of each ledger that the rule, its offers and the shop have."""
    coupons = [row for row in rows if row["kind"] == "coupon"]
    if not coupons:
        return []
    rule, book = case.rule, case.turn.book
    wanted = _of(f"rule/{rule.name}", rule.budget, coupons, rule.run)
    pooled: dict[str, list[Row]] = {}
    for name in sorted({row["offer"] for row in coupons} & book.offers.keys()):
        own = [row for row in coupons if row["offer"] == name]
        wanted += _of(f"offer/{name}", book.offers[name].budget, own)
        if pool := book.offers[name].pool:
            pooled.setdefault(pool, []).extend(own)
    wanted += _of("shop", book.shop.budget, coupons)
    moment = case.turn.moment
    if not moment.settings.pools or moment.purse is None or moment.purse.home is not None:
        return wanted  # codes without end, made up
    return wanted + [Claim(f"{POOL}{pool}", _CODES, len(own), own) for pool, own in pooled.items()]


def _of(owner: str, budget: Budget | None, coupons: Sequence[Row], run: str = "") -> list[Claim]:
    found = []
    if budget and (rate := budget.coupons):
        found.append(Claim(f"{LEDGERS}{owner}:coupons:{_period(rate, run)}", rate, len(coupons)))
    if budget and (rate := budget.money):
        amount = sum(cost(row) for row in coupons)
        if amount:
            found.append(Claim(f"{LEDGERS}{owner}:money:{_period(rate, run)}", rate, amount))
    return found


def _period(rate: Rate, run: str) -> str:
    return f"run/{run}" if rate.calendar == "run" else rate.calendar or str(rate.per_ms)


def cost(coupon: Mapping[str, Any]) -> int:
    """What a coupon's row is reserved at, in fen.

    >>> cost({"off_kind": "percent", "off": 10, "most": 49.9})
    4990
    """
    face = coupon["off"] if coupon["off_kind"] == "money" else coupon.get("most")
    return round((face or 0) * 100)


def _short(case: Case, purse: Purse, one: Claim, period: Bucket) -> str:
    """Why a slice does not do: `budget`, or it waits for the ledger; "" when it does."""
    log_time, limit = case.turn.moment.log_time, one.rate.count
    held = purse.slices.setdefault(_key(one.ledger, period.number), Slice(log_time))
    if held.limit != limit:
        held.limit, held.refused = limit, 0
    need = one.amount - held.left
    if need <= 0:
        return ""
    if one.amount > limit or 0 < held.refused <= need:
        return _no(case, held, one)
    if purse.home is not None:
        ledger = purse.home.setdefault(one.ledger, Ledger())
        fill(held, ledger.grant(period, limit, need, 1), need, limit, log_time)
        return _no(case, held, one) if held.left < one.amount else ""
    _ask(case, one, period, need)
    late = case.rule.late_ms
    if case.turn.moment.settings.record_clock:  # nothing is late there
        case.instance.again = log_time + max(late, RETRY_MS)
    else:
        case.instance.again = max(case.at + late, log_time) + 1
    return WAITS


def _no(case: Case, held: Slice, one: Claim) -> str:
    """The reason: what was left went to a rule of higher priority at this very moment, or it is."""
    at, rule, cid, amount = held.won
    now = (at, cid) == (case.at, case.turn.customer.cid) and one.amount <= held.left + amount
    return PRIORITY if now and outranked(case.turn.book, case.rule, rule) else one.no


def fill(
    held: Slice, granted: int, need: int, limit: int, log_time: int, codes: Sequence[str] = ()
) -> None:
    """The ledger's answer comes into a slice; nothing for something needed is its no."""
    held.used = log_time
    if granted:
        held.left += granted
        held.size = granted
        held.codes = [*held.codes, *codes]
    elif need and held.limit == limit:
        held.refused = min(need, held.refused or need)


def _ask(case: Case, one: Claim, period: Bucket, need: int) -> None:
    turn = case.turn
    body = {
        "ledger": one.ledger, "bucket": list(period), "limit": one.rate.count, "need": need,
        "cid": turn.customer.cid,
    }  # fmt: skip
    turn.effects.letters.append(Letter(one.ledger, ASK, body, turn.moment.offset))


def give_back(moment: Moment, effects: Effects) -> None:
    """At a tick: what nobody needed lately goes back, at a period's end and before."""
    slices = moment.purse.slices if moment.purse else {}
    idle = [key for key, held in slices.items() if held.used + IDLE_MS <= moment.log_time]
    for key in sorted(idle):
        ledger, _, number = key.rpartition("#")
        held = slices.pop(key)
        if held.left:
            body: Row = {"number": int(number), "left": held.left}
            if held.codes:
                body["codes"] = held.codes
            effects.letters.append(Letter(ledger, UNSPENT, body, moment.offset))


def key_of(body: Mapping[str, Any]) -> str:
    """The slice that a letter is about."""
    return _key(body["ledger"], body["bucket"][0])


def _key(ledger: str, number: int) -> str:
    return f"{ledger}#{number}"
