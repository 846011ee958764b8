"""All forms of the language in one table, by their place; and the notation of a key's kind.

Must live here: what the JSON Schema and the reference both walk. Must not: reading, writing.
"""

from typing import Final, NamedTuple

from rules.actions import ACTIONS
from rules.actions_money import VALID
from rules.bandits import ARM, BANDIT
from rules.campaigns import ACTIVE, RULE
from rules.entering import BUDGET, LIMIT, QUIET, STOP_ON
from rules.examples import EXAMPLE, EXPECT, GIVEN
from rules.forms import Form
from rules.offers import CODES, OFFER, RETURNS
from rules.risk import RISK
from rules.segments import SEGMENT, TIER
from rules.shop import CAP, HOLDOUT, SHOP
from rules.step_forms import CHOOSE, SPLIT, STEP, WAIT
from rules.trigger_forms import SEQUENCE, THEN_NOT, WHEN

FORMS: Final[dict[str, Form]] = {
    form.place: form
    for form in (
        *(RULE, ACTIVE, WHEN, SEQUENCE, THEN_NOT, STOP_ON, LIMIT, BUDGET, QUIET),
        *(STEP, WAIT, CHOOSE, SPLIT, BANDIT, ARM, *(kind.form for kind in ACTIONS.values()), VALID),
        *(EXAMPLE, GIVEN, EXPECT, SEGMENT, TIER, OFFER, CODES, RETURNS, SHOP, HOLDOUT, CAP, RISK),
    )
}
FILES: Final = {"rule": "campaigns", "segment": "segments", "offer": "offers", "shop": "shop.yaml"}


class Written(NamedTuple):
    """One alternative of a kind: an atom, a form or words, alone or as a list too."""

    atom: str = ""
    form: str = ""
    words: tuple[str, ...] = ()
    default: str = ""
    many: bool = False


def written(kind: str) -> tuple[Written, ...]:
    """The alternatives of a key's kind.

    >>> written("duration | #wait")
    (Written(atom='duration', form='', words=(), default='', many=False), \
Written(atom='', form='wait', words=(), default='', many=False))
    >>> written("[push/sms*]")
    (Written(atom='', form='', words=('push', 'sms'), default='sms', many=True),)
    """
    many = kind.startswith("[") and kind.find("]") == len(kind) - 1
    inner = kind[1:-1] if many else kind
    return tuple(one for part in inner.split(" | ") for one in _alternative(part.strip(), many))


def _alternative(part: str, many: bool) -> tuple[Written, ...]:
    if part.startswith("[") and part.endswith("]"):
        return _alternative(part[1:-1], many=True)
    if part.startswith("#"):
        return (Written(form=part[1:], many=many),)
    if "/" in part or "*" in part:
        words = part.split("/")
        default = next((word[:-1] for word in words if word.endswith("*")), "")
        plain = tuple(word.removesuffix("*") for word in words)
        return (Written(words=plain, default=default, many=many),)
    return (Written(atom=part, many=many),)
