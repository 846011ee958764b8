"""What tells somebody something: messages, pages, alerts, hooks, events of our own.

Must live here: their keys and readers. Must not: sending, rendering (templates.py).
"""

from typing import Final

from rules.actions_parts import TO, Beside, recipient, values, word
from rules.document import Node
from rules.errors import BadText, near
from rules.events import event_name
from rules.forms import Form, Key
from rules.looking import Looked, is_looked
from rules.model import CHANNELS, PAGE, Action, Alert, Emit, Notify, Show, Webhook
from rules.reading import Reader
from rules.reads import OWN, written
from rules.surroundings import Surroundings

TEMPLATE: Final = Key("name | lookup", "the text, in templates/", needed=True)
WITH: Final = Key("values", "values of its own that the template may use")
NOTIFY: Final = Form(
    "notify",
    "notify",
    {
        "via": Key(
            f"[{'/'.join(CHANNELS)}]",
            "the first channel with consent and address; the next on failure",
            needed=True,
        ),
        "template": TEMPLATE,
        "with": WITH,
        "to": TO,
    },
    meant={"channel": "via", "channels": "via", "text": "template", "message": "template"},
)
SHOW: Final = Form("show", "show", {"template": TEMPLATE, "with": WITH})
ALERT: Final = Form(
    "alert",
    "alert",
    {"to": Key("name", "merchant, or a team", needed=True), "template": TEMPLATE, "with": WITH},
)
WEBHOOK: Final = Form(
    "webhook",
    "webhook",
    {
        "name": Key("name", "which of the configured hooks", needed=True),
        "body": Key("values", "what it is told, beside the decision's own facts"),
    },
    meant={"url": "name", "hook": "name"},
)
EMIT: Final = Form(
    "emit",
    "emit",
    {
        "event": Key("event", "the event's name", needed=True),
        "properties": Key("values", "its properties"),
        "to": TO,
    },
    meant={"name": "event"},
)


def check_template(
    reader: Reader, node: Node, template: str, via: list[str], near_by: Surroundings
) -> None:
    """Whether a template has a text for each channel in each of the shop's languages."""
    if near_by.templates is None or not template:
        return
    if template not in near_by.templates:
        hint = near(template, near_by.templates)
        reader.error(node, f"there is no template `{template}` in templates/{hint}")
        return
    for channel in via:
        for language in near_by.languages:
            if (language, channel) not in near_by.templates[template]:
                file = f"templates/{template}.{language}.{channel}.j2"
                reader.error(node, f"`{template}` has no text for {channel}: {file} is missing")


def _template(
    reader: Reader,
    found: dict[str, Node],
    via: list[str],
    near_by: Surroundings,
    looked: Looked,
) -> str:
    """The template's name; of one that is looked up, every case is checked."""

    def short(text: str) -> str:
        if not text.strip() or len(text) > 64:
            raise BadText("a template's name is a text of 1 to 64 characters")
        return text

    name = looked.take(found, "template", short, "")
    names = [name] if name else []
    if "template" in looked.values:
        names = list(written(looked.values["template"]))
    for one in names:
        check_template(reader, found["template"], one, via, near_by)
    if "template" in found and is_looked(found["template"]) and not name:
        return next(iter(names), "")
    return name


def notify(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`notify: {via: [push, sms], template, with: {}, to}`."""
    found = reader.fields(node, NOTIFY)
    via: list[str] = []
    for item in reader.some(found["via"]) if "via" in found else []:
        channel = reader.choice(item, "channel", CHANNELS)
        if channel in via:
            reader.error(item, f"`{channel}` is in `via` twice")
        via.append(channel)
    looked = Looked(reader, near_by.scope, "notify")
    to = recipient(reader, found)
    template = _template(reader, found, [OWN] if to == "merchant" else via, near_by, looked)
    return Notify(
        name=beside.name or f"notify:{template}",
        via=tuple(via),
        template=template,
        with_=values(reader, found, "with", near_by.scope),
        condition=beside.condition,
        optional=beside.optional,
        to=to,
        looked=looked.values,
    )


def show(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`show: {template, with}`."""
    found = reader.fields(node, SHOW)
    looked = Looked(reader, near_by.scope, "show")
    template = _template(reader, found, [PAGE], near_by, looked)
    return Show(
        beside.name or f"show:{template}",
        template,
        values(reader, found, "with", near_by.scope),
        beside.condition,
        beside.optional,
        looked.values,
    )


def alert(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`alert: {to: merchant|TEAM, template}`: by e-mail, as teams read."""
    found = reader.fields(node, ALERT)
    to = word(reader, found, "to", "a team's name")
    looked = Looked(reader, near_by.scope, "alert")
    template = _template(reader, found, [OWN], near_by, looked)
    return Alert(
        beside.name or f"alert:{to}",
        to,
        template,
        values(reader, found, "with", near_by.scope),
        beside.condition,
        beside.optional,
        looked.values,
    )


def webhook(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`webhook: {name, body}`."""
    found = reader.fields(node, WEBHOOK)
    hook = word(reader, found, "name", "a hook's name")
    if "/" in hook:
        reader.error(
            found["name"], f"`{hook}`: a hook is called by its configured name, not an URL"
        )
    body = values(reader, found, "body", near_by.scope)
    return Webhook(beside.name or f"webhook:{hook}", hook, body, beside.condition, beside.optional)


def emit(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`emit: {event, properties, to}`."""
    found = reader.fields(node, EMIT)
    event = event_name(reader, found["event"]) if "event" in found else ""
    return Emit(
        beside.name or f"emit:{event}",
        event,
        values(reader, found, "properties", near_by.scope),
        beside.condition,
        beside.optional,
        recipient(reader, found),
    )
