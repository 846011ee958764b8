"""What went on in a rule's example that failed: begun or not, held by what, and the value it read.

Must live here: notes for people, made while the example runs once more. Must not: judging it
(rule_tests.py), asking conditions and gates (engine/explain.py and why.py).
"""

from collections.abc import Callable

from engine.effects import Row
from engine.explain import clauses, scope_of
from engine.ids import instance_key
from engine.journal import REGISTRY, memory
from engine.subjects import ONE_THREAD, subject_of
from engine.turn import Turn
from engine.why import reason_in_words, why
from features.customer import Customer
from features.events import Event
from rules.model import EventTrigger, Rule
from rules.values import Context

Watch = Callable[[Turn, Event | None], None]


class Trace:
    """Notes of one example of one rule: (when in ms, what)."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.notes: list[tuple[int, str]] = []
        self._rows = 0
        self._begun: set[tuple[bytes, int]] = set()

    def watch(self, turn: Turn, event: Event | None) -> None:
        """An event was decided, or timers fired: what the rule made of it."""
        held, began, trigger = self._held(turn), self._began(turn), self.rule.trigger
        if event is None or began or held or not isinstance(trigger, EventTrigger):
            return
        if event.name in trigger.names and (told := self._not_begun(turn, trigger, event)):
            self.notes.append((event.at, f"the rule does not begin: {told}"))

    def _began(self, turn: Turn) -> bool:
        """Note instances that are new."""
        found = {
            (one.key, one.started): one
            for one in memory(turn.customer).journey.open
            if one.rule == self.rule.name
        }
        new = [one for key, one in found.items() if key not in self._begun]
        self._begun |= set(found)
        for one in new:
            about = "" if self.rule.once_per == "customer" else f" for {self.rule.once_per}"
            self.notes.append((one.started, f"the rule begins{about}, and waits"))
        return bool(new)

    def _held(self, turn: Turn) -> bool:
        """Note why each new row was held; whether there is any new row."""
        rows = turn.effects.decisions[self._rows :]
        self._rows += len(rows)
        for row in rows:
            if row["held"]:
                self.notes.append((row["at"], f"because {self._because(turn, row)}"))
        return bool(rows)

    def _because(self, turn: Turn, row: Row) -> str:
        """The clause or the gate, with what it read, as of then."""
        copy = Customer.decode(turn.customer.cid, turn.customer.encode(), REGISTRY)
        moment, then = turn.moment, Turn(copy, turn.moment, turn.effects.__class__())
        then.about(self.rule, str(row["instance"]))
        kind = row["held"].partition(":")[0]
        if kind in {"condition", "unknown"}:
            scope = scope_of(moment.book, self.rule, event=False)
            asked = clauses(self.rule.condition, then.context(row["at"]), scope)
            failed = [str(one) for one in asked if one.answer != "yes"]
            return "; ".join(failed) or "the `if` of every action says no"
        if row["held"] == "error":
            return str(row["values"].get("error", reason_in_words("error")))
        gates = why(then, self.rule, row["at"]).gates
        words = next((gate.words for gate in gates if gate.reason == row["held"]), "")
        return words or reason_in_words(row["held"])

    def _not_begun(self, turn: Turn, trigger: EventTrigger, event: Event) -> str:
        """What its own event lacked, in the order in which that is asked."""
        rule, book = self.rule, turn.book
        context = Context(turn.customer, event, event.at, turn.extra)
        for expr in (trigger.condition, rule.condition):
            scope = scope_of(book, rule, event=expr is trigger.condition)
            failed = [str(one) for one in clauses(expr, context, scope) if one.answer != "yes"]
            if failed:
                return "; ".join(failed)
            if expr is trigger.condition:
                subject = subject_of(rule, turn.customer, event, turn.zone)
                if subject is None:
                    return f"the event names no {rule.once_per}"
                key = instance_key(rule.name, rule.run, subject)
                if key in turn.journey.fired or key in turn.journey.ever:
                    return f"once per {rule.once_per}, and it began for this one already"
                if trigger.count > 1 and (times := turn.journey.counts.get(rule.name)):
                    heard = len(times.get("" if rule.once_per in ONE_THREAD else subject, ()))
                    return f"heard {heard} times of {trigger.count}"
        return ""
