"""What changes how a customer is treated: labels, audiences, products, tasks, pauses.

Must live here: their keys and readers. Must not: doing any of it.
"""

from typing import Final

from rules.actions_parts import Beside, word, words
from rules.document import Node
from rules.forms import Form, Key
from rules.looking import Looked
from rules.model import PURPOSES, Action, Audience, Pause, Recommend, Tag, Task
from rules.reading import Reader
from rules.surroundings import Surroundings
from rules.values import duration

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
        "add": Key("[text]", "labels to put on the customer"),
        "remove": Key("[text]", "labels to take off"),
    },
)
AUDIENCE: Final = Form(
    "audience",
    "audience",
    {
        "add": Key("[text]", "audiences to put the customer into"),
        "remove": Key("[text]", "audiences to take him out of"),
    },
)
RECOMMEND: Final = Form(
    "recommend",
    "recommend",
    {
        "kind": Key("/".join(KINDS), "how they are chosen", needed=True),
        "n": Key("whole", "how many (4)"),
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
        "team": Key("name", "who is to do it", needed=True),
        "title": Key("text | value", "what is to be done", needed=True),
        "priority": Key(
            "/".join(f"{one}*" if one == "normal" else one for one in PRIORITIES),
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


def _added(reader: Reader, node: Node, form: Form) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = reader.fields(node, form)
    if not found:
        reader.error(node, f"{form.what} needs `add` or `remove`")
    add, remove = (words(reader, found, key, f"a {form.what}") for key in ("add", "remove"))
    return add, remove


def tag(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:  # noqa: ARG001
    """`tag: {add, remove}`."""
    add, remove = _added(reader, node, TAG)
    name = beside.name or f"tag:{','.join((*add, *remove))}"
    return Tag(name, add, remove, beside.condition, beside.optional)


def audience(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:  # noqa: ARG001
    """`audience: {add, remove}`."""
    add, remove = _added(reader, node, AUDIENCE)
    name = beside.name or f"audience:{','.join((*add, *remove))}"
    return Audience(name, add, remove, beside.condition, beside.optional)


def recommend(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:  # noqa: ARG001
    """`recommend: {kind, n, bought}`."""
    found = reader.fields(node, RECOMMEND)
    kind = KINDS[0]
    if "kind" in found:
        kind = reader.choice(found["kind"], "way to recommend", KINDS, "recommend")
    many = reader.number(found["n"], "n", 1, SHOWN_MAX) if "n" in found else 4
    bought = BOUGHT[0]
    if "bought" in found:
        bought = reader.choice(found["bought"], "way with what he has", BOUGHT)
    name = beside.name or f"recommend:{kind}"
    return Recommend(name, kind, many, bought, beside.condition, beside.optional)


def task(reader: Reader, node: Node, near_by: Surroundings, beside: Beside) -> Action:
    """`task: {team, title, priority, due}`."""
    found = reader.fields(node, TASK)
    team = word(reader, found, "team", "a team's name")
    looked = Looked(reader, near_by.scope, "task")
    title = looked.take(found, "title", lambda text: text.strip()[:200], "")
    due = looked.take(found, "due", duration, None, name="due_ms", kind="duration")
    priority = "normal"
    if "priority" in found:
        priority = reader.choice(found["priority"], "priority", PRIORITIES)
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
