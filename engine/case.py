"""One act at the gates: what each of them is handed, and what they find out on the way.

Must live here: the case. Must not: what a gate asks (gates.py and the modules it names).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.journal import Instance
from engine.lots import Lot
from engine.turn import Turn
from rules.model import Act, Notify, Rule
from rules.values import Context


@dataclass(slots=True)
class Case:
    """One act at the gates."""

    turn: Turn
    rule: Rule
    instance: Instance
    act: Act
    first: bool
    arm: str = "none"
    channels: frozenset[str] | None = None  # None: any
    refused: frozenset[str] = frozenset()
    lot: Lot | None = None  # what was drawn on the way to it
    ways: dict[str, list[str]] = field(default_factory=dict)  # action -> what the caps leave it

    @property
    def at(self) -> int:
        """The act's due time in ms, as of which everything is read."""
        return self.instance.due

    @property
    def context(self) -> Context:
        """What the act's values and conditions are read from."""
        return self.turn.context(self.at)

    def messages(self) -> Iterator[Notify]:
        """What it says to the customer himself."""
        for action in self.act.actions:
            if isinstance(action, Notify) and action.to == "customer":
                condition = action.condition
                if condition is None or condition.test(*self.context):
                    yield action

    def allowed(self, action: Notify) -> list[str]:
        """The channels of a message that the customer takes it on, the first one first."""
        found = self.ways.get(action.name)
        if found is not None:
            return found
        return [
            name
            for name in action.via
            if name not in self.refused and (self.channels is None or name in self.channels)
        ]
