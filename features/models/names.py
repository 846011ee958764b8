"""The scores that rules may name, laid over the catalog when a rule reads them.

Must live here: their kinds, units and meaning. Must not: how one is had (engine/scores.py).
A score that cannot be had (no model yet, nothing known of him) is missing: a condition on it is
neither yes nor no.
"""

from typing import Final, Literal, NamedTuple


class Score(NamedTuple):
    """What a score is, for the language and for people."""

    kind: Literal["number"]
    unit: str
    doc: str


SCORE_NAMES: Final[dict[str, Score]] = {
    "purchase.chance_24h": Score("number", "", "how likely he pays within 24 hours, 0 to 1"),
    "purchase.chance_30d": Score(
        "number", "", "how likely one who has ordered orders within 30 days"
    ),
    "churn.risk": Score("number", "", "how likely he orders nothing in twice his usual gap"),
    "value.next_90d": Score("number", "money", "what he will have paid in 90 days, less refunds"),
    "uplift.coupon": Score("number", "", "how much a coupon raises his chance to buy"),
    "uplift.visit": Score("number", "", "how much a message raises his chance to visit"),
    "risk.anomaly": Score(
        "number", "", "the share of orders seen that were less strange than his, 0 to 1"
    ),
}
