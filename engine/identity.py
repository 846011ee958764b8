"""One customer out of several ids: claims, moved customers, uniting; all of it by letters.

Must live here: what identify and alias cause, and what a letter about identity does where it
arrives. Must not: transport. First claim wins. A letter carries the ids on its path; when ids have
moved to one another in a circle, the smallest of them takes all in.
"""

import base64
from typing import Any

import orjson

from engine import examples, membership, returns, risking
from engine.effects import Effects, Letter, Moment
from engine.erasure import ask
from engine.holdings import count_once, emitter
from engine.ids import event_hash
from engine.journal import (
    ALIASES_MAX,
    REGISTRY,
    Identity,
    memory,
    unite_seen,
    write,
)
from engine.rewards import united
from engine.turn import Turn
from engine.uniting import unite
from features import catalog
from features.customer import Customer
from features.events import Event

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
    if identity.moved_to and body["at"] > identity.erased_at:
        risking.claimed(customer, body["by"], body["at"], moment, effects)
    if identity.moved_to or customer.cid in body["path"] or body["at"] <= identity.erased_at:
        return
    journey = write(customer).journey
    scheduled, journey.scheduled = journey.scheduled, 0  # this shard's own: it depends on batches
    listed, journey.listed = journey.listed, []
    blob = base64.b64encode(customer.encode()).decode()
    state = {"from": customer.cid, "path": [customer.cid], "at": body["at"], "blob": blob}
    effects.letters.append(Letter(body["by"], "state", state, moment.offset))
    membership.leave(customer, body["at"], moment, effects)
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
    identity.birth = _birth(customer, other)
    returns.unite(customer, other, moment)
    count_once(customer, other, emitter(customer, moment, effects), body["at"])
    catalog.merge(customer, other)
    write(customer)
    unite_seen(mine.seen, left.seen)
    unite(Turn(customer, moment, effects), left.journey)
    mine.example = examples.united(mine.example, left.example)
    united(customer, effects)
    membership.unite(customer, left.journey, body["at"], moment, effects)
    for alias in aliases:
        row = {"alias": alias, "cid": customer.cid, "linked_at": body["at"]}
        effects.fact("identities", {**row, "version": moment.log_time})


def _birth(customer: Customer, other: Customer) -> bytes:
    """The birth id of two who are one: the known user's, else the smaller."""
    mine, theirs = memory(customer).identity.birth, memory(other).identity.birth
    known, other_known = customer.cid.startswith("u:"), other.cid.startswith("u:")
    if theirs and known == other_known:
        return min(mine, theirs)
    return theirs if theirs and other_known else mine


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
