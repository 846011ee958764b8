"""What changes how a customer is treated: labels, audiences, products, tasks, pauses.

Must live here: their keys and readers. Must not: doing any of it.
"""

from typing import Final

from rules.actions_parts import NAME_MAX, Beside, words
from rules.document import Node
from rules.errors import BadText, near, one_of
from rules.forms import Form, Key
from rules.looking import Looked, is_looked
from rules.model import PURPOSES, Action, Audience, Pause, Recommend, Tag, Task
from rules.reading import Reader
from rules.scope import Scope
from rules.surroundings import Surroundings
from rules.values import Made, Value, duration

KINDS: Final = (
    *("for_you", "viewed", "recent", "cart", "favourites", "category"),
    *("similar", "together", "trending"),
)
BOUGHT: Final = ("learned", "never", "always")
PRIORITIES: Final = ("low", "normal", "high", "urgent")
SHOWN_MAX: Final = 50

TAG: Final = Form(
    "tag",
    "tag",
    {
        "add": Key("[text] | value", "labels to put on the customer"),
        "remove": Key("[text] | value", "labels to take off"),
    },
)
AUDIENCE: Final = Form(
    "audience",
    "audience",
    {
        "add": Key("[text] | value", "audiences to put the customer into"),
        "remove": Key("[text] | value", "audiences to take him out of"),
    },
)
RECOMMEND: Final = Form(
    "recommend",
    "recommend",
    {
        "kind": Key("/".join(KINDS), "how they are chosen", needed=True),
        "n": Key("whole | value", "how many (4)"),
        "bought": Key(
            "/".join(f"{one}*" if one == BOUGHT[0] else one for one in BOUGHT),
            "what he has: learned, by how often it is bought again",
        ),
    },
    meant={"count": "n", "number": "n"},
)
TASK: Final = Form(
    "task",
    "task",
    {
        "team": Key("name | value", "who is to do it", needed=True),
        "title": Key("text | value", "what is to be done", needed=True),
        "priority": Key(
            "/".join(f"{one}*" if one == "normal" else one for one in PRIORITIES) + " | lookup",
            "how urgent it is",
        ),
        "due": Key("duration | lookup", "how long after the decision it is due"),
    },
)
PAUSE: Final = Form(
    "pause",
    "pause",
    {
        "purpose": Key("/".join(PURPOSES), "what is held back", needed=True),
        "for": Key("duration | lookup", "for how long", needed=True),
    },
)


def _added(
    reader: Reader, node: Node, form: Form, scope: Scope
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Value]]:
    """What is put on, what is taken off, and which of the two is looked up."""
    found = reader.fields(node, form)
    if not found:
        reader.error(node, f"{form.what} needs `add` or `remove`")
    looked: dict[str, Value] = {
        key: Made(reader.value(found.pop(key), scope, "text", _label), lambda one: (_label(one),))
        for key in ("add", "remove")
        if key in found and is_looked(found[key])
    }
    add, remove = (words(reader, found, key, f"a {form.what}") for key in ("add", "remove"))
    return add, remove, looked


def _label(text: str) -> str:
    return text.strip()[:NAME_MAX]


def tag(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`tag: {add, remove}`."""
    add, remove, looked = _added(reader, node, TAG, near_by.scope)
    name = beside.name or f"tag:{','.join((*add, *remove))}"
    return Tag(name, add, remove, beside.condition, beside.optional, looked)


def audience(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`audience: {add, remove}`."""
    add, remove, looked = _added(reader, node, AUDIENCE, near_by.scope)
    name = beside.name or f"audience:{','.join((*add, *remove))}"
    return Audience(name, add, remove, beside.condition, beside.optional, looked)


def recommend(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`recommend: {kind, n, bought}`."""
    found = reader.fields(node, RECOMMEND)
    kind = KINDS[0]
    if "kind" in found:
        kind = reader.choice(found["kind"], "way to recommend", KINDS, "recommend")
    many, looked = 4, dict[str, Value]()
    if "n" in found and is_looked(found["n"]):
        value = reader.value(found["n"], near_by.scope, "number", float)
        looked["n"] = Made(value, lambda one: max(1, min(SHOWN_MAX, round(float(one)))))
    elif "n" in found:
        many = reader.number(found["n"], "n", 1, SHOWN_MAX)
    bought = BOUGHT[0]
    if "bought" in found:
        bought = reader.choice(found["bought"], "way with what he has", BOUGHT)
    name = beside.name or f"recommend:{kind}"
    return Recommend(name, kind, many, bought, beside.condition, beside.optional, looked)


def task(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`task: {team, title, priority, due}`."""
    found = reader.fields(node, TASK)
    looked = Looked(reader, near_by.scope, "task")
    team = looked.take(found, "team", _team, "")
    title = looked.take(found, "title", lambda text: text.strip()[:200], "")
    due = looked.take(found, "due", duration, None, name="due_ms", kind="duration")
    priority = looked.take(found, "priority", _priority, "normal")
    return Task(
        beside.name or f"task:{team}",
        team,
        title,
        priority,
        due,
        beside.condition,
        beside.optional,
        looked.values,
    )


def _team(text: str) -> str:
    if not text.strip() or len(text) > NAME_MAX:
        raise BadText(f"a team's name is a text of 1 to {NAME_MAX} characters")
    return text


def _priority(text: str) -> str:
    if text not in PRIORITIES:
        hint = near(text, PRIORITIES)
        raise BadText(f"`{text}` is not a priority{hint}; allowed are {one_of(PRIORITIES)}")
    return text


def pause(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`pause: {purpose, for}`."""
    found = reader.fields(node, PAUSE)
    purpose = "marketing"
    if "purpose" in found:
        purpose = reader.choice(found["purpose"], "purpose", PURPOSES)
    looked = Looked(reader, near_by.scope, "pause")
    return Pause(
        beside.name or f"pause:{purpose}",
        purpose,
        looked.take(found, "for", duration, 0, name="for_ms", kind="duration"),
        beside.condition,
        beside.optional,
        looked.values,
    )
