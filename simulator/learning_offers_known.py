"""Which offer works, measured where the truth is known: regret by seed, a budget, a whole shop.

Must live here: the section `simulator`. Must not: the people and their truth (offers_trial.py), the
shop lived whole (offers_life.py), real data (learning_offers.py).
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from simulator.learning_section import Chart, Curve, Section
from simulator.offers_life import Life, lives
from simulator.offers_trial import (
    FACE,
    MARGIN,
    TENTHS,
    Bandit,
    Case,
    Earned,
    always,
    at_random,
    best_seen,
    cases,
    lived,
    oracle,
)

SEEDS: Final = 20
DECISIONS: Final = 6_000
DAILY: Final = 450.0  # of 200 decisions a day: 30 coupons
SHOP: Final = (1, 1_000, 28)  # seed, customers, days of the shop lived whole
Row = dict[str, Any]
Policy = Callable[[Sequence[Case]], Earned]

FREE: Final[Mapping[str, Policy]] = {
    "who knows their hearts": oracle,
    "best that can be seen": best_seen,
    "ours": lambda known: lived(known, Bandit()),
    "always send (coupon)": lambda known: lived(known, always("coupon")),
    "always words": lambda known: lived(known, always("words")),
    "random": lambda known: lived(known, at_random),
    "never": lambda known: lived(known, always("nothing")),
}
BOUND: Final[Mapping[str, Policy]] = {
    "ours, by price": lambda known: lived(known, Bandit(DAILY), DAILY),
    "ours, without price": lambda known: lived(known, Bandit(DAILY, priced=False), DAILY),
    "always send until it is spent": lambda known: lived(known, always("coupon"), DAILY),
}


def known(path: Path) -> Section | None:
    """Regret against who knows the truth; asked for with a folder, for it needs no file."""
    return measured() if path.is_dir() else None


def measured(seeds: int = SEEDS, decisions: int = DECISIONS, shop: Sequence[int] = SHOP) -> Section:
    """The section."""
    earned: dict[str, list[Earned]] = {name: [] for name in (*FREE, *BOUND)}
    for seed in range(seeds):
        people = cases(seed, decisions)
        for name, policy in {**FREE, **BOUND}.items():
            earned[name].append(policy(people))
    best = earned["who knows their hearts"]
    rows = [_row(name, found, best, decisions) for name, found in earned.items()]
    lived_whole = lives(*shop)
    rows += [_life_row(one) for one in lived_whole]
    ours, sent = _regrets(earned["ours"], best), _regrets(earned["always send (coupon)"], best)
    late = sum(one.parts[-1] for one in best) - sum(one.parts[-1] for one in earned["ours"])
    return Section(
        title="Which offer works, where the truth is known",
        protocol=(
            f"{seeds} seeds of {decisions:,} decisions between coupon, words and nothing, for "
            f"made-up people of four kinds that nobody tells the shop. An order earns {MARGIN:.0f},"
            f" less a coupon of {FACE:.0f}; worth is the true expected one of the odds. Models are "
            "published every 200 examples, what came of a decision is known 300 decisions later. "
            f"With a budget, coupons may cost {DAILY:.0f} a day of 200 decisions; there worth is "
            "of what was given. `refused`: coupons the budget no longer had. Below, seed "
            f"{shop[0]} of the whole shop: {shop[1]:,} customers, {shop[2]} days, through the "
            "engine, the same people under the bandit and under each arm; worth is what was paid "
            "within 3 days of a decision, less used coupons."
        ),
        rows=rows,
        figures={
            "seeds": seeds, "decisions": decisions,
            "regret": statistics.fmean(ours) / decisions,
            "regret_always_send": statistics.fmean(sent) / decisions,
            "regret_last_tenth": late / seeds / (decisions // TENTHS),
            "seeds_better_than_always_send": sum(
                one < other for one, other in zip(ours, sent, strict=True)
            ),
            "budget_spent_share": statistics.fmean(
                one.spent for one in earned["ours, by price"]
            ) / (DAILY * decisions / 200),
            "shop": {
                one.name: {"entries": one.entries, "bought": one.bought, "worth": one.worth}
                for one in lived_whole
            },
        },
        charts=[_chart(earned, best, decisions)],
    )  # fmt: skip


def _regrets(found: Sequence[Earned], best: Sequence[Earned]) -> list[float]:
    return [other.worth - one.worth for one, other in zip(found, best, strict=True)]


def _row(name: str, found: Sequence[Earned], best: Sequence[Earned], decisions: int) -> Row:
    regrets = [one / decisions for one in _regrets(found, best)]
    return {
        "policy": name,
        "worth a decision": statistics.fmean(one.worth for one in found) / decisions,
        "regret": statistics.fmean(regrets),
        "from": min(regrets), "to": max(regrets),
        "last tenth": statistics.fmean(one.parts[-1] for one in found) * TENTHS / decisions,
        "spent": statistics.fmean(one.spent for one in found) / decisions,
        "refused": statistics.fmean(one.refused for one in found) / decisions,
        "bought": None,
    }  # fmt: skip


def _life_row(one: Life) -> Row:
    return {
        "policy": f"the shop: {one.name}", "worth a decision": one.worth, "regret": None,
        "from": None, "to": None, "last tenth": None,
        "spent": one.coupons / max(1, one.entries), "refused": None,
        "bought": one.bought / max(1, one.entries),
    }  # fmt: skip


def _chart(earned: Mapping[str, Sequence[Earned]], best: Sequence[Earned], many: int) -> Chart:
    tenth = many // TENTHS
    curves = []
    for name in ("ours", "always send (coupon)", "always words", "random", "best that can be seen"):
        points = [
            (
                float((n + 1) * tenth),
                statistics.fmean(
                    (other.parts[n] - one.parts[n]) / tenth
                    for one, other in zip(earned[name], best, strict=True)
                ),
            )
            for n in range(TENTHS)
        ]
        curves.append(Curve(name, points))
    return Chart("Regret a decision, by how many were made", "decisions", "regret", curves)
