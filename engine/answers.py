"""What became of calls that wait for their commit: the customer's last answers, by the call's name.

Must live here: keeping them. Must not: what an answer says (redeeming.py, requests.py). A call of
the API is a record keyed to the customer; who made it reads the answer where the commit put it.
"""

from typing import Any, Final

import msgspec

from features.customer import Customer
from features.facet import unfolded

ANSWERS: Final = "answers"
KEPT: Final = 20  # for as long as there are no later ones
KEPT_MAX: Final = 200  # at one time: who asks for more at once is not told of the first
KEPT_MS: Final = 600_000  # all of them for so long
Answer = dict[str, Any]  # {"ok": true, ...} or {"ok": false, "reason": ...}


class Answers(msgspec.Struct, array_like=True):
    """Name of the call -> its answer; the latest last."""

    kept: dict[str, Answer] = {}


def note(customer: Customer, name: str, answer: Answer, at: int) -> None:
    """Keep an answer, given at `at` (ms); one given anew takes the place of the first."""
    kept = customer.touch(ANSWERS).kept
    kept.pop(name, None)
    kept[name] = {**answer, "at": at}
    while len(kept) > KEPT:
        first = next(iter(kept))
        if len(kept) <= KEPT_MAX and kept[first]["at"] > at - KEPT_MS:
            break
        del kept[first]


def noted(customer: Customer, name: str) -> Answer | None:
    """The answer to a call; None when there is none, or none any more."""
    found: Answer | None = customer.state(ANSWERS).kept.get(name)
    return found


def answer_about(customer: Customer, order: str) -> Answer | None:
    """What was answered last about an order that the customer's state names no more."""
    kept = reversed(customer.state(ANSWERS).kept.values())
    return next((one for one in kept if order and one.get("order") == order), None)


def _merge(mine: Answers, theirs: Answers) -> Answers:
    """Both one's, as far as there is room: a call is asked after under any id of his."""
    both = {**theirs.kept, **mine.kept}
    return Answers(dict(list(both.items())[-KEPT_MAX:]))


FACET: Final = unfolded(ANSWERS, Answers, _merge)
