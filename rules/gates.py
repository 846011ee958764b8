"""The gates of a decision in their fixed order, and the reasons each may hold it for.

Law: the order is the language's, recorded here once; holdout comes after what applies to both
arms and before what only treatment spends. Must not live here: asking the gates.
"""

from typing import Final, NamedTuple


class Gate(NamedTuple):
    """A gate, the reasons it writes into `held`, and whether the engine has it yet."""

    name: str
    reasons: tuple[str, ...]
    built: bool = True


ORDER: Final = (
    Gate("status", ("draft", "paused", "inactive", "late", "killed")),
    Gate("if", ("condition", "unknown", "missing_value", "error", "stopped")),
    Gate("once_per", ("once_per", "too_many_open")),
    Gate("risk", ("risk",), built=False),
    Gate("pauses", ("pause",), built=False),
    Gate("consent", ("consent",)),
    Gate("reachable", ("unreachable",)),
    Gate("limit", ("limit",)),
    Gate("caps", ("cap",), built=False),
    Gate("priority", ("priority",), built=False),
    Gate("holdout", ("holdout", "shadow")),
    Gate("quiet", ("quiet",), built=False),
    Gate("budget", ("budget",), built=False),
)
REASONS: Final = tuple(reason for gate in ORDER if gate.built for reason in gate.reasons)
UNBUILT_REASONS: Final = tuple(
    reason for gate in ORDER if not gate.built for reason in gate.reasons
)
