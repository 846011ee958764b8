"""The gates of a decision in their fixed order, and the reasons each may hold it for.

Law: the order is the language's, recorded here once; holdout comes after what applies to both
arms and before what only treatment spends. Must not live here: asking the gates.
"""

from typing import Final, NamedTuple


class Gate(NamedTuple):
    """A gate, and the reasons it writes into `held`."""

    name: str
    reasons: tuple[str, ...]


ORDER: Final = (
    Gate("status", ("draft", "paused", "inactive", "late", "killed")),
    Gate("if", ("condition", "unknown", "missing_value", "error", "stopped", "edited")),
    Gate("once_per", ("once_per", "too_many_open")),
    Gate("risk", ("risk",)),
    Gate("pauses", ("pause",)),
    Gate("consent", ("consent",)),
    Gate("reachable", ("unreachable",)),
    Gate("limit", ("limit",)),
    Gate("caps", ("cap",)),
    Gate("priority", ("priority",)),
    Gate("holdout", ("holdout", "shadow")),
    Gate("quiet", ("quiet",)),
    Gate("digest", ("digest",)),
    Gate("budget", ("budget", "codes")),
)
REASONS: Final = tuple(reason for gate in ORDER for reason in gate.reasons)
