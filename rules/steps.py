"""`do`: the steps of a rule. The actions between two waits are one decision.

Must live here: waits, stops, branchings, and what may follow what. Must not: what an action
holds, how they are laid flat (program.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rules.actions import ACTIONS
from rules.actions_parts import Beside, action_name
from rules.document import Fields, Items, Node
from rules.events import both_names, event_name, event_names
from rules.expressions import Expr
from rules.forms import Form, Key
from rules.looking import Looked, date_or_moment, is_looked
from rules.model import Action, Stop, Wait
from rules.program import Branching, Guarded, Item
from rules.reading import Reader
from rules.surroundings import Surroundings
from rules.values import duration, percent

BESIDE: Final = ("if", "as", "optional")
VERBS: Final = ("wait", *ACTIONS, "choose", "split", "stop")
STEP: Final = Form(
    "do",
    "a step",
    {
        "wait": Key(
            "duration | lookup | #wait", "nothing until then; what follows is another decision"
        ),
        **{name: Key(f"#{name}", kind.doc) for name, kind in ACTIONS.items()},
        "choose": Key("[#choose]", "the steps of the first branch whose `if` holds"),
        "split": Key("[#split]", "the steps of one branch by lot, the same for a customer always"),
        "stop": Key("true", "ends it"),
        "if": Key("condition", "the step is passed over unless it holds then"),
        "as": Key(
            "name",
            "its own name: of an action's a coupon's code is made, of a branching's "
            "its decisions' ids",
        ),
        "optional": Key("true/false*", "the others of its decision go on without it"),
    },
    meant={
        "delay": "wait",
        "sleep": "wait",
        "send": "notify",
        "message": "notify",
        "branch": "choose",
        "when": "choose",
        "switch": "choose",
        "ab": "split",
        "experiment": "split",
        "name": "as",
    },
)
WAIT: Final = Form(
    "wait",
    "wait",
    {
        "for": Key("duration | lookup", "so long; with event: at most so long"),
        "since_last": Key("[event]", "counted from the last of these"),
        "until": Key("feature | moment", "until a date or a moment"),
        "event": Key("event", "until this event; then `arrived` says whether it came"),
        "if": Key("condition", "asked of that event"),
    },
)
CHOOSE: Final = Form(
    "choose",
    "a branch of choose",
    {
        "if": Key("condition", "when it is taken; the last one may go without"),
        "do": Key("steps", "its steps", needed=True),
    },
    meant={"when": "if", "then": "do", "else": "do"},
)
SPLIT: Final = Form(
    "split",
    "a branch of split",
    {
        "name": Key("name", "its name, in every decision's `split`", needed=True),
        "share": Key("percent", "of the customers", needed=True),
        "do": Key("steps", "its steps, [] for none", needed=True),
    },
    meant={"weight": "share", "percent": "share"},
)
STEPS_MAX: Final = 50
DEPTH_MAX: Final = 5
BRANCHES_MAX: Final = 20
WAIT_MIN_MS: Final = 1_000


@dataclass
class Course:
    """What is known on the way through the steps: names in reach, names of the open decision."""

    near_by: Surroundings
    named: set[str] = field(default_factory=set)
    depth: int = 0
    follows: bool = False  # whether anything stands after this list
    acts: int = 0


def steps(reader: Reader, node: Node, near_by: Surroundings) -> tuple[Item, ...]:
    """The steps of a rule, nested as they are written."""
    before = len(reader.errors)
    course = Course(near_by)
    made = _steps(reader, node, course)
    if len(reader.errors) == before and not course.acts:
        reader.error(node, f"do has no action: one of {', '.join(ACTIONS)}")
    return made


def _steps(reader: Reader, node: Node, course: Course) -> tuple[Item, ...]:
    if not isinstance(node, Items) or len(node.items) > STEPS_MAX:
        reader.error(node, f"do is a list of at most {STEPS_MAX} steps, each after `- `")
        return ()
    if course.depth > DEPTH_MAX:
        reader.error(node, f"steps are nested at most {DEPTH_MAX} deep")
        return ()
    found: list[Item] = []
    follows = course.follows
    made: Item | None = None
    for number, item in enumerate(node.items, start=1):
        last = found[-1] if found else None
        if isinstance(last, Stop) and last.condition is None:
            reader.error(item, "nothing after `stop: true` is ever reached")
        course.follows = follows or number < len(node.items)
        made = _step(reader, item, course)
        if made is not None:
            found.append(made)
    if found and made is not None and isinstance(found[-1], Wait) and not follows:
        reader.error(node.items[-1], "the last step is a wait: nothing follows it")
    return tuple(found)


def _step(reader: Reader, item: Node, course: Course) -> Item | None:
    """A step: a wait, a stop, a branching, or an action with what stands beside it."""
    if not isinstance(item, Fields):
        reader.error(item, f"a step is a mapping, such as `- wait: 30m`; verbs are {_verbs()}")
        return None
    before = len(reader.errors)
    found = reader.fields(item, STEP)
    verbs = [name for name in VERBS if name in found]
    if not verbs:
        if len(reader.errors) == before:
            reader.error(item, f"a step needs one of {_verbs()}")
        return None
    if len(verbs) > 1:
        reader.error(item, f"a step does one thing: {' and '.join(verbs)} are steps of their own")
    verb = verbs[0]
    condition = None
    if "if" in found and not (
        verb == "wait" and reader.refused(found["if"], "guard.wait", "a wait with `if`")
    ):
        scope = course.near_by.scope.with_event(event=False)
        condition = reader.condition(item, found["if"], scope)
    name = action_name(reader, found["as"]) if "as" in found else ""
    optional = reader.flag(found["optional"]) if "optional" in found else False
    if verb in ACTIONS:
        return _action(reader, item, found[verb], verb, Beside(name, condition, optional), course)
    if "optional" in found:
        reader.error(found["optional"], f"`optional` stands beside an action, not beside `{verb}`")
    if verb == "stop":
        if not reader.flag(found["stop"]):
            reader.error(found["stop"], "stop is true, or left out")
        return Stop(condition)
    made = (
        _wait(reader, item, found["wait"], course)
        if verb == "wait"
        else _branching(reader, found[verb], verb, name, course)
    )
    return Guarded(condition, made) if condition is not None else made


def _action(
    reader: Reader, item: Node, node: Node, verb: str, beside: Beside, course: Course
) -> Action:
    action = ACTIONS[verb].read(reader, node, course.near_by, beside)
    if action.name in course.named:
        reader.error(item, f"two actions of one decision are named `{action.name}`: give one `as`")
    course.named.add(action.name)
    course.acts += 1
    return action


def _wait(reader: Reader, item: Node, node: Node, course: Course) -> Wait:
    course.named.clear()
    scope = course.near_by.scope
    looked = Looked(reader, scope, "wait")
    if not isinstance(node, Fields) or is_looked(node):
        for_ms = looked.take(
            {"wait": node}, "wait", _for, WAIT_MIN_MS, name="for_ms", kind="duration"
        )
        return Wait(for_ms, looked=looked.values)
    found = reader.fields(node, WAIT)
    given = {key.value for key, _ in node.pairs}
    if "until" in found:
        for other in found:
            if other != "until":
                reader.error(found[other], f"`{other}` does not go with `until`")
        return Wait(0, until=date_or_moment(reader, found["until"], scope))
    if "for" not in found:
        if not given & {"until", "for"}:
            reader.error(item, "wait needs `for`, such as {for: 30m}: nothing waits for ever")
        return Wait(WAIT_MIN_MS)
    if "event" in found and "since_last" in found:
        reader.error(node, "wait has `event` or `since_last`, not both")
    if "if" in found and "event" not in found:
        reader.error(found["if"], "`if` in a wait goes with `event`")
    event = event_name(reader, found["event"]) if "event" in found else ""
    if event:
        course.near_by = course.near_by.awaited()
    for_ms = looked.take(found, "for", _for, WAIT_MIN_MS, name="for_ms", kind="duration")
    return Wait(
        for_ms=for_ms,
        since_last=event_names(reader, found["since_last"])
        if "since_last" in found
        else frozenset(),
        event=event,
        events=both_names((event,)) if event else frozenset(),
        condition=reader.condition(node, found["if"], scope.with_event())
        if "if" in found
        else None,
        looked=looked.values,
    )


def _branching(reader: Reader, node: Node, verb: str, name: str, course: Course) -> Branching:
    form = CHOOSE if verb == "choose" else SPLIT
    items = node.items if isinstance(node, Items) else []
    if not 1 <= len(items) <= BRANCHES_MAX:
        reader.error(node, f"{verb} is a list of 1 to {BRANCHES_MAX} branches, each with `do`")
    branches: list[tuple[Expr | None, str, float, tuple[Item, ...]]] = []
    outside = Course(course.near_by, set(course.named), course.depth, course.follows)
    for number, item in enumerate(items, start=1):
        found = reader.fields(item, form)
        if verb == "choose" and "if" not in found and number < len(items):
            reader.error(item, "a branch without `if` is always taken: nothing after it is reached")
        condition = None
        if "if" in found:
            scope = outside.near_by.scope.with_event(event=False)
            condition = reader.condition(item, found["if"], scope)
        inside = Course(outside.near_by, set(outside.named), outside.depth + 1, outside.follows)
        made = _steps(reader, found["do"], inside) if "do" in found else ()
        course.named |= inside.named
        course.acts += inside.acts
        if _awaits(made):
            course.near_by = course.near_by.awaited()
        arm = action_name(reader, found["name"]) if "name" in found else ""
        share = reader.parse(found["share"], percent, 0.0) / 100 if "share" in found else 0.0
        branches.append((condition, arm, share, made))
    if verb == "split":
        _check_split(reader, node, branches)
    return Branching(tuple(branches), verb == "split", name)


def _awaits(items: Sequence[Item]) -> bool:
    return any(isinstance(item, Wait) and item.event for item in items)


def _check_split(
    reader: Reader, node: Node, branches: Sequence[tuple[Expr | None, str, float, object]]
) -> None:
    names = [name for _, name, _, _ in branches]
    if len(set(names)) < len(names):
        reader.error(node, "two branches of one split have the same name")
    total = sum(share for _, _, share, _ in branches)
    if branches and abs(total - 1) > 1e-6:
        reader.error(node, f"the shares of a split add up to 100%, not to {total * 100:g}%")


def _for(text: str) -> int:
    return duration(text, WAIT_MIN_MS)


def _verbs() -> str:
    return ", ".join(VERBS)
