"""One customer out of several ids: claims, moved customers, uniting; all of it by letters.

Must live here: what identify and alias cause, and what a letter about identity does where it
arrives. Must not: transport. First claim wins. A letter carries the ids on its path; when ids have
moved to one another in a circle, the smallest of them takes all in.
"""

import base64
from typing import Any

import orjson

from engine.effects import Effects, Letter, Moment
from engine.erasure import ask
from engine.ids import event_hash
from engine.journal import (
    ALIASES_MAX,
    REACHED_MAX,
    REGISTRY,
    Identity,
    Instance,
    Journey,
    memory,
    note,
    noted,
    unite_seen,
    write,
)
from engine.subjects import concerns
from features import catalog
from features.customer import Customer
from features.events import Event
from rules.book import Book
from rules.model import Rule, Wait

ENTRIES_MAX = 100
PATH_MAX = 32


def link(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """identify{U, A} and alias{U, P} heard at U: claim the other id by a letter."""
    if event.type == "identify" and event.user_id and event.anonymous_id:
        others = [f"a:{event.anonymous_id}"]
    elif event.type == "alias" and event.previous_id:
        others = [f"a:{event.previous_id}", f"u:{event.previous_id}"]
    else:
        return
    identity = memory(customer).identity
    for other in others:
        if other != customer.cid and other not in identity.aliases:
            body = {"by": customer.cid, "path": [customer.cid], "at": event.at}
            effects.letters.append(Letter(other, "claim", body, moment.offset))


def receive_claim(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """Another id says that this one is the same person: move there, unless moved before."""
    identity = memory(customer).identity
    if identity.moved_to or customer.cid in body["path"] or body["at"] <= identity.erased_at:
        return
    journey = write(customer).journey
    scheduled, journey.scheduled = journey.scheduled, 0  # this shard's own: it depends on batches
    listed, journey.listed = journey.listed, []
    blob = base64.b64encode(customer.encode()).decode()
    state = {"from": customer.cid, "path": [customer.cid], "at": body["at"], "blob": blob}
    effects.letters.append(Letter(body["by"], "state", state, moment.offset))
    customer.clear()
    left = write(customer)
    left.identity = Identity(
        identity.birth, body["by"], [], identity.erased_at, identity.erasures, [customer.cid]
    )
    left.journey.scheduled = scheduled  # to be taken out of the shard's sorted set
    left.journey.listed = listed  # and of its index


def receive_state(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """What an id that moved here leaves us: unite with it, or send it on to where we moved."""
    identity = memory(customer).identity
    if not _has_moved(customer, body, moment, effects):
        _unite(customer, body, moment, effects)
    elif identity.kept or _came_round(customer, body["path"]):
        other = Customer.decode(body["from"], base64.b64decode(body["blob"]), REGISTRY)
        held = {other.cid, *memory(other).identity.aliases}
        identity.awaited = [name for name in identity.awaited if name not in held]
        write(customer).identity.kept.append(orjson.dumps(body))
        if not identity.awaited:
            _live_again(customer, moment, effects)
    else:
        if body["from"] not in identity.awaited:
            write(customer).identity.awaited = [*identity.awaited, body["from"]][-ALIASES_MAX:]
        _send_on(customer, "state", body, moment, effects)


def _came_round(customer: Customer, path: list[str]) -> bool:
    """Whether this is the one of a circle who takes the others in."""
    return customer.cid in path and customer.cid == min(path[path.index(customer.cid) :])


def _live_again(customer: Customer, moment: Moment, effects: Effects) -> None:
    """All that went round is back: the circle ends here.

    Earlier, an event could overtake a state on its second round, and be applied without it.
    """
    identity = write(customer).identity
    kept, identity.kept, identity.awaited, identity.moved_to = identity.kept, [], [], ""
    for body in kept:
        _unite(customer, orjson.loads(body), moment, effects)


def _unite(customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects) -> None:
    other = Customer.decode(body["from"], base64.b64decode(body["blob"]), REGISTRY)
    mine, left = memory(customer), memory(other)
    identity, theirs = mine.identity, left.identity
    if other.cid in identity.aliases:
        return
    aliases = [name for name in (other.cid, *theirs.aliases) if name != customer.cid]
    if body["at"] <= identity.erased_at:  # he was erased while this was on its way
        name = f"{moment.offset}-{event_hash('state', other.cid).hex()}"
        ask(aliases, name, identity.erased_at, moment, effects, whole=True)
        return
    identity.aliases = [*identity.aliases, *aliases][-ALIASES_MAX:]
    known, other_known = customer.cid.startswith("u:"), other.cid.startswith("u:")
    if theirs.birth and known == other_known:
        identity.birth = min(identity.birth, theirs.birth)
    elif theirs.birth and other_known:
        identity.birth = theirs.birth
    catalog.merge(customer, other)
    write(customer)
    unite_seen(mine.seen, left.seen)
    for one in left.journey.open:
        if one.waits_for_slice:  # the answer may come to another id, or be there already
            one.again = max(moment.log_time, one.due)
            mine.journey.arm(one.again)
    _unite_journeys(mine.journey, left.journey, moment.book)
    if not mine.example.opened:
        mine.example = left.example
    for due in (left.journey.alarm, mine.example.deadline):
        if due:
            mine.journey.arm(due)
    for alias in aliases:
        row = {"alias": alias, "cid": customer.cid, "linked_at": body["at"]}
        effects.fact("identities", {**row, "version": moment.log_time})


def forwarded(
    customer: Customer, kind: str, body: dict[str, Any], moment: Moment, effects: Effects
) -> bool:
    """Whether this customer has moved and the letter was sent after it."""
    if not _has_moved(customer, body, moment, effects):
        return False
    _send_on(customer, kind, body, moment, effects)
    return True


def _has_moved(customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects) -> bool:
    """Whether this customer lives elsewhere; a letter that has gone on for too long ends that."""
    if memory(customer).identity.moved_to and len(body.get("path", [])) >= PATH_MAX:
        _live_again(customer, moment, effects)
    return bool(memory(customer).identity.moved_to)


def _send_on(
    customer: Customer, kind: str, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    body = {**body, "path": [*body.get("path", []), customer.cid]}
    to = memory(customer).identity.moved_to
    effects.letters.append(Letter(to, kind, body, moment.offset))


def _unite_journeys(mine: Journey, theirs: Journey, book: Book) -> None:
    """Unite what fired, sum what was counted, carry on what waits on either side.

    Who did on the other side what ends or delays an instance has done it: who paid is not rescued.
    """
    fired = mine.fired.keys() | mine.ever.keys()
    kept = [one for one in mine.open if _goes_on(one, theirs, book)]
    kept += [one for one in theirs.open if one.key not in fired and _goes_on(one, mine, book)]
    mine.open = kept
    for ours, others in ((mine.fired, theirs.fired), (mine.ever, theirs.ever)):
        for key, bits in others.items():
            ours[key] = ours.get(key, 0) | bits
    for rule, counted in theirs.counts.items():
        subjects = mine.counts.setdefault(rule, {})
        for subject, times in counted.items():
            subjects[subject] = sorted([*subjects.get(subject, ()), *times])
    for rule, entered in theirs.entries.items():
        mine.entries[rule] = sorted([*mine.entries.get(rule, ()), *entered])[-ENTRIES_MAX:]
    for rule, last in theirs.silent.items():
        mine.silent[rule] = max(last, mine.silent.get(rule, 0), key=abs)
    for event, at, about in noted(theirs):
        note(mine, event, about, at)
    for way, times in theirs.reached.items():
        mine.reached[way] = sorted([*mine.reached.get(way, ()), *times])[-REACHED_MAX:]
    for purpose, until in theirs.paused.items():  # a pause holds for both
        mine.paused[purpose] = max(until, mine.paused.get(purpose, 0))
    for rule, dates in theirs.dues.items():
        mine.dues[rule] = {**dates, **mine.dues.get(rule, {})}
    mine.told = 0  # he is no longer as the table has him


def _goes_on(instance: Instance, other: Journey, book: Book) -> bool:
    """Let an instance hear what the other side did after it began; False when that ends it."""
    rule = book.rules.get(instance.rule)
    if rule is None:
        return True
    for name, at, subjects in noted(other):
        if at < instance.started or not concerns(rule, instance.subject, subjects):
            continue
        if _ended_by(rule, name):
            return False
        wait = rule.steps[instance.step] if instance.step < len(rule.steps) else None
        if not instance.again and isinstance(wait, Wait) and name in wait.since_last and at > instance.anchor:
            instance.anchor, instance.due = at, at + wait.for_ms
    return True


def _ended_by(rule: Rule, name: str) -> bool:
    return any(stop.event == name and stop.condition is None for stop in rule.stop_on)
