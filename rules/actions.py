"""The actions of a rule: a table of kinds, each with its keys and its reader.

To add an action: a frozen shape in shape_actions.py, a Form and a reader in one of actions_*.py,
a line in ACTIONS. Must not live here: the readers, doing any of it.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from rules import actions_messages as messages
from rules import actions_money as money
from rules import actions_people as people
from rules.actions_parts import Beside
from rules.document import Node
from rules.forms import Form
from rules.model import Action
from rules.reading import Reader
from rules.surroundings import Surroundings

ActionReader = Callable[[Reader, Node, Surroundings, Beside], Action]


class Kind(NamedTuple):
    """A kind of action: its keys, its reader, one word on it, the field of its row that names it.

    `named` is what an example expects it by: `coupon: SAVE` is the one whose `offer` is SAVE.
    """

    form: Form
    read: ActionReader
    doc: str
    named: str


ACTIONS: Final[Mapping[str, Kind]] = {
    "coupon": Kind(money.COUPON, money.coupon, "issue a coupon of an offer", "offer"),
    "notify": Kind(messages.NOTIFY, messages.notify, "send a message", "template"),
    "show": Kind(messages.SHOW, messages.show, "put a template on the page that asks", "template"),
    "points": Kind(money.POINTS, money.points, "give points, or multiply what is earned", "points"),
    "tag": Kind(people.TAG, people.tag, "label the customer", "tag"),
    "audience": Kind(
        people.AUDIENCE, people.audience, "fill an ad platform's audience", "audience"
    ),
    "recommend": Kind(people.RECOMMEND, people.recommend, "choose products", "how"),
    "task": Kind(people.TASK, people.task, "something for a person to do", "team"),
    "alert": Kind(messages.ALERT, messages.alert, "tell the merchant or a team", "to"),
    "pause": Kind(people.PAUSE, people.pause, "hold back a purpose for a while", "purpose"),
    "webhook": Kind(messages.WEBHOOK, messages.webhook, "call a configured hook", "hook"),
    "emit": Kind(messages.EMIT, messages.emit, "put an event into the log", "event"),
}
