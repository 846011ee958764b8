"""What became of calls that wait for their commit: the customer's last answers, by the call's name.

Must live here: keeping them. Must not: what an answer says (redeeming.py, requests.py). A call of
the API is a record keyed to the customer; who made it reads the answer where the commit put it.
"""

from typing import Any, Final

import msgspec

from features.customer import Customer
from features.events import Event
from features.facet import Emit, Facet

ANSWERS: Final = "answers"
KEPT_MAX: Final = 20
Answer = dict[str, Any]  # {"ok": true, ...} or {"ok": false, "reason": ...}


class Answers(msgspec.Struct, array_like=True):
    """Name of the call -> its answer; the latest last."""

    kept: dict[str, Answer] = {}


def note(customer: Customer, name: str, answer: Answer) -> None:
    """Keep an answer; one given anew takes the place of the first."""
    kept = customer.touch(ANSWERS).kept
    kept.pop(name, None)
    kept[name] = answer
    while len(kept) > KEPT_MAX:
        del kept[next(iter(kept))]


def noted(customer: Customer, name: str) -> Answer | None:
    """The answer to a call; None when there is none, or none any more."""
    found: Answer | None = customer.state(ANSWERS).kept.get(name)
    return found


def _nothing(_state: Answers, _event: Event, _emit: Emit) -> None:
    """No event folds into it directly."""


def _merge(mine: Answers, theirs: Answers) -> Answers:
    """Both one's, as far as there is room: a call is asked after under any id of his."""
    both = {**theirs.kept, **mine.kept}
    return Answers(dict(list(both.items())[-KEPT_MAX:]))


FACET: Final = Facet(
    name=ANSWERS, version=1, state=Answers, events=frozenset(), fold=_nothing, merge=_merge
)
