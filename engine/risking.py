"""What the engine tells of risk that no event of the customer's says by itself.

Must live here: what he had looked at before an order, the order as an example of the anomaly model,
and which accounts share a device. Must not: counting signs (features/risk.py), who is held
(gates.py). A browser or an app has an id of its own, and is a customer's until somebody signs in:
from then on it is that account's. When another account claims it, it tells the two of one another
by letters, so that nothing but a customer's own records decides about him.
"""

import math
from typing import Any, Final

from engine.effects import Effects, Letter, Moment
from engine.journal import memory, write
from features import risk
from features.catalog import FEATURES
from features.customer import Customer
from features.events import Event
from features.fold import ID_BYTES
from features.models import anomaly

NEIGHBOURS: Final = "neighbours"
CLAIMANTS_MAX: Final = risk.IDS_MAX
_VIEWS: Final = FEATURES["windows.views_24h"]


def ordered(customer: Customer, event: Event, effects: Effects) -> None:
    """A paid order has been folded: what he had looked at, and how it stands beside others."""
    views = float(_VIEWS.read(customer.states[_VIEWS.facet], event.at))
    risk.seen_before(customer.touch("risk"), event, -1 if math.isnan(views) else int(views))
    inputs = anomaly.vector(customer)
    if inputs is not None:
        effects.examples.append({
            "model": anomaly.MODEL, "cid": customer.cid, "at": event.at,
            "features": inputs,
        })  # fmt: skip


def claimed(customer: Customer, by: str, at: int, moment: Moment, effects: Effects) -> None:
    """Account `by` signed in on this device: tell it who else did, and the first of them of it."""
    identity = memory(customer).identity
    owner = identity.moved_to
    if not by.startswith("u:") or not customer.cid.startswith("a:") or by == owner:
        return
    mine, known = risk.account(by), _each(identity.claimants)
    if known and known[-1] == mine:
        return  # nobody came between
    others = [one for one in known if one != mine]
    _tell(by, [risk.account(owner), *others], at, moment, effects)
    if mine not in known:
        _tell(owner, [mine], at, moment, effects)
    write(customer).identity.claimants = b"".join([*others, mine][-CLAIMANTS_MAX:])


def _each(known: bytes) -> list[bytes]:
    return [known[at : at + ID_BYTES] for at in range(0, len(known), ID_BYTES)]


def _tell(cid: str, accounts: list[bytes], at: int, moment: Moment, effects: Effects) -> None:
    body = {"accounts": b"".join(accounts).hex(), "at": at, "path": []}
    effects.letters.append(Letter(cid, NEIGHBOURS, body, moment.offset))


def receive(customer: Customer, body: dict[str, Any]) -> None:
    """The letter at an account: these use a device of his."""
    identity = memory(customer).identity
    if body["at"] <= identity.erased_at:
        return
    own = {risk.account(name) for name in (customer.cid, *identity.aliases)}
    told = (one for one in _each(bytes.fromhex(body["accounts"])) if one not in own)
    risk.neighbours(customer.touch("risk"), b"".join(told))
