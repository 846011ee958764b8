"""`bandit`: what its arms are judged by.

Must live here: the form, its defaults, what does not go together. Must not: the steps of its arms
(steps.py), drawing one (engine/bandits.py).
"""

from typing import Final, NamedTuple

from rules.document import Node
from rules.errors import BadText
from rules.events import both_names, event_names
from rules.forms import Form, Key
from rules.model import PAID
from rules.reading import Reader
from rules.values import duration, percent

BANDIT: Final = Form(
    "bandit",
    "bandit",
    {
        "arms": Key("[#arm]", "what may be done; 2 to 12", needed=True),
        "reward": Key("[event]", "what it is done for: the first of these (Order Paid)"),
        "within": Key("duration", "how long that counts, from the decision; 30d at most (7d)"),
        "value": Key(
            "money/count",
            "what the event is worth: its `total`, or 1 (money for an order, else count)",
        ),
        "explore": Key("percent", "how much goes to all arms alike, whatever is known (5%)"),
    },
    meant={
        "branches": "arms",
        "offers": "arms",
        "goal": "reward",
        "event": "reward",
        "window": "within",
        "for": "within",
        "epsilon": "explore",
        "exploration": "explore",
    },
)
ARM: Final = Form(
    "arm",
    "an arm of a bandit",
    {
        "name": Key("name", "its name, in every decision's `split`", needed=True),
        "do": Key("steps", "its steps, [] for nothing", needed=True),
    },
    meant={"then": "do", "steps": "do"},
)
ARMS_MIN, ARMS_MAX = 2, 12
WITHIN_MS: Final = 7 * 86_400_000
WITHIN_MAX_MS: Final = 30 * 86_400_000
EXPLORE: Final = 0.05
ORDERS: Final = both_names([*PAID, "Order Placed"])


class Terms(NamedTuple):
    """What the arms of a bandit are judged by."""

    reward: frozenset[str] = PAID
    within_ms: int = WITHIN_MS
    money: bool = True
    explore: float = EXPLORE


def terms(reader: Reader, found: dict[str, Node]) -> Terms:
    """What stands beside `arms`."""
    reward = event_names(reader, found["reward"]) if "reward" in found else PAID
    within = WITHIN_MS
    if "within" in found:
        within = reader.parse(found["within"], _within, WITHIN_MS)
    explore = EXPLORE
    if "explore" in found:
        explore = reader.parse(found["explore"], _explore, EXPLORE)
    money = reward <= ORDERS
    if "value" in found:
        wanted = reader.choice(found["value"], "value", ("money", "count")) == "money"
        if wanted and not money:
            strange = ", ".join(sorted(reward - ORDERS))
            reader.error(
                found["value"],
                f"`value: money` is an order's total, and `{strange}` has none: say `value: count`",
            )
        money = wanted
    return Terms(reward, within, money, explore)


def _within(text: str) -> int:
    within = duration(text, 1_000)
    if within > WITHIN_MAX_MS:
        raise BadText(f"`{text}`: what came of a decision counts for 30d at most")
    return within


def _explore(text: str) -> float:
    share = percent(text) / 100
    if not 0.01 <= share <= 1:
        raise BadText(f"`{text}`: 1% to 100%; an arm that is never tried is never known")
    return share
