"""`do`: the steps of a rule. The actions between two waits are one decision.

Must live here: waits, stops, branchings, and what may follow what. Must not: what an action
holds, how they are laid flat (program.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rules.actions import ACTIONS
from rules.actions_parts import Beside, action_name
from rules.bandits import ARM, ARMS_MAX, ARMS_MIN, BANDIT, terms
from rules.document import Fields, Items, Node
from rules.events import both_names, event_name, event_names
from rules.expressions import Expr
from rules.looking import Looked, date_or_moment, is_looked
from rules.model import Action, Stop, Wait
from rules.program import Branching, Guarded, Item
from rules.reading import Reader
from rules.step_forms import CHOOSE, SPLIT, STEP, VERBS, WAIT
from rules.surroundings import Surroundings
from rules.values import duration, percent

STEPS_MAX: Final = 50
BRANCHES_MAX: Final = 20
DEPTH_MAX: Final = 5
BRANCHES: Final = {
    "choose": (CHOOSE, 1, BRANCHES_MAX),
    "split": (SPLIT, 1, BRANCHES_MAX),
    "bandit": (ARM, ARMS_MIN, ARMS_MAX),
}
DRAWN: Final = "a bandit"  # no action is named so
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
    made = _lasting(reader, item, found[verb], verb, name, course)
    return Guarded(condition, made) if condition is not None else made


def _lasting(reader: Reader, item: Node, node: Node, verb: str, name: str, course: Course) -> Item:
    """A wait or a branching: what more than one decision may come of."""
    if verb == "wait":
        return _wait(reader, item, node, course)
    if verb == "bandit":
        return _bandit(reader, node, name, course)
    return _branching(reader, node, verb, name, course)


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


def _bandit(reader: Reader, node: Node, name: str, course: Course) -> Branching:
    if DRAWN in course.named:
        reader.error(node, "a decision has one bandit: put a wait between the two")
    course.named.add(DRAWN)
    found = reader.fields(node, BANDIT)
    made = Branching((), split=False, name=name, terms=terms(reader, found))
    if "arms" in found:
        branches = _branching(reader, found["arms"], "bandit", name, course).branches
        share = 1 / max(1, len(branches))
        even = tuple((asked, arm, share, items) for asked, arm, _, items in branches)
        made = replace(made, branches=even)
    return made


def _branching(reader: Reader, node: Node, verb: str, name: str, course: Course) -> Branching:
    form, least, most = BRANCHES[verb]
    items = node.items if isinstance(node, Items) else []
    if not least <= len(items) <= most:
        what = "branches" if form is not ARM else "arms"
        reader.error(node, f"{verb} is a list of {least} to {most} {what}, each with `do`")
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
    if verb != "choose":
        _check_lots(reader, node, verb, branches)
    return Branching(tuple(branches), verb == "split", name)


def _awaits(items: Sequence[Item]) -> bool:
    return any(isinstance(item, Wait) and item.event for item in items)


def _check_lots(
    reader: Reader,
    node: Node,
    verb: str,
    branches: Sequence[tuple[Expr | None, str, float, object]],
) -> None:
    names = [name for _, name, _, _ in branches]
    if len(set(names)) < len(names):
        reader.error(node, f"two branches of one {verb} have the same name")
    total = sum(share for _, _, share, _ in branches)
    if verb == "split" and branches and abs(total - 1) > 1e-6:
        reader.error(node, f"the shares of a split add up to 100%, not to {total * 100:g}%")


def _for(text: str) -> int:
    return duration(text, WAIT_MIN_MS)


def _verbs() -> str:
    return ", ".join(VERBS)
