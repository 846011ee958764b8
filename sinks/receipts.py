"""What sending teaches of a customer, put back into his own log as any channel's receipts are.

Must live here: the events, and the sink that appends them. Must not: when a message has failed.
They are kept in the relay's own stream first, written with the outcome they belong to, and their
ids are the message's own: a repeat is dropped as any event's is.

    Message Bounced   there is nobody at this address: the channel is closed until he agrees anew
    Message Failed    through no channel could he be told
    Coupon Voided     a code that only this message would have told him of: nobody has it.
                      `unsent`: no receiver can have had it, so a pool's goes back (voiding.py)

In record time nothing comes back: what is decided there follows from the records alone.
"""

from typing import Any

import orjson

from engine.records import Append
from engine.shards import partition
from features.events import Event, encode, key
from features.values import ID_LENGTH_MAX
from sinks.channels import Message
from sinks.outbox import OUTCOMES, Entry
from sinks.relay_appends import Appends

SOURCE = "laike"
RECEIPTS = "receipts"  # in an entry of outcomes, beside the rows of tables
Receipt = dict[str, Any]


def bounced(message: Message, reason: str, at: int) -> Receipt:
    """The channel has nobody of his at its end."""
    return _receipt("Message Bounced", message, reason, at, kind="hard")


def given_up(message: Message, reason: str, at: int, *, unsent: bool = False) -> list[Receipt]:
    """No channel could tell him."""
    mine = [one for one in message.coupons if one.get("to", message.to) == message.to]
    codes = [one["code"] for one in mine] if message.sole else []
    return [
        _receipt("Message Failed", message, reason, at),
        *(_voided(message, reason, at, code, unsent=unsent and message.pooled) for code in codes),
    ]


def _voided(message: Message, reason: str, at: int, code: str, *, unsent: bool) -> Receipt:
    found = _receipt("Coupon Voided", message, reason, at, code=code)
    return found | {"properties": found["properties"] | {"unsent": True}} if unsent else found


def _receipt(name: str, message: Message, reason: str, at: int, **more: Any) -> Receipt:
    properties = {
        "decision_id": message.decision_id,
        "action": message.action,
        "rule": message.rule,
        "channel": message.via,
        "reason": reason[:200],
        **more,
    }
    mark = ":".join((message.mark, name.partition(" ")[2].lower(), *more.values()))
    return {"cid": message.cid, "event": name, "id": mark[:ID_LENGTH_MAX], "at": at,
            "properties": properties}  # fmt: skip


class Receipts(Appends):
    """The sink that appends them to the log, each to its customer's shard."""

    name = RECEIPTS
    stream = OUTCOMES

    def records(self, entry: Entry) -> list[Append]:
        """Those of an entry."""
        return [record(one, self.log.shards) for one in orjson.loads(entry.body).get(RECEIPTS, ())]


def record(receipt: Receipt, shards: int) -> Append:
    """What is appended to its customer's log."""
    kind, _, name = receipt["cid"].partition(":")
    event = Event(
        type="track",
        name=receipt["event"],
        message_id=receipt["id"],
        at=receipt["at"],
        received_at=receipt["at"],
        source=SOURCE,
        user_id=name if kind == "u" else "",
        anonymous_id=name if kind == "a" else "",
        channel=receipt["properties"]["channel"],
        properties=receipt["properties"],
    )
    to = key(event)
    return Append(partition(to, shards), to, encode(event), receipt["at"])
