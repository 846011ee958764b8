"""What the language has and the engine does not execute yet. The one place that says so.

Law: what is loaded but not executed is refused by name, never ignored. Take a name out when the
engine does it; nothing else needs to change.

    PLACE.KEY      a key of the form of that place: when.sequence, do.choose, wait.until
    once_per.X     a subject; held.X a reason in an example; name.X a name of expressions
    X.looked       looked-up or computed values where the engine takes a written one: wait.looked
    guard.wait     an `if` beside a wait; KIND.if an `if` with a kind of trigger; schedule.at
"""

from typing import Final

UNBUILT: Final[frozenset[str]] = frozenset()  # nothing, just now
