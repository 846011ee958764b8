"""A campaign's file: one rule, from its keys to a Rule.

Must live here: the top keys, and what they ask of one another. Must not: folders, other files.
"""

import hashlib
import re
from dataclasses import replace
from typing import Final, cast
from zoneinfo import ZoneInfo

from rules.document import Node, plain
from rules.entering import budget, check_once_per, digest, limits, once_per, quiet, stop_on
from rules.errors import BadText
from rules.examples import examples
from rules.forms import Form, Key
from rules.model import (
    IN_FLIGHT,
    ONCE_PER,
    PURPOSES,
    STATUSES,
    Act,
    Bandit,
    Coupon,
    InFlight,
    Purpose,
    Recommend,
    RequestTrigger,
    Rule,
    Shop,
    Show,
    Status,
    Step,
    Trigger,
    Wait,
)
from rules.program import flat, lots
from rules.reading import Reader
from rules.reads import at_hand, laid_over
from rules.risk import rule_risk
from rules.shop import share
from rules.steps import steps
from rules.surroundings import Surroundings
from rules.triggers import trigger
from rules.values import duration, moment

RULE: Final = Form(
    "rule",
    "a rule",
    {
        "rule": Key("name", "its name: a-z 0-9 - _", "rule: cart-rescue", needed=True),
        "title": Key("text", "what people read (its name)", "title: 购物车挽回"),
        "owner": Key("text", "who answers for it", "owner: growth"),
        "status": Key(
            "draft*/shadow/live/paused", "shadow decides and does nothing", "status: live"
        ),
        "run": Key(
            "text", 'bump it to let everybody in again ("1"); part of a decision\'s id', 'run: "2"'
        ),
        "active": Key(
            "#active", "between these moments only", "active: {from: 2026-06-01, until: 2026-06-19}"
        ),
        "purpose": Key(
            "marketing*/service/transactional/consent",
            "marketing asks consent, caps, pauses, quiet hours and holdout; service and "
            "transactional ask none of these but a channel's opt-out",
            "purpose: service",
        ),
        "priority": Key(
            "whole", "higher first when caps or budget bind; 0 to 1000 (50)", "priority: 70"
        ),
        "when": Key(
            "#when",
            "what begins it: exactly one trigger",
            "when: {event: Product Added}",
            needed=True,
        ),
        "if": Key(
            "condition",
            "the customer's condition, read at the trigger and before each decision",
            "if:\n  - cart.value >= 200\n  - orders.count >= 1",
        ),
        "once_per": Key(
            "/".join(ONCE_PER),
            "its subject or period: one instance for each",
            "once_per: cart",
            needed=True,
        ),
        "stop_on": Key(
            "[event | #stop_on]",
            "while it waits, ends it; an event that carries the subject's "
            "id ends only that subject's",
            "stop_on: [Order Paid, Cart Emptied]",
        ),
        "limit": Key("[rate] | #limit", "how often a customer may enter", "limit: 1 per 7d"),
        "budget": Key("#budget", "what it may spend", "budget: {coupons: 5000 per day}"),
        "holdout": Key(
            "percent",
            "who gets nothing, so that lift can be told (10% for marketing, else 0%)",
            "holdout: 20%",
        ),
        "quiet_hours": Key(
            "#quiet | none",
            "instead of the shop's; deferred: decided anew at the end",
            'quiet_hours: {from: "21:30", to: "09:00", then: drop}',
        ),
        "risk": Key(
            "[condition] | none",
            "who is held by risk, instead of the shop's; none: nobody",
            "risk: risk.anomaly > 0.99",
        ),
        "digest": Key(
            "rate",
            "several that are due together are one decision, and so many a period; what "
            "they say of a subject is the first one's, `digest.count` and `digest.subjects` tell "
            "of all",
            "digest: 1 per day",
        ),
        "in_flight": Key(
            "finish*/move",
            "when it is edited, customers inside finish on the version they entered, or move",
            "in_flight: move",
        ),
        "late": Key(
            "duration", "older than this when it comes to it: held: late (1h)", "late: 10m"
        ),
        "do": Key(
            "steps", "its steps; the actions between two waits are one decision", needed=True
        ),
        "examples": Key("[#example]", "its own tests"),
    },
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
ACTIVE: Final = Form(
    "active",
    "active",
    {"from": Key("moment", "from then on"), "until": Key("moment", "before then")},
    meant={"to": "until", "start": "from", "end": "until"},
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
LATE_MS: Final = 3_600_000
_SAYS_NOTHING: Final = frozenset({"title", "owner", "status", "in_flight", "examples"})


def campaign(reader: Reader, node: Node, shop: Shop, near_by: Surroundings) -> Rule | None:
    """The rule of one document; None when nothing of it can be used."""
    before = len(reader.errors)
    found = reader.fields(node, RULE)
    once = once_per(reader, found["once_per"]) if "once_per" in found else ""
    near_by = near_by.about(once)
    scope = near_by.scope
    when = trigger(reader, found["when"], near_by) if "when" in found else None
    if when is not None and once:
        check_once_per(reader, found["once_per"], once, when)
    purpose = reader.choice(found["purpose"], "purpose", PURPOSES) if "purpose" in found else ""
    purpose = purpose or "marketing"
    default = shop.holdout_marketing if purpose == "marketing" else 0.0
    begins, ends = (
        _active(reader, found["active"], scope.zone) if "active" in found else (None, None)
    )
    name = reader.parse(found["rule"], _name, "") if "rule" in found else ""
    inside = near_by.digesting() if "digest" in found else near_by
    inside = inside.hearing() if at_hand(when) else inside
    items = steps(reader, found["do"], inside) if "do" in found else ()
    made = flat(items) if len(reader.errors) == before else ()
    status = reader.choice(found["status"], "status", STATUSES) if "status" in found else "draft"
    condition = reader.condition(node, found["if"], scope) if "if" in found else None
    stops = stop_on(reader, found["stop_on"], scope) if "stop_on" in found else ()
    rates, referrer = limits(reader, found["limit"]) if "limit" in found else ((), ())
    held_out = share(reader, found["holdout"]) if "holdout" in found else default
    late = reader.parse(found["late"], duration, LATE_MS) if "late" in found else LATE_MS
    own_quiet = quiet(reader, found["quiet_hours"]) if "quiet_hours" in found else None
    hours = own_quiet if own_quiet or purpose != "marketing" else shop.quiet
    tests = (
        examples(reader, found["examples"], scope, lots(made) if made else None, hours)
        if "examples" in found
        else ()
    )
    run = reader.text(found["run"], "run", 32) if "run" in found else "1"
    title = reader.text(found["title"], "title") if "title" in found else name
    owner = reader.text(found["owner"], "owner", 64) if "owner" in found else ""
    priority = reader.number(found["priority"], "priority", 0, 1_000) if "priority" in found else 50
    own_risk = rule_risk(reader, node, found["risk"], scope) if "risk" in found else None
    edited = reader.choice(found["in_flight"], "way", IN_FLIGHT) if "in_flight" in found else ""
    gathers = digest(reader, found["digest"], when) if "digest" in found else None
    spends = (
        budget(reader, found["budget"], near_by.currency, near_by.exchange)
        if "budget" in found
        else None
    )
    if when is None or not name:
        return None
    _check_request(reader, found, when, made)
    rule = Rule(
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
        referrer_limits=referrer,
        quiet=own_quiet,
        risk=own_risk,
        digest=gathers,
        in_flight=cast("InFlight", edited or IN_FLIGHT[0]),
        version=_version(found),
        budget=spends,
        examples=tests,
        file=reader.file,
        line=node.line,
    )
    return replace(rule, laid=laid_over(rule))


def _active(reader: Reader, node: Node, zone: ZoneInfo) -> tuple[int | None, int | None]:
    before = len(reader.errors)
    found = reader.fields(node, ACTIVE)
    begins, ends = (
        reader.parse(found[key], lambda text: moment(text, zone), 0) if key in found else None
        for key in ("from", "until")
    )
    if begins is not None and ends is not None and begins >= ends and len(reader.errors) == before:
        reader.error(node, "active ends before it begins")
    return begins, ends


def _check_request(
    reader: Reader, found: dict[str, Node], when: Trigger, made: tuple[Step, ...]
) -> None:
    """A page waits for the answer: nothing else may be done, and nothing waited for."""
    if not isinstance(when, RequestTrigger):
        return
    if any(isinstance(step, Wait) for step in made):
        reader.error(found["do"], "a page does not wait: with `request` there are no waits")
    if any(isinstance(step, Bandit) for step in made):
        reader.error(
            found["do"],
            "`bandit`: with `request` use split; between a page's asking and its showing what was "
            "drawn the odds may move on",
        )
    for step in made:
        for action in step.actions if isinstance(step, Act) else ():
            if not isinstance(action, Show | Recommend | Coupon):
                reader.error(
                    found["do"],
                    f"`{action.name.partition(':')[0]}`: with `request` there are show, recommend "
                    "and coupon only",
                )


def _version(found: dict[str, Node]) -> str:
    """A hash of the keys that say what it does."""
    told = {key: plain(node) for key, node in sorted(found.items()) if key not in _SAYS_NOTHING}
    return hashlib.blake2b(repr(told).encode(), digest_size=6).hexdigest()


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise BadText(f"`{text}`: a rule's name is like cart-rescue, a-z 0-9 - _, 64 at most")
    return text
