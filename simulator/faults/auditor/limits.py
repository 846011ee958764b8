"""What must never be exceeded, counted from the decisions alone.

Must live here: the budgets and caps of the simulated shop's own rules (book.py), as a person would
count them. Must not: the engine's ledgers and counters. A day is Shanghai's.

    spend-looks   a coupon a look: 7 coupons a day and 130 yuan in any 12 hours, over all shards
    tell-carts    a message a cart: 2 in any 24 hours by push, none between 12:00 and 14:00
    give-codes    an imported code an order: each to one; back, where its message never left
    digest-orders  a message for the orders of 3 hours
"""

from collections import Counter
from collections.abc import Iterator
from math import inf

from simulator.faults.auditor.chain import Chains
from simulator.faults.auditor.erased import erasures_of
from simulator.faults.history import History

HOUR = 3_600_000
ZONE, DAY = 8 * HOUR, 24 * HOUR
COUPONS_A_DAY, YUAN_IN_12_HOURS = 7, 130
MESSAGES_A_DAY = 2
NOON, TWO = 12 * HOUR, 14 * HOUR


def budgets(_: History, chains: Chains) -> Iterator[str]:
    """No budget is exceeded; and what is held for it was spent, but for slices that lie idle."""
    given = sorted(
        (row["at"], action["off"])
        for row in chains.acting()
        if row["rule"] == "spend-looks"
        for action in row["actions"]
    )
    days = Counter((at + ZONE) // DAY for at, _ in given)
    for day, coupons in days.items():
        if coupons > COUPONS_A_DAY:
            yield f"{coupons} coupons on day {day}, {COUPONS_A_DAY} are allowed"
    for until, _ in given:
        spent = sum(off for at, off in given if until - 12 * HOUR < at <= until)
        if spent > YUAN_IN_12_HOURS:
            yield f"{spent} yuan in the 12 hours to {until}, {YUAN_IN_12_HOURS} are allowed"
    why = Counter(row["held"] for row in chains.rows("decisions") if row["rule"] == "spend-looks")
    held, idle = why["budget"], why["late"] + why["killed"]  # whose slices came, and lie idle
    if held and not given and not idle:
        yield f"{held} were held for a budget that nobody spent"


def codes(history: History, chains: Chains) -> Iterator[str]:
    """Each imported code is with one at most, and none is lost.

    It lives as CODE, CODE 2, CODE 3: of these, all but the last were given, void before the next
    was given, and of a message that never left; the last is somebody's or lies in the pool.
    """
    given = [
        (action.get("coupon_id", action["code"]), row["decision_id"])
        for row in chains.acting()
        if row["rule"] == "give-codes"
        for action in row["actions"]
        if action["kind"] == "coupon"
    ]
    whose = dict(given)
    for life, times in Counter([*(life for life, _ in given), *history.stock]).items():
        if times > 1:
            yield f"{life} was given {times} times, or lies in the pool too"
        if life.partition(" ")[0] not in history.codes:
            yield f"{life} was never imported"
    void = _voided(chains)
    for code in sorted(history.codes):
        life, number = code, 1
        while (one := whose.get(life)) in history.unsent and life in void:
            following = f"{code} {number + 1}"
            if void[life] > _first_given(chains, following):
                yield f"{following} was given before {life} was void"
            life, number = following, number + 1
        if one is None and life not in history.stock:
            yield f"{life} is neither with anybody nor in the pool"
        lives = {code, *(f"{code} {n}" for n in range(2, number + 1))}
        more = {one for one in (*whose, *history.stock) if one.startswith(f"{code} ")} - lives
        yield from (f"{one} is there, and {life} was not void" for one in sorted(more))
    why = Counter(row["held"] for row in chains.rows("decisions") if row["rule"] == "give-codes")
    if why["codes"] and not given and not why["late"] + why["killed"]:
        yield f"{why['codes']} were held for a pool that nobody emptied"


def _voided(chains: Chains) -> dict[str, int]:
    """When each was first void: the number of the commit, of all that ever were."""
    found: dict[str, int] = {}
    for number, entry in enumerate(chains.ever):
        for row in entry.get("facts", {}).get("coupon_ledger", ()):
            if row["fact"] == "voided":
                found.setdefault(row["coupon_id"], number)
    return found


def _first_given(chains: Chains, life: str) -> float:
    for number, entry in enumerate(chains.ever):
        for row in entry.get("decisions", ()):
            if any(action.get("coupon_id") == life for action in row["actions"]):
                return number
    return inf


def digests(history: History, chains: Chains) -> Iterator[str]:
    """No customer who never merges gets two in any 3 hours; who gets none is in another's."""
    acted = {row["decision_id"]: row for row in chains.acting() if row["rule"] == "digest-orders"}
    times: dict[str, list[int]] = {}
    for row in acted.values():
        times.setdefault(row["cid"], []).append(row["at"])
    begun = erasures_of(chains)  # who was erased and returned is counted anew
    for cid in times.keys() & history.plain:
        for until in times[cid]:
            count = sum(until - 3 * HOUR < at <= until for at in times[cid])
            if count > 1 + begun.get(cid, 0):
                yield f"{cid} was told twice in the 3 hours to {until}"
    for row in chains.rows("decisions"):
        if row["rule"] == "digest-orders" and row["held"] == "digest":
            spoke = acted.get(row["values"].get("digest", ""))
            if spoke is None or spoke["at"] != row["at"]:
                yield f"{row['decision_id']} is in a decision that nobody made"


def caps(history: History, chains: Chains) -> Iterator[str]:
    """No customer who never merges is told more often than the cap says, nor at a quiet hour."""
    told: dict[str, list[int]] = {}
    for row in chains.acting():
        if row["rule"] == "tell-carts":
            told.setdefault(row["cid"], []).append(row["at"])
            if NOON <= (row["at"] + ZONE) % DAY < TWO:
                yield f"{row['cid']} was told at a quiet hour: {row['at']}"
    begun = erasures_of(chains)  # who was erased and returned is counted anew
    for cid in told.keys() & history.plain:
        for until in told[cid]:
            count = sum(until - DAY < at <= until for at in told[cid])
            if count > MESSAGES_A_DAY * (1 + begun.get(cid, 0)):
                yield f"{cid} was told {count} times in the day to {until}"
