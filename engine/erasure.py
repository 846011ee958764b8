"""Erasure: what is remembered of a person goes, under every id he went by; a tombstone stays.

Must live here: what the record of an erasure and its letters do to a customer, the tombstone's name
and bytes. Must not: IO; what lies outside the state is sinks/erase.py's to erase.

A tombstone is a blob under a hash of the id, salted with the installation's secret: it says when he
was erased and how often, and no more. Who is erased and unknown since has no other blob. What is
stamped up to the erasure is dropped for ever after; a customer who returns begins anew, under a
birth id of that number. What an id heard is forgotten with it: of an id that had merged, a message
stamped after the erasure that it sent on before is a new one when it comes again.
"""

import hashlib
import hmac
from typing import Any, Final

from engine.complaints import forget_at_merchants
from engine.effects import Effects, Letter, Moment
from engine.ids import event_hash
from engine.journal import ENGINE, REGISTRY, Identity, Journey, Memory, memory, write
from features.customer import Customer
from features.events import Event

ERASURE: Final = "Erasure Requested"
ERASED: Final = "erased"
MARK: Final = "x:"  # before the hash in a tombstone's name; alone it says that a shard has some


def erase(customer: Customer, event: Event, moment: Moment, effects: Effects) -> str:
    """The record of an erasure: this customer goes, and by letters every id that he has taken in.

    One that is told again, stamped before it was done, erases no more than it has.
    """
    identity = memory(customer).identity
    name = str(event.properties.get("erasure_id") or erasure_id(event))
    others: list[str] = []
    if event.at > identity.erased_at:
        others, erased_at = identity.aliases, max(event.at, moment.log_time)
        forget_at_merchants(customer, [customer.cid, *others], moment, effects)
        _bury(customer, erased_at)
        ask(others, name, erased_at, moment, effects)
    _tell(customer, name, [customer.cid, *others], effects)
    return ERASED


def ask(
    ids: list[str],
    name: str,
    erased_at: int,
    moment: Moment,
    effects: Effects,
    *,
    whole: bool = False,
) -> None:
    """Have other ids of the person erased; `whole`: each is an erasure of its own."""
    body = {"id": name, "at": erased_at, "whole": whole}
    effects.letters += [Letter(cid, "erase", body, moment.offset) for cid in ids]


def receive_erasure(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """The letter to an id of his, wherever that id has moved since."""
    if body["at"] > memory(customer).identity.erased_at:
        forget_at_merchants(customer, [customer.cid], moment, effects)
        _bury(customer, body["at"])
    _tell(customer, body["id"], [customer.cid] if body["whole"] else [], effects)


def erasure_id(event: Event) -> str:
    """The name of an erasure that was asked for by an event of the shop's own."""
    return event_hash(event.source, event.message_id).hex()


def _bury(customer: Customer, erased_at: int) -> None:
    before = memory(customer)
    customer.clear()
    left = write(customer)
    left.identity = Identity(erased_at=erased_at, erasures=before.identity.erasures + 1)
    left.journey.scheduled = before.journey.scheduled  # to be taken out of the shard's sorted set
    left.journey.listed = before.journey.listed  # and of its index


def _tell(customer: Customer, name: str, ids: list[str], effects: Effects) -> None:
    """For those who erase what lies elsewhere; `ids` are all of the person's, once an erasure."""
    identity = memory(customer).identity
    write(customer)
    effects.erasures.append({
        "id": name, "cid": customer.cid, "ids": ids, "at": identity.erased_at,
        "number": identity.erasures,
    })  # fmt: skip


def is_gone(customer: Customer) -> bool:
    """Whether nothing is known of an erased customer since: his tombstone says all there is.

    What the shard's timers and index still hold of him is theirs to let go.
    """
    mine = memory(customer)
    told, journey = mine.identity, mine.journey
    identity = Identity(birth=told.birth, erased_at=told.erased_at, erasures=told.erasures)
    bare = Memory(identity, journey=Journey(scheduled=journey.scheduled, listed=journey.listed))
    return mine == bare and customer.names() <= {ENGINE}


def tombstone(secret: bytes, cid: str) -> str:
    """The name that a tombstone is kept under."""
    return MARK + hmac.new(secret, b"erased " + cid.encode(), hashlib.sha256).hexdigest()[:32]


def stone(erased_at: int, erasures: int) -> bytes:
    """A tombstone's bytes: the blob of a customer who was erased and did not return."""
    customer = Customer.decode("", None, REGISTRY)
    write(customer).identity = Identity(erased_at=erased_at, erasures=erasures)
    return customer.encode()


def burials(effects: Effects, secret: bytes) -> dict[str, bytes]:
    """The tombstones of a commit, by their names; with the first, the mark that there are some."""
    stones = {
        tombstone(secret, row["cid"]): stone(row["at"], row["number"]) for row in effects.erasures
    }
    return {MARK: b"1", **stones} if stones else {}
