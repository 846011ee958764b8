"""`laike rules diff`: what a change of the rules does to a history: customers, coupons, money.

Must live here: comparing two runs over the same events, and the comparison as markdown. Must not:
running them otherwise than a backtest does.
"""

from typing import Any, Final

from rules.book import Book
from simulator.backtest import Progress, run
from simulator.backtest_history import History
from simulator.backtest_report import collisions
from simulator.backtest_shown import amount, clock
from simulator.backtest_tally import RuleTally, Tally

EXAMPLES_MAX: Final = 20
_HEAD: Final = (
    "rule", "change", "customers", "gained", "lost", "decisions", "coupons", "cost",
)  # fmt: skip
Diff = dict[str, Any]


def diff(
    history: History,
    old: Book,
    new: Book,
    span: tuple[int | None, int | None] = (None, None),
    *,
    progress: Progress | None = None,
) -> Diff:
    """Both books over the same events, in one reading."""
    done = run(history, [old, new], span, progress=progress)
    before, after = done.tallies
    names = sorted({*old.rules, *new.rules})
    rules = {name: _rule(name, (old, before), (new, after)) for name in names}
    gone, come = _reached(before), _reached(after)
    return {
        "from": done.start, "to": done.end, "timezone": new.shop.timezone,
        "currency": new.shop.currency, "events": after.counts["events"],
        "old_version": old.hash, "new_version": new.hash,
        "customers": _sets(gone, come),
        "acts": _pair(sum(one.acts for one in tally.rules.values()) for tally in done.tallies),
        "coupons": _pair(sum(one.coupons for one in tally.rules.values())
                         for tally in done.tallies),
        "cost": _pair(sum(one.cost for one in tally.rules.values()) / 100
                      for tally in done.tallies),
        "rules": {name: one for name, one in rules.items() if one["change"] != "same"},
        "same": [name for name, one in rules.items() if one["change"] == "same"],
        "collisions": _collisions(collisions(before), collisions(after)),
    }  # fmt: skip


def _pair(values: Any) -> dict[str, Any]:
    old, new = values
    return {"old": old, "new": new}


def _reached(tally: Tally) -> set[str]:
    return {tally.who(cid) for one in tally.rules.values() for cid in one.reached}


def _sets(old: set[str], new: set[str]) -> dict[str, Any]:
    gained, lost = sorted(new - old), sorted(old - new)
    return {
        "old": len(old), "new": len(new), "gained": len(gained), "lost": len(lost),
        "gained_first": gained[:EXAMPLES_MAX], "lost_first": lost[:EXAMPLES_MAX],
    }  # fmt: skip


def _rule(name: str, old: tuple[Book, Tally], new: tuple[Book, Tally]) -> Diff:
    (before, one), (after, other) = (_of(name, *side) for side in (old, new))
    told = {
        "customers": _sets(
            {old[1].who(cid) for cid in one.reached}, {new[1].who(cid) for cid in other.reached}
        ),
        "acts": {"old": one.acts, "new": other.acts},
        "coupons": {"old": one.coupons, "new": other.coupons},
        "cost": {"old": one.cost / 100, "new": other.cost / 100},
        "held": {"old": dict(sorted(one.held.items())), "new": dict(sorted(other.held.items()))},
    }
    if not before or not after:
        change = "added" if after else "removed"
    else:
        same = (one.acts, one.cost, one.held, one.reached) == (
            other.acts, other.cost, other.held, other.reached,
        )  # fmt: skip
        change = "same" if same else "changed"
    return {"change": change, **told}


def _of(name: str, book: Book, tally: Tally) -> tuple[bool, RuleTally]:
    return name in book.rules, tally.rules.get(name, RuleTally())


def _collisions(old: dict[str, int], new: dict[str, int]) -> dict[str, dict[str, int]]:
    pairs = sorted({*old, *new})
    return {pair: {"old": old.get(pair, 0), "new": new.get(pair, 0)} for pair in pairs}


def markdown(found: Diff) -> str:
    """The comparison, as a pull request shows it."""
    who = found["customers"]
    start, end = (clock(found[key], found)[:10] for key in ("from", "to"))
    lines = [
        f"### Impact of rules `{found['new_version'][:8]}` (were `{found['old_version'][:8]}`)",
        "",
        (
            f"Replayed {found['events']:,} events, {start} to {end}. "
            f"**{who['gained']:,} customers gained, {who['lost']:,} lost** ({who['old']:,} → "
            f"{who['new']:,}); coupons {_moved(found['coupons'])}; "
            f"cost at most {_moved(found['cost'])} {found['currency']}."
        ),
        "",
        f"| {' | '.join(_HEAD)} ({found['currency']}) |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, one in found["rules"].items():
        customers = one["customers"]
        cells = [
            name, one["change"], _moved(customers), f"{customers['gained']:,}",
            f"{customers['lost']:,}", *(_moved(one[key]) for key in ("acts", "coupons", "cost")),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    if not found["rules"]:
        lines.append("| none | no rule acts otherwise | | | | | | |")
    if found["same"]:
        lines += ["", f"Unchanged over this history: {', '.join(found['same'])}."]
    moved = {pair: one for pair, one in found["collisions"].items() if one["old"] != one["new"]}
    if moved:
        told = "; ".join(f"{pair} {_moved(one)}" for pair, one in moved.items())
        lines += ["", f"Two rules on one customer on one day: {told}."]
    return "\n".join(lines) + "\n"


def _moved(one: Diff) -> str:
    """Before and after, and the difference if there is one.

    >>> _moved({"old": 10, "new": 1200})
    '10 → 1,200 (+1,190)'
    """
    old, new = one["old"], one["new"]
    if old == new:
        return amount(new)
    sign = "+" if new > old else "-"
    return f"{amount(old)} → {amount(new)} ({sign}{amount(abs(new - old))})"
