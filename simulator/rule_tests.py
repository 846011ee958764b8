"""A rule's `examples:` run as tests: one made-up customer, the real decide, a clock by hand.

Law: what acts must be exactly what the example expects: times, kinds, names, and every field it
gives. A hold that is expected must be there; holds that are not mentioned do not matter.
Must not live here: reading rule files, printing.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from zoneinfo import ZoneInfo

from engine.decide import decide, next_alarm, receive, wake_up
from engine.dues import redate
from engine.effects import Effects, Moment, Settings
from engine.ids import birth_id
from engine.items import come
from engine.journal import REGISTRY, memory
from engine.ledger import Purse
from engine.requests import ASKED, ask
from engine.schedules import fire, firings
from engine.turn import Turn
from features.customer import Customer
from features.events import Event, key, parse
from features.values import BadEvent
from rules.actions import ACTIONS
from rules.book import Book
from rules.model import DueTrigger, Example, Expectation, Rule
from simulator.rule_fields import fits, offset, written
from simulator.rule_traces import Trace, Watch

SETTINGS: Final = Settings(shard=0, shards=1, secret=b"rule examples", record_clock=True)
TIMERS_MAX: Final = 1_000
BEYOND_MS: Final = 400 * 86_400_000  # how far an example without `until` is followed
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One example's result; `why` is empty when it passed, `timeline` tells what happened."""

    rule: str
    example: str
    file: str
    line: int
    why: tuple[str, ...]
    timeline: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all came as expected."""
        return not self.why

    def __str__(self) -> str:
        """One line when it passed, else why not and the timeline."""
        head = f"{self.rule}: {self.example}"
        if self.passed:
            return f"ok   {head}"
        reasons = "".join(f"\n       {reason}" for reason in self.why)
        lines = "".join(f"\n         {line}" for line in self.timeline)
        return f"FAIL {head} ({self.file}:{self.line}){reasons}\n       what happened:{lines}"


def run_examples(book: Book, names: Iterable[str] = ()) -> list[Outcome]:
    """All examples of the named rules, or of every rule."""
    wanted = list(names) or list(book.rules)
    return [
        run_example(book, book.rules[name], example)
        for name in wanted
        for example in book.rules[name].examples
    ]


def run_example(book: Book, rule: Rule, example: Example) -> Outcome:
    """One example, with no other rule beside it; a draft or paused rule is tried as if live."""
    alone = book.only(rule.name)
    try:
        rows = _rows(alone, example)
    except BadEvent as bad:
        rows, why = [], [f"an event of the example would be quarantined: {bad}"]
    else:
        why = compare(rows, example)
    return Outcome(
        rule.name,
        example.name,
        rule.file,
        example.line,
        tuple(why),
        tuple(_timeline(rows, example, book.shop.zone, _notes(alone, rule, example)))
        if why
        else (),
    )


def _rows(book: Book, example: Example, watch: Watch | None = None) -> list[Row]:
    """The decisions, up to `until`, or until nothing more is due; `watch` is told all the way."""
    watch = watch or _nobody
    customer = Customer.decode("u:example", None, REGISTRY)
    effects = Effects()
    until, given = _given(book, example)
    offset = 0
    purse = Purse(home={})  # this customer has the budgets to himself

    def moment(at: int) -> Moment:
        return Moment(
            SETTINGS, book, at, offset, presets=example.customer, arm=example.arm,
            draws=example.draws, purse=purse,
        )  # fmt: skip

    def wait_for(time: int) -> None:
        """Let every timer due by `time` fire at its own due time."""
        for _ in range(TIMERS_MAX):
            due = next_alarm(customer, moment(time))
            if not due or due > time:
                return
            wake_up(customer, moment(due), effects)
            watch(Turn(customer, moment(due), effects), None)
            take_letters(due)

    def take_letters(time: int) -> None:
        """What the customer's own rules emit comes back to him."""
        while effects.letters:
            letter = effects.letters.pop(0)
            if letter.kind == "event" and letter.cid == customer.cid:
                receive(customer, letter.kind, letter.body, moment(time), effects)

    _dated(Turn(customer, moment(example.start), effects), example)
    for at, number, what in sorted(given, key=lambda one: one[:2]):
        if at > until:
            break
        offset += 1
        wait_for(at)
        turn = Turn(customer, moment(at), effects)
        watch(turn, _happen(turn, what, number, at))
        wait_for(at)
        take_letters(at)
    wait_for(until)
    return effects.decisions


def _nobody(_turn: Turn, _event: Event | None) -> None:
    """Nobody watches an example that holds."""


def _notes(book: Book, rule: Rule, example: Example) -> list[tuple[int, str]]:
    """What went on inside, from running it once more."""
    trace = Trace(book.rules[rule.name])
    try:
        _rows(book, example, trace.watch)
    except BadEvent:  # the outcome says so itself
        return []
    return trace.notes


def _given(
    book: Book, example: Example
) -> tuple[int, list[tuple[int, int, Mapping[str, Any] | Rule]]]:
    """How far it is followed, and what happens when: its events, and the firings of schedules.

    Without `until`, a schedule fires as far as the example tells of anything.
    """
    start, last = example.start, max((at for at, _ in example.given), default=0)
    until = start + (example.until if example.until is not None else last + BEYOND_MS)
    told = start + max((last, *(expected.at_ms for expected in example.expect)))
    given: list[tuple[int, int, Mapping[str, Any] | Rule]] = [
        (start + at, number, event) for number, (at, event) in enumerate(example.given)
    ]
    for rule in book.rules.values():
        end = told if example.until is None else until
        given += [(at, -1, rule) for at in firings(rule, start, end, book.shop.zone)]
    return until, given


def _happen(turn: Turn, given: Mapping[str, Any] | Rule, number: int, at: int) -> Event | None:
    """An event; or a page asks, shows what it is told, and the customer takes the offer."""
    if isinstance(given, Rule):
        _known(turn)
        fire(turn, given, at)
        return None
    event = _event(given, number, at)
    if key(event).startswith(b"i:"):
        _known(turn)
        for by_holding in (True, False):
            come(turn, event, by_holding=by_holding)
    elif "request" not in given:
        decide(turn.customer, event, turn.moment, turn.effects)
    else:
        for rule in turn.book.requests.get(given["request"], ()):
            ask(turn, rule, event)
    return event


def _dated(turn: Turn, example: Example) -> None:
    """Rules that are due at a date learn the one that the example lays over the customer."""
    for rule in turn.book.of_kind(DueTrigger) if example.customer else ():
        _known(turn)
        redate(turn, rule, example.start)


def _known(turn: Turn) -> None:
    """What reaches many reaches those whom the engine knows."""
    identity = memory(turn.customer).identity
    identity.birth = identity.birth or birth_id(turn.customer.cid)


def _event(given: Mapping[str, Any], number: int, at: int) -> Event:
    properties = {name: value for name, value in given.items() if name not in {"event", "request"}}
    item = {
        "type": "track",
        "event": given.get("event", ASKED),
        "userId": "example",
        "messageId": f"example-{number}",
        "originalTimestamp": at,
        "properties": properties,
    }
    return parse(item, source="example", received_at=at)


def compare(rows: Sequence[Row], example: Example) -> list[str]:
    """What differs, one sentence each."""
    acts = [row for row in rows if row["result"] == "act" and row["actions"]]  # not a lot's nothing
    holds = [row for row in rows if row["result"] == "hold"]
    why: list[str] = []
    for expected in example.expect:
        fits = (_held,) if expected.held else (_acts_so, _acts)
        among = holds if expected.held else acts
        then = [row for row in among if row["at"] == example.start + expected.at_ms]
        found = next((row for fit in fits for row in then if fit(row, expected)), None)
        if found is None:
            why.append(f"expected at {offset(expected.at_ms)}: {_wanted(expected)}")
            continue
        among.remove(found)
        why += _fields(found, expected)
    why += [f"not expected at {offset(row['at'] - example.start)}: {_done(row)}" for row in acts]
    return why


def _held(row: Row, expected: Expectation) -> bool:
    held: str = row["held"]
    return expected.held in {held, held.partition(":")[0]}


def _acts_so(row: Row, expected: Expectation) -> bool:
    """What is expected, and no more: the decision meant where another of the moment has it too."""
    return len(row["actions"]) == len(expected.actions) and _acts(row, expected)


def _acts(row: Row, expected: Expectation) -> bool:
    """Each action as it is expected, by its name or another that people call it by.

    An example may leave some of a decision's actions out.
    """
    left = [(kind, {name, *_called(one)}) for (kind, name), one in _named(row)]
    for kind, name in expected.actions:
        found = next((one for one in left if one[0] == kind and name in one[1]), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _named(row: Row) -> list[tuple[tuple[str, str], Row]]:
    return [
        ((kind := action.get("gift", action["kind"]), str(action[ACTIONS[kind].named])), action)
        for action in row["actions"]
    ]


def _names(row: Row) -> list[tuple[str, str]]:
    return [name for name, _ in _named(row)]


def _called(action: Row) -> list[str]:
    """Points are called by what they are for as well, tasks by their title."""
    return [str(action[key]) for key in ("reason", "multiply", "title") if action.get(key)]


def _fields(row: Row, expected: Expectation) -> list[str]:
    """The fields an example asks for, each of which some action must have."""
    why = []
    for name, wanted in expected.fields.items():
        if not any(fits(action, name, wanted, row["at"]) for action in row["actions"]):
            given = [has for action in row["actions"] if (has := written(action, name, row["at"]))]
            has = ", ".join(given) or "nothing"
            why.append(f"at {offset(expected.at_ms)}: expected {name} {wanted}, got {has}")
    return why


def _wanted(expected: Expectation) -> str:
    if expected.held:
        return f"held: {expected.held}"
    return ", ".join(f"{kind} {name}" for kind, name in expected.actions)


def _done(row: Row) -> str:
    if row["result"] == "hold":
        return f"held: {row['held']}"
    return ", ".join(f"{kind} {name}" for kind, name in _names(row))


def _timeline(
    rows: Sequence[Row], example: Example, zone: ZoneInfo, notes: Sequence[tuple[int, str]]
) -> list[str]:
    """Events and decisions in order; under each what the rule made of it."""
    start = example.start
    lines = [(at, 0, _told(event)) for at, event in example.given]
    lines += [(row["at"] - start, 1, _row(row)) for row in rows]
    lines += [(at - start, 2, note) for at, note in notes]
    lines.sort(key=lambda line: line[:2])
    return [
        f"{'':6}  ↳ {told}" if kind == 2 else f"{offset(at):>6}  {_clock(start + at, zone)}  {told}"
        for at, kind, told in lines
    ]


def _told(event: Mapping[str, Any]) -> str:
    """An event of the example, with what it carries."""
    head = f"event {event['event']}" if "event" in event else f"request {event['request']}"
    given = [f"{name} {value}" for name, value in event.items() if name not in {"event", "request"}]
    return f"{head} ({', '.join(given)})" if given else head


def _row(row: Row) -> str:
    """A decision: what it does, or what holds it; with what the condition read."""
    read = ", ".join(f"{name} {value}" for name, value in row["values"].items())
    return f"{_done(row)}{f' ({read})' if read else ''}"


def _clock(at: int, zone: ZoneInfo) -> str:
    return dt.datetime.fromtimestamp(at / 1_000, zone).strftime("%Y-%m-%d %H:%M")
