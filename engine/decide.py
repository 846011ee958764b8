"""The one pure function: a customer and a record in; the customer, decisions and letters out.

Must live here: the order in which a record is applied. Must not: IO, clocks, randomness. The
worker, the rule tests, the backtest and the fault simulator are its callers:

    customer = Customer.decode(cid, blob, REGISTRY)
    decide(customer, event, moment, effects)      an event of this customer
    wake_up(customer, moment, effects)            a tick: what is due by the log time fires
    receive(customer, letter, moment, effects)    a letter that has arrived
    next_alarm(customer, moment)                  when to wake it next (ms), 0 for never

`moment` holds log time, offset, rules and scores; `effects` collects decisions, letters, facts.
A customer's timers that are due by the log time fire before his record is applied.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from engine import baskets, complaints, entities, risking, said
from engine.effects import Effects, Letter, Moment, Row
from engine.erasure import ERASED, ERASURE, erase, receive_erasure
from engine.examples import expire, observe
from engine.gifts import GIFT, receive_gift
from engine.holdings import LAPSING, emitter, holdings_due, lapse, redeemed_by
from engine.identity import forwarded, link, receive_claim, receive_state
from engine.ids import birth_id, event_hash
from engine.journal import Memory, memory, remember, seen_before, write
from engine.journey import listen
from engine.membership import meet
from engine.profiles import TELLING, tell_profile
from engine.redeeming import OURS, answer
from engine.returns import look, next_look
from engine.rewards import expire as reward_none
from engine.rewards import heard, next_deadline
from engine.slices import LEDGERS, SLICE, receive_slice, settle
from engine.timers import next_due, wake
from engine.turn import Turn
from engine.voiding import VOIDING, voided
from features import catalog
from features.customer import Customer
from features.events import Event
from features.events import decode as decode_event
from features.events import encode as encode_event
from features.vocabulary import THINGS
from rules.model import PAID

DUPLICATE = "duplicate"
FORWARDED = "forwarded"
PROCESSED = "processed"
_NOTHING: Final[tuple[bool, Sequence[Row]]] = (False, ())
LETTERS: Final[dict[str, Callable[[Customer, dict[str, Any], Moment, Effects], None]]] = {
    "claim": receive_claim,
    "state": receive_state,
    GIFT: receive_gift,
    "erase": receive_erasure,
    complaints.COMPLAINT: complaints.receive_complaint,
    complaints.FORGET: complaints.receive_forget,
}


def decide(customer: Customer, event: Event, moment: Moment, effects: Effects) -> str:
    """Apply one event; says whether it was processed, a duplicate, forwarded, or erased."""
    mine = memory(customer)
    if 0 < mine.journey.alarm <= moment.log_time:
        wake_up(customer, moment, effects)
    elif 0 < mine.example.deadline <= moment.log_time:
        expire(customer, moment.log_time, effects)
    if moved_to := mine.identity.moved_to:
        if event.at <= mine.identity.erased_at and event.name != ERASURE:
            return ERASED
        body = {"value": encode_event(event).decode(), "path": [customer.cid]}
        effects.letters.append(Letter(moved_to, "event", body, moment.offset))
        return FORWARDED
    return _apply(customer, mine, event, moment, effects)


def _apply(customer: Customer, mine: Memory, event: Event, moment: Moment, effects: Effects) -> str:
    if event.name == ERASURE:
        return erase(customer, event, moment, effects)
    if event.at <= mine.identity.erased_at:
        return ERASED
    seen = mine.seen
    event_id = event_hash(event.source, event.message_id)
    if seen_before(seen, event_id):
        return DUPLICATE
    customer.dirty = True
    if not mine.identity.birth:
        mine.identity.birth = birth_id(customer.cid, mine.identity.erasures)
    remember(seen, event_id, moment.log_time)
    if customer.cid.startswith(THINGS):
        entities.apply(customer, event, moment, effects)
        return PROCESSED
    paid = _take(customer, event, moment, effects)
    if mine.journey.watches and (paid or event.name not in PAID):
        heard(customer, event, effects)
    if event.type in {"identify", "alias"}:
        link(customer, event, moment, effects)
    if paid or not mine.example.opened:
        observe(customer, event, moment, paid=paid)
    baskets.observe(customer, event, moment, effects, paid=paid)
    if event.name in TELLING:
        tell_profile(customer, moment, effects)
    return PROCESSED


def _take(customer: Customer, event: Event, moment: Moment, effects: Effects) -> bool:
    """Fold it, then the rules hear it; whether an order was paid by it."""
    says = event.name in said.SAYING
    if says:
        event = said.read(event, moment)
    standing = moment.book.standing
    if standing and memory(customer).journey.settled != standing:
        meet(Turn(customer, moment, effects), event.at)
    catalog.apply(customer, event, effects.tell)
    paid, held = _told(customer, moment, effects) if effects.told else _NOTHING
    if paid:
        risking.ordered(customer, event, effects)
    if says:
        said.teach(customer.cid, event, effects)
        complaints.tell_merchant(customer.cid, event, moment, effects)
    if event.source == OURS and not answer(customer, event, moment, effects):
        return paid
    if paid or event.name not in PAID:  # a second record of one payment is no event for a rule
        listen(customer, event, moment, effects)
    if held:
        _hold(customer, event, held, moment, effects)
    return paid


def _told(customer: Customer, moment: Moment, effects: Effects) -> tuple[bool, Sequence[Row]]:
    """What the folds emitted becomes facts; whether he paid, and the rows of what he holds."""
    told, effects.told = effects.told, []
    emit = emitter(customer, moment, effects)
    for table, row in told:
        emit(table, row)
    paid = any(row.get("fact") == "paid" for _, row in told)
    return paid, [row for table, row in told if table in LAPSING]


def _hold(
    customer: Customer,
    event: Event,
    rows: Sequence[Row],
    moment: Moment,
    effects: Effects,
) -> None:
    """His coupons or points changed: when the next lapse, and what rules hear of it."""
    if due := holdings_due(customer):
        write(customer).journey.arm(due)
    if event.name in VOIDING:
        voided(customer, event, rows, moment, effects)
    if event.name in PAID:
        for redeemed in redeemed_by(customer, event, rows):
            listen(customer, redeemed, moment, effects)


def wake_up(customer: Customer, moment: Moment, effects: Effects) -> None:
    """Fire all of the customer's timers that are due by the log time."""
    turn = Turn(customer, moment, effects)
    timers = wake(turn, moment.log_time)
    expire(customer, moment.log_time, effects)
    look(customer, moment.log_time, effects)
    reward_none(customer, moment.log_time, effects)
    holdings = lapse(customer, moment, effects)
    turn.journey.alarm = _earliest(customer, timers, holdings)


def receive(
    customer: Customer, kind: str, body: dict[str, Any], moment: Moment, effects: Effects
) -> str:
    """Apply a letter: a claim, a moved customer's state, or an event that was forwarded."""
    if customer.cid.startswith(LEDGERS):
        settle(customer, kind, body, moment, effects)
        return ""
    if kind == SLICE:  # of a budget, not of his own: nothing else of his comes due by it
        receive_slice(customer, body, moment, effects)
        return ""
    wake_up(customer, moment, effects)
    identity = memory(customer).identity
    if not identity.birth:
        write(customer).identity.birth = birth_id(customer.cid, identity.erasures)
    if kind in LETTERS:
        LETTERS[kind](customer, body, moment, effects)
    elif kind == risking.NEIGHBOURS:
        if forwarded(customer, kind, body, moment, effects):
            return FORWARDED
        risking.receive(customer, body)
    elif kind == "event":
        if forwarded(customer, kind, body, moment, effects):
            return FORWARDED
        event = decode_event(body["value"].encode())
        moment.depth = body.get("emitted", 0)
        try:
            return _apply(customer, memory(customer), event, moment, effects)
        finally:
            moment.depth = 0
    else:
        raise ValueError(f"letter of unknown kind {kind!r}: event, {', '.join(LETTERS)}")
    return ""


def next_alarm(customer: Customer, moment: Moment) -> int:
    """When the customer's earliest timer is due (ms), 0 for none."""
    timers = next_due(Turn(customer, moment, Effects()))
    return _earliest(customer, timers, holdings_due(customer), memory(customer).example.deadline)


def _earliest(customer: Customer, *known: int) -> int:
    """The first of these and of what is watched for the models (ms), where 0 is never."""
    times = (*known, next_look(memory(customer).returning), next_deadline(customer))
    return min([due for due in times if due], default=0)
