"""Ledgers that must come out even: what one side gave, the other side got.

Must live here: one line a ledger, and how two sides are compared. Must not: the engine's own sums.
To add one (budgets, points): two functions from a run to {id: amount}, and a `Balance` in BALANCES.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.faults.auditor.chain import Chains
from simulator.faults.history import Called, History, Inserted

Side = Callable[[History, Chains], Mapping[Any, Any]]


@dataclass(frozen=True)
class Balance:
    """Two sides of a ledger that must hold the same amounts under the same ids."""

    name: str
    given: Side
    got: Side

    def differences(self, history: History, chains: Chains) -> Iterator[str]:
        """Where they differ."""
        given, got = self.given(history, chains), self.got(history, chains)
        for one in sorted({*given, *got}, key=repr):
            if given.get(one) != got.get(one):
                yield f"{self.name}: {one}: given {given.get(one)}, got {got.get(one)}"


def issued(_: History, chains: Chains) -> Mapping[str, str]:
    """Each coupon's id and the decision that issued it; one of two decisions shows as both.

    Its id is its code, but for a pool's that came back: that has one of its own each time.
    """
    codes: dict[str, str] = {}
    for decision in chains.acting():
        for action in decision["actions"]:
            if action["kind"] == "coupon":
                one = action.get("coupon_id", action["code"])
                before = codes.get(one)
                known = decision["decision_id"]
                codes[one] = known if before is None else f"{before} and {known}"
    return codes


def recorded(history: History, _: Chains) -> Mapping[str, str]:
    """The same as the raw rows of the ledger's table have it, repeats being one."""
    return {
        fact.row["coupon_id"]: fact.row["decision_id"]
        for fact in history.facts
        if isinstance(fact, Inserted) and fact.table == "coupon_ledger"
    }


def promised(history: History, chains: Chains) -> Mapping[str, tuple[str, ...]]:
    """The codes that each message of an acting decision carries, unless it was told as failed."""
    failed = {
        f"{fact.row['decision_id']}:{fact.row['action']}"
        for fact in history.facts
        if isinstance(fact, Inserted) and fact.table == "outcomes" and fact.row["fact"] == "failed"
    }
    called = {fact.key for fact in history.facts if isinstance(fact, Called)}
    found: dict[str, tuple[str, ...]] = {}
    for decision in chains.acting():
        actions = decision["actions"]
        codes = tuple(action["code"] for action in actions if action["kind"] == "coupon")
        for action in actions:
            key = f"{decision['decision_id']}:{action['name']}"
            if action["kind"] == "notify" and (key in called or key not in failed):
                found[key] = codes
    return found


def received(history: History, _: Chains) -> Mapping[str, tuple[str, ...]]:
    """The codes that receivers were given, at the last call of each key."""
    return {fact.key: fact.coupons for fact in history.facts if isinstance(fact, Called)}


BALANCES = (
    Balance("coupons", issued, recorded),
    Balance("messages", promised, received),
)
