"""Contact fields are sealed at the door, before the log, quarantine or anything else sees them.

Must live here: whose key a call's contacts get, one look-up a request. Must not: which fields those
are (features.contact), keys and ciphers (engine.keys). A call without contacts pays one look at
its fields; a contact in a call that names no customer is taken out of it.
"""

from collections.abc import Sequence
from typing import Any

from api.refusals import Refused
from engine.keys import Key, Keys
from engine.keystores import KeysAway
from engine.masterkey import MasterKeyError
from features import contact
from features.values import ID_LENGTH_MAX

Item = dict[str, Any]


class Sealing:
    """The door's way to the customers' keys."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def call(self, item: Item) -> None:
        """Seal a single call, in place. Raises Refused while the keys are away."""
        if contact.carries(item):
            await self._seal([item])

    async def batch(self, body: Item, items: Sequence[Any]) -> None:
        """Seal a batch's items, in place; contacts of the shared context go into each item."""
        shared = body.get("context")
        if isinstance(shared, dict) and contact.in_context(shared):
            body.pop("context")
            for item in items:
                if isinstance(item, dict):
                    own = item.get("context")
                    item["context"] = {**shared, **own} if isinstance(own, dict) else shared
        if found := [item for item in items if isinstance(item, dict) and contact.carries(item)]:
            await self._seal(found)

    async def _seal(self, items: Sequence[Item]) -> None:
        whose = [customer_of(item) for item in items]
        try:
            keys = await self._keys.of({cid for cid in whose if cid})
        except (KeysAway, MasterKeyError) as away:
            raise Refused(503, "keys_away", str(away), retry_after=2) from None
        for item, cid in zip(items, whose, strict=True):
            item.update(contact.sealed(item, _seal_with(keys.get(cid))))


def customer_of(item: Item) -> str:
    """The customer that the event will be keyed to, "" when it names none.

    >>> customer_of({"userId": 7, "anonymousId": "x"}), customer_of({"userId": ""})
    ('u:7', '')
    """
    for field, kind in (("userId", "u:"), ("anonymousId", "a:")):
        name = item.get(field)
        if isinstance(name, str | int) and not isinstance(name, bool):
            name = str(name)
            if name and len(name) <= ID_LENGTH_MAX and _is_text(name):
                return kind + name
    return ""


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half a surrogate: the event will be rejected
        return False
    return True


def _seal_with(key: Key | None) -> contact.Seal:
    """What becomes of a contact: its token; nothing of it when it is nobody's, or no JSON."""

    def seal(value: Any) -> str:
        try:
            return key.seal(value) if key else contact.REMOVED
        except TypeError:
            return contact.REMOVED

    return seal
