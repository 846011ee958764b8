"""What a decision says of the models it was made under: with a version scores are known.

Must live here: that law. Must not: what a score is.
"""

from collections.abc import Iterator
from typing import Final

from simulator.faults.auditor.chain import Chains
from simulator.faults.history import History

RULE: Final = "read-scores"
SCORE: Final = "purchase.chance_24h"


def scores(_: History, chains: Chains) -> Iterator[str]:
    """A worker that starts again has the models that its shard decides by, no others."""
    for row in chains.rows("decisions"):
        if row["rule"] != RULE:
            continue
        known = row["values"][SCORE] != "unknown"
        if known != bool(row["model_version"]):
            version = row["model_version"][:12] or "no version"
            yield f"{row['decision_id']}: {SCORE} is {row['values'][SCORE]} under {version}"
