"""`do`: the steps of a rule. The actions between two waits are one decision.

Must live here: waits, stops, and how actions form acts. Must not: what an action holds.
"""

import itertools
from typing import Final

from rules import actions
from rules.actions import Beside, Surroundings
from rules.document import Fields, Items, Node
from rules.events import both_names, event_name, event_names
from rules.model import Act, Action, Step, Stop, Wait
from rules.reading import Keys, Reader
from rules.scope import Scope
from rules.values import duration

BESIDE: Final = ("if", "as", "optional")
VERBS: Final = ("wait", *actions.READERS, "stop")
STEP: Final = Keys(
    "a step",
    (*VERBS, *BESIDE),
    unbuilt=("choose", "split", *actions.UNBUILT),
    meant={"delay": "wait", "sleep": "wait", "send": "notify", "message": "notify"},
)
WAIT: Final = Keys("wait", ("for", "since_last", "event", "if"), unbuilt=("until",))
STEPS_MAX: Final = 50
WAIT_MIN_MS: Final = 1_000


def steps(reader: Reader, node: Node, near_by: Surroundings) -> tuple[Step, ...]:
    """The steps, consecutive actions gathered into acts."""
    if not isinstance(node, Items) or len(node.items) > STEPS_MAX:
        reader.error(node, f"do is a list of at most {STEPS_MAX} steps, each after `- `")
        return ()
    before = len(reader.errors)
    made = [(item, _step(reader, item, near_by)) for item in node.items]
    for (_, step), (following, _) in itertools.pairwise(made):
        if isinstance(step, Stop) and step.condition is None:
            reader.error(following, "nothing after `stop: true` is ever reached")
    if made and isinstance(made[-1][1], Wait):
        reader.error(made[-1][0], "the last step is a wait: nothing follows it")
    gathered = _gathered(reader, made)
    if len(reader.errors) == before and not any(isinstance(step, Act) for step in gathered):
        reader.error(node, f"do has no action: one of {', '.join(actions.READERS)}")
    return gathered


def _gathered(
    reader: Reader, made: list[tuple[Node, Wait | Stop | Action | None]]
) -> tuple[Step, ...]:
    """Consecutive actions as one act; acts are counted from 1."""
    found: list[Step] = []
    for item, step in made:
        last = found[-1] if found else None
        if step is None:
            continue
        if isinstance(step, Wait | Stop):
            found.append(step)
        elif isinstance(last, Act):
            if step.name in {other.name for other in last.actions}:
                reader.error(
                    item, f"two actions of one decision are named `{step.name}`: give one `as`"
                )
            found[-1] = Act((*last.actions, step), last.step)
        else:
            number = sum(isinstance(other, Act) for other in found) + 1
            found.append(Act((step,), str(number)))
    return tuple(found)


def _step(reader: Reader, item: Node, near_by: Surroundings) -> Wait | Stop | Action | None:
    """A step: a wait, a stop, or an action with what stands beside it."""
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
    if verb == "wait":
        return _wait(reader, item, found, near_by.scope)
    condition = None
    if "if" in found:
        condition = reader.condition(item, found["if"], near_by.scope.with_event(event=False))
    if verb == "stop":
        _only(reader, found, ("stop", "if"))
        if not reader.flag(found["stop"]):
            reader.error(found["stop"], "stop is true, or left out")
        return Stop(condition)
    beside = Beside(
        actions.action_name(reader, found["as"]) if "as" in found else "",
        condition,
        reader.flag(found["optional"]) if "optional" in found else False,
    )
    return actions.READERS[verb](reader, found[verb], near_by, beside)


def _wait(reader: Reader, item: Node, step: dict[str, Node], scope: Scope) -> Wait:
    _only(reader, step, ("wait",))
    node = step["wait"]
    if not isinstance(node, Fields):
        return Wait(reader.parse(node, _for, WAIT_MIN_MS))
    found = reader.fields(node, WAIT)
    if "for" not in found:
        if "until" not in {key.value for key, _ in node.pairs}:
            reader.error(item, "wait needs `for`, such as {for: 30m}: nothing waits for ever")
        return Wait(WAIT_MIN_MS)
    if "event" in found and "since_last" in found:
        reader.error(node, "wait has `event` or `since_last`, not both")
    if "if" in found and "event" not in found:
        reader.error(found["if"], "`if` in a wait goes with `event`")
    event = event_name(reader, found["event"]) if "event" in found else ""
    return Wait(
        for_ms=reader.parse(found["for"], _for, WAIT_MIN_MS),
        since_last=event_names(reader, found["since_last"])
        if "since_last" in found
        else frozenset(),
        event=event,
        events=both_names((event,)) if event else frozenset(),
        condition=reader.condition(node, found["if"], scope.with_event())
        if "if" in found
        else None,
    )


def _for(text: str) -> int:
    return duration(text, WAIT_MIN_MS)


def _only(reader: Reader, found: dict[str, Node], allowed: tuple[str, ...]) -> None:
    for name, node in found.items():
        if name not in allowed and name in BESIDE:
            reader.error(node, f"`{name}` stands beside an action, not beside `{allowed[0]}`")


def _verbs() -> str:
    return ", ".join(VERBS)
