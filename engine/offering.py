"""What an acting decision of a bandit tells its learner: what it cost now, what came of it in time.

Must live here: its examples. Must not: the lot (lots.py), what comes after it (rewards.py).
"""

import math
from collections.abc import Sequence
from typing import Final

from engine.budgets import cost
from engine.case import Case
from engine.effects import Row
from engine.rewards import watch
from features.fold import DAY_MS
from features.models import bandit as model
from rules.model import Budget
from rules.values import Rate

DAYS: Final = {"day": 1, "week": 7, "month": 30, "year": 365}


def offered(case: Case, rows: Sequence[Row]) -> None:
    """The decision acts: its learner hears what it costs now, and what came of it in time."""
    lot, turn = case.lot, case.turn
    bandit = lot.bandit if lot else None
    if lot is None or bandit is None:
        return
    example: Row = {
        "place": model.place(case.rule.name, bandit.step), "arm": lot.arm,
        "arms": [one.name for one in bandit.branches], "inputs": model.vector(lot.known),
        "propensity": lot.propensity,
    }  # fmt: skip
    spent, daily = _spent(case.rule.budget, rows)
    turn.effects.examples.append({
        **example, "model": model.MODEL, "cid": turn.customer.cid, "at": case.at, "cost": spent,
        "daily": daily,
    })  # fmt: skip
    watch(
        turn.customer, model.MODEL, case.at, bandit.within_ms, bandit.reward, example,
        money=bandit.money,
    )  # fmt: skip


def _spent(budget: Budget | None, rows: Sequence[Row]) -> tuple[float, float]:
    """What the actions cost, and what the rule's budget allows a day, 0 for no pace to keep.

    In the shop's money; of a budget in coupons alone, in coupons.
    """
    coupons = [row for row in rows if row["kind"] == "coupon"]
    if budget and budget.coupons and not budget.money:
        return float(len(coupons)), _daily(budget.coupons)
    money = sum(cost(row) for row in coupons) / 100
    return money, _daily(budget.money) / 100 if budget and budget.money else 0.0


def _daily(rate: Rate) -> float:
    days = DAYS.get(rate.calendar, rate.per_ms / DAY_MS)
    return rate.count / days if days and math.isfinite(days) else 0.0
