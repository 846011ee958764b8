"""A campaign's file: one rule, from its keys to a Rule.

Must live here: the top keys. Must not: folders, other files.
"""

import re
from dataclasses import replace
from typing import Final, cast

from rules.actions import Surroundings
from rules.document import Node
from rules.errors import BadText
from rules.examples import examples
from rules.model import PURPOSES, STATUSES, EventTrigger, Purpose, Rule, Shop, Status
from rules.reading import Keys, Reader
from rules.shop import share
from rules.steps import steps
from rules.triggers import limits, once_per, stop_on, trigger
from rules.values import duration, moment

RULE: Final = Keys(
    "a rule",
    (
        *("rule", "title", "owner", "status", "run", "active", "purpose", "priority", "when"),
        *("if", "once_per", "stop_on", "limit", "holdout", "late", "do", "examples"),
    ),
    needed=("rule", "when", "once_per", "do"),
    unbuilt=("budget", "quiet_hours", "digest"),
    meant={
        "on": "when",
        "trigger": "when",
        "name": "rule",
        "id": "rule",
        "then": "do",
        "steps": "do",
        "actions": "do",
        "where": "if",
        "condition": "if",
        "unless": "if",
        "cooldown": "limit",
        "tests": "examples",
        "stop": "stop_on",
        "enabled": "status",
    },
)
ACTIVE: Final = Keys("active", ("from", "until"))
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
LATE_MS: Final = 3_600_000


def campaign(reader: Reader, node: Node, shop: Shop, near_by: Surroundings) -> Rule | None:
    """The rule of one document; None when nothing of it can be used."""
    before = len(reader.errors)
    found = reader.fields(node, RULE)
    scope = near_by.scope
    when = trigger(reader, found["when"], scope) if "when" in found else None
    if isinstance(when, EventTrigger):
        near_by = replace(near_by, scope=scope.with_event(event=False))
    purpose = reader.choice(found["purpose"], "purpose", PURPOSES) if "purpose" in found else ""
    purpose = purpose or "marketing"
    default = shop.holdout_marketing if purpose == "marketing" else 0.0
    active = reader.fields(found["active"], ACTIVE) if "active" in found else {}
    begins, ends = (
        reader.parse(active[key], lambda text: moment(text, scope.zone), 0)
        if key in active
        else None
        for key in ("from", "until")
    )
    if begins is not None and ends is not None and begins >= ends and len(reader.errors) == before:
        reader.error(found["active"], "active ends before it begins")
    name = reader.parse(found["rule"], _name, "") if "rule" in found else ""
    once = once_per(reader, found["once_per"], when) if "once_per" in found else ""
    made = steps(reader, found["do"], near_by) if "do" in found else ()
    status = reader.choice(found["status"], "status", STATUSES) if "status" in found else "draft"
    condition = reader.condition(node, found["if"], scope) if "if" in found else None
    stops = stop_on(reader, found["stop_on"], scope) if "stop_on" in found else ()
    rates = limits(reader, found["limit"]) if "limit" in found else ()
    held_out = share(reader, found["holdout"]) if "holdout" in found else default
    late = reader.parse(found["late"], duration, LATE_MS) if "late" in found else LATE_MS
    tests = examples(reader, found["examples"], scope) if "examples" in found else ()
    run = reader.text(found["run"], "run", 32) if "run" in found else "1"
    title = reader.text(found["title"], "title") if "title" in found else name
    owner = reader.text(found["owner"], "owner", 64) if "owner" in found else ""
    priority = reader.number(found["priority"], "priority", 0, 1_000) if "priority" in found else 50
    if when is None or not name:
        return None
    return Rule(
        name=name,
        trigger=when,
        steps=made,
        once_per=once,
        title=title,
        owner=owner,
        status=cast("Status", status),
        run=run,
        purpose=cast("Purpose", purpose),
        priority=priority,
        active_from=begins,
        active_until=ends,
        condition=condition,
        stop_on=stops,
        limits=rates,
        holdout=held_out,
        late_ms=late,
        examples=tests,
        file=reader.file,
        line=node.line,
    )


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise BadText(f"`{text}`: a rule's name is like cart-rescue, a-z 0-9 - _, 64 at most")
    return text
