"""What a message's row carries for the send: what its template reads, and when it must not go.

Must live here: these few values of a decision. Must not: rendering, sending; both happen long
after, when the customer may be another. What is unknown is left out: the text then fails to render.
"""

from engine.case import Case
from engine.effects import Row
from features import catalog
from rules.model import Notify

MARKETING = "marketing"


def carried(case: Case, action: Notify) -> Row:
    """`reads`, `quiet` and `optional` of a message, those that it has."""
    row = reads(case, action.template)
    marketing = case.rule.purpose == MARKETING
    quiet = case.rule.quiet or (case.turn.book.shop.quiet if marketing else None)
    if quiet is not None:
        row["quiet"] = [quiet.begins, quiet.ends, quiet.then]
    if action.optional:
        row["optional"] = True
    return row


def reads(case: Case, template: str) -> Row:
    """`reads`: the features and laid-over names that the template reads, as of the act, if any."""
    laid = case.context.extra
    found = {}
    for name in sorted(case.turn.book.templates.reads(template)):
        if name in laid or name in catalog.FEATURES:
            value = laid[name] if name in laid else case.turn.read(name, case.at)
            if value is not None and value == value:  # noqa: PLR0124 - NaN is unknown
                found[name] = value
    return {"reads": found} if found else {}
