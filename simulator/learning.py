"""`laike learn report`: every report on learning that a file or a folder of data allows.

Must live here: the table of reports, asking them. Must not: measuring (learning_*.py, one a kind of
model), showing (learning_shown.py, learning_page.py). To add one: a function from the path to a
Section, or None where the path has not its data, and a line here.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from simulator import (
    learning_offers,
    learning_offers_known,
    learning_propensity,
    learning_recommendations,
    learning_reviews,
    propensity_known,
)
from simulator.learning_risk import risk
from simulator.learning_section import Section
from simulator.learning_uplift import uplift

Report = Callable[[Path], Section | None]

REPORTS: Final[dict[str, Report]] = {
    "next_30_day_purchase": learning_propensity.next_30_day_purchase,
    "next_90_day_purchase": learning_propensity.next_90_day_purchase,
    "churn": learning_propensity.churn,
    "value": learning_propensity.value,
    "known_chances": propensity_known.known,
    "next_basket": learning_recommendations.next_basket,
    "policy": learning_offers.policy,
    "off_policy": learning_offers.off_policy,
    "simulator": learning_offers_known.known,
    "reviews": learning_reviews.report,
    "uplift": uplift,
    "risk": risk,
}


def sections(
    path: Path, only: Collection[str], told: Callable[[str], None]
) -> Iterator[tuple[str, Section]]:
    """Name and section of each report that has its data at the path; `told` hears what begins."""
    for name, report in REPORTS.items():
        if only and name not in only:
            continue
        told(name)
        found = report(path)
        if found is not None:
            yield name, found
