"""The auditor: knows what went in and what was seen outside, and nothing of the engine.

Must live here: checks, the model of what must fire, balances. Must not: an import of the engine,
its rules, features or sinks; anything that would be wrong in the same way as the engine is.
"""

from dataclasses import dataclass, field

from simulator.faults.auditor.accounts import accounts
from simulator.faults.auditor.balances import BALANCES
from simulator.faults.auditor.chain import Chains
from simulator.faults.auditor.checks import CHECKS
from simulator.faults.history import History

SHOWN_MAX = 5


@dataclass
class Report:
    """What the auditor found; `failures` in words, a few of each check."""

    lost: int = 0
    duplicated: int = 0
    failures: list[str] = field(default_factory=list)


def audit(history: History) -> Report:
    """Ask every check."""
    chains = Chains.of(history)
    report = Report()
    report.lost, report.duplicated, told = accounts(history, chains)
    report.failures += told[:SHOWN_MAX]
    for name, check in CHECKS.items():
        found = [f"{name}: {text}" for text in check(history, chains)]
        report.failures += found[:SHOWN_MAX]
    for balance in BALANCES:
        report.failures += list(balance.differences(history, chains))[:SHOWN_MAX]
    return report
