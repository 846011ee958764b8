"""The life of a rule's instance: opened by a trigger, heeding events, woken by timers, closed.

Must live here: triggers, waits, stops, the order of firing. Must not: what an act decides
(acting.py), IO. Times are ms; what is due fires as of its due time.
"""

from collections.abc import Iterable

from engine.acting import act, hold, hold_once, subject_of
from engine.effects import LATE_EVENT_MS, Effects, Moment
from engine.ids import instance_key
from engine.journal import (
    COUNTED_SUBJECTS_MAX,
    FIRED_MAX,
    OPEN_MAX,
    SEPARATOR,
    Instance,
    memory,
    note,
    write,
)
from features.customer import Customer
from features.events import Event
from rules.model import Act, EventTrigger, InactiveTrigger, Rule, Stop, StopOn, Wait
from rules.values import Context

FIRINGS_MAX = 500
SUBJECTS = {"product_id": "product", "cart_id": "cart", "order_id": "order"}


def listen(customer: Customer, event: Event, moment: Moment, effects: Effects) -> None:
    """Let the customer's open instances and the rules hear an event that has been folded."""
    ears = moment.book.ears(event.name)
    if ears is None:
        return
    journey = write(customer).journey
    if ears.watchers:
        subjects = subjects_in(event, ears.kinds)
        note(journey, event.name, subjects, event.at)
        for instance in list(journey.open):
            if instance.rule in ears.watchers:
                _heed(customer, instance, event, subjects, ears.names, moment, effects)
    for rule in ears.silenced:
        if event.at > abs(journey.silent.get(rule.name, 0)):
            journey.silent[rule.name] = event.at
            if due := _silent_until(rule, customer, event.at, moment):
                journey.arm(due)
    for rule in ears.triggered:
        _trigger(customer, rule, event, moment, effects)


def subjects_in(event: Event, kinds: frozenset[str]) -> list[str]:
    """The ids of carts, orders and products (if among `kinds`) of an event, as `kind:id`."""
    properties, found = event.properties, []
    for name, kind in SUBJECTS.items():
        if kind in kinds and name in properties:
            found.append(f"{kind}:{properties[name]}")
    products = properties.get("products") if "product" in kinds else None
    if not products:
        return found
    found += [
        f"product:{line['product_id']}"
        for line in products
        if isinstance(line, dict) and line.get("product_id")
    ]
    return found[:50]


def concerns(rule: Rule, subject: str, subjects: Iterable[str]) -> bool:
    """Whether an event that carries these subjects is about an instance's subject.

    An event that carries ids of the subject's kind concerns only those; one without, all. A
    subject the engine named itself (a cart without an id, marked ~) is not known to any event.
    """
    prefix = f"{rule.once_per}:"
    named = [found for found in subjects if found.startswith(prefix)]
    return not named or prefix + subject in named or subject.startswith("~")


def _heed(
    customer: Customer,
    instance: Instance,
    event: Event,
    subjects: list[str],
    heard: frozenset[str],
    moment: Moment,
    effects: Effects,
) -> None:
    """One open instance hears one event: it may end, wait longer, or go on."""
    rule = moment.book.rules.get(instance.rule)
    if rule is None or event.at < instance.started:
        return
    if not concerns(rule, instance.subject, subjects):
        return
    if any(_stops(stop, customer, event, heard, moment) for stop in rule.stop_on):
        hold(customer, rule, instance, "stopped", event.at, moment, effects)
        _close(customer, instance)
        return
    wait = rule.steps[instance.step] if instance.step < len(rule.steps) else None
    if not isinstance(wait, Wait):
        return
    if not wait.since_last.isdisjoint(heard) and event.at > instance.anchor:
        instance.anchor = event.at
        instance.due = event.at + wait.for_ms
    awaited = not wait.events.isdisjoint(heard) and instance.anchor <= event.at <= instance.due
    if awaited and (
        wait.condition is None or wait.condition.test(customer, event, event.at, moment.presets)
    ):
        instance.arrived = event.at
        _advance(customer, rule, instance, event.at, moment, effects)


def _stops(
    stop: StopOn, customer: Customer, event: Event, heard: frozenset[str], moment: Moment
) -> bool:
    return stop.event in heard and (
        stop.condition is None or stop.condition.test(customer, event, event.at, moment.presets)
    )


def _trigger(
    customer: Customer, rule: Rule, event: Event, moment: Moment, effects: Effects
) -> None:
    """An event that a rule listens to: count it, ask its conditions, open an instance."""
    trigger = rule.trigger
    if not isinstance(trigger, EventTrigger):
        return
    try:
        if trigger.condition is not None and not trigger.condition.test(
            customer, event, event.at, moment.presets
        ):
            return
        subject = subject_of(rule, customer, event, moment.book.shop.timezone)
        if subject is None or not _counted(customer, rule, trigger, subject, event.at):
            return
        _enter(customer, rule, subject, event.at, moment, effects, event)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        _fail(customer, rule, "", event.at, error, moment, effects)


def _counted(customer: Customer, rule: Rule, trigger: EventTrigger, subject: str, at: int) -> bool:
    """Whether this is the `count`-th within the window for the subject (then it starts anew)."""
    if trigger.count <= 1:
        return True
    counts = memory(customer).journey.counts.setdefault(rule.name, {})
    times = [t for t in counts.pop(subject, ()) if t > at - trigger.within_ms]
    times.append(at)
    if len(times) >= trigger.count:
        return True
    counts[subject] = times[-trigger.count :]
    if len(counts) > COUNTED_SUBJECTS_MAX:
        counts.pop(next(iter(counts)))
    return False


def _enter(
    customer: Customer,
    rule: Rule,
    subject: str,
    at: int,
    moment: Moment,
    effects: Effects,
    event: Event | None = None,
) -> None:
    """The gates of the trigger itself (active, if, once_per), then the instance's first steps."""
    if not _active(rule, at):
        return
    if rule.condition is not None and not rule.condition.test(customer, event, at, moment.presets):
        return
    journey = memory(customer).journey
    identity = memory(customer).identity
    key = instance_key(rule.name, rule.run, subject)
    instance = Instance(
        rule=rule.name, run=rule.run, subject=subject, birth=identity.birth, key=key,
        started=at, step=-1, due=at, anchor=at,
    )  # fmt: skip
    if key in journey.fired or key in journey.ever:
        hold_once(customer, rule, instance, "once_per", at, moment, effects)
        return
    if rule.once_per == "customer":
        journey.ever[key] = 0
    else:
        journey.fired[key] = 0
        if len(journey.fired) > FIRED_MAX:
            journey.fired.pop(next(iter(journey.fired)))
    if len(journey.open) >= OPEN_MAX:
        hold(customer, rule, instance, "too_many_open", at, moment, effects)
        return
    past = event is not None and moment.log_time - at > LATE_EVENT_MS
    if past and isinstance(rule.steps[0], Act):
        hold(customer, rule, instance, "late", at, moment, effects)
        return
    journey.open.append(instance)
    _advance(customer, rule, instance, at, moment, effects)
    if past and instance.due <= moment.log_time and instance in journey.open:
        hold(customer, rule, instance, "late", instance.due, moment, effects)
        _close(customer, instance)


def _active(rule: Rule, at: int) -> bool:
    if rule.status not in {"live", "shadow"}:
        return False
    return (rule.active_from or 0) <= at and (rule.active_until is None or at < rule.active_until)


def _advance(
    customer: Customer, rule: Rule, instance: Instance, at: int, moment: Moment, effects: Effects
) -> None:
    """Go through the steps, as of `at`, until one waits or none is left."""
    while True:
        instance.step += 1
        if instance.step >= len(rule.steps):
            _close(customer, instance)
            return
        step = rule.steps[instance.step]
        if isinstance(step, Wait):
            instance.anchor = max(at, _last(customer, rule, instance, step, at))
            instance.due = instance.anchor + step.for_ms
            memory(customer).journey.arm(instance.due)
            return
        if isinstance(step, Stop):
            goes_on = step.condition is not None and not step.condition.test(
                customer, None, at, moment.presets
            )
        elif isinstance(step, Act):
            instance.due = at
            goes_on = act(customer, rule, instance, step, moment, effects)
        if not goes_on:
            _close(customer, instance)
            return


def _last(customer: Customer, rule: Rule, instance: Instance, wait: Wait, at: int) -> int:
    """When the customer last did one of the wait's `since_last` events, up to `at`; else 0."""
    latest = 0
    if wait.since_last:
        for key, time in memory(customer).journey.recent.items():
            if latest < time <= at:
                name, *subjects = key.split(SEPARATOR)
                if name in wait.since_last and concerns(rule, instance.subject, subjects):
                    latest = time
    return latest


def _close(customer: Customer, instance: Instance) -> None:
    journey = memory(customer).journey
    journey.open = [other for other in journey.open if other is not instance]


def _fail(
    customer: Customer,
    rule: Rule,
    subject: str,
    at: int,
    error: Exception,
    moment: Moment,
    effects: Effects,
) -> None:
    """An exception inside one rule: `held: error` for it, and the event is applied all the same."""
    instance = Instance(
        rule=rule.name, run=rule.run, subject=subject or f"error:{moment.offset}",
        birth=memory(customer).identity.birth, key=b"", started=at, step=0, due=at, anchor=at,
    )  # fmt: skip
    hold(
        customer,
        rule,
        instance,
        "error",
        at,
        moment,
        effects,
        note=f"{type(error).__name__}: {error}",
    )


def wake(customer: Customer, until: int, moment: Moment, effects: Effects) -> None:
    """Fire the customer's timers due at or before `until`, in due order, as of their due time."""
    write(customer)
    for _ in range(FIRINGS_MAX):
        found = _ripest(customer, moment)
        if found is None or found[0] > until:
            return
        _fire(customer, found[0], found[4], moment, effects)


def _ripest(
    customer: Customer, moment: Moment
) -> tuple[int, int, str, str, Instance | Rule] | None:
    """The next of the customer's timers: (due, -priority, rule, subject, what)."""
    journey = memory(customer).journey
    best: tuple[int, int, str, str, Instance | Rule] | None = None
    rules = moment.book.rules
    for instance in journey.open:
        rule = rules.get(instance.rule)
        order = (instance.due, -rule.priority if rule else 0, instance.rule, instance.subject)
        if best is None or order < best[:4]:
            best = (*order, instance)
    for name, last in journey.silent.items():
        rule = rules.get(name)
        if last <= 0 or rule is None or not isinstance(rule.trigger, InactiveTrigger):
            continue
        due = _silent_until(rule, customer, last, moment)
        order = (due, -rule.priority, name, str(last))
        if due and (best is None or order < best[:4]):
            best = (*order, rule)
    return best


def _silent_until(rule: Rule, customer: Customer, last: int, moment: Moment) -> int:
    """When a silence since `last` (ms) is long enough for the rule; 0 when that is unknown."""
    if not isinstance(rule.trigger, InactiveTrigger):
        return 0
    silence = rule.trigger.for_ms.get(Context(customer, None, last, moment.presets))
    return last + int(silence) if isinstance(silence, int | float) else 0


def _fire(
    customer: Customer, due: int, what: Instance | Rule, moment: Moment, effects: Effects
) -> None:
    journey = memory(customer).journey
    if isinstance(what, Rule):
        last = journey.silent[what.name]
        journey.silent[what.name] = -last  # this silence has been answered
        try:
            _enter(customer, what, str(last), due, moment, effects)
        except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
            _fail(customer, what, str(last), due, error, moment, effects)
        return
    rule = moment.book.rules.get(what.rule)
    if rule is None:
        _close(customer, what)
        return
    try:
        _advance(customer, rule, what, due, moment, effects)
    except Exception as error:  # noqa: BLE001 - a rule's fault is that rule's alone
        _close(customer, what)
        _fail(customer, rule, what.subject, due, error, moment, effects)


def next_due(customer: Customer, moment: Moment) -> int:
    """When the customer's earliest timer is due (ms), 0 for none."""
    found = _ripest(customer, moment)
    return found[0] if found else 0
