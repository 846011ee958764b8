"""The letters of budgets: a shard asks, the ledger grants or says no, the unspent goes back.

Must live here: what each of these letters does where it arrives. Must not: sums (ledger.py), which
decisions spend (budgets.py). The answer goes to the customer who waits, wherever he has moved: the
slice is his shard's then, and what he waits for is decided at once, as of its due time.
"""

from typing import Any

from engine import pools
from engine.budgets import ASK, LEDGERS, SLICE, UNSPENT, fill, key_of
from engine.effects import Effects, Letter, Moment
from engine.identity import forwarded
from engine.journal import memory
from engine.ledger import LEDGER, Bucket, Slice
from engine.timers import order_of, resume
from engine.turn import Turn
from features.customer import Customer

__all__ = ["LEDGERS", "SLICE", "receive_slice", "settle"]


def settle(
    ledger: Customer, kind: str, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """A letter to a ledger: a shard asks for a slice, or gives back what it did not spend."""
    if ledger.cid.startswith(pools.POOL):
        _of_codes(ledger, kind, body, moment, effects)
        return
    if kind == UNSPENT:
        ledger.touch(LEDGER).take_back(body["number"], body["left"])
        return
    if kind != ASK:
        raise ValueError(f"letter of kind {kind!r} to a ledger: {ASK} or {UNSPENT}")
    granted = ledger.touch(LEDGER).grant(
        Bucket(*body["bucket"]), body["limit"], body["need"], moment.settings.shards
    )
    answer = {**body, "granted": granted}
    effects.letters.append(Letter(body["cid"], SLICE, answer, moment.offset))


def _of_codes(
    ledger: Customer, kind: str, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """The same of a pool: what is granted and given back are codes."""
    pool: pools.Pool = ledger.touch(pools.STATE)
    if kind == UNSPENT:
        pool.stock = [*pool.stock, *body["codes"]]
        return
    codes = pool.grant(body["need"], moment.settings.shards)
    answer = {**body, "granted": len(codes), "codes": codes}
    effects.letters.append(Letter(body["cid"], SLICE, answer, moment.offset))


def receive_slice(
    customer: Customer, body: dict[str, Any], moment: Moment, effects: Effects
) -> None:
    """The ledger's answer: into the slice, then whoever waits for one tries again."""
    if moment.purse is None:
        raise ValueError("a slice came to a world without a purse")
    slices, key = moment.purse.slices, key_of(body)
    held = slices.get(key)
    if held and not body["need"] and (body["granted"] or memory(customer).identity.moved_to):
        held.asked = False  # a zero says that the rest is for those in need
    if forwarded(customer, SLICE, body, moment, effects):
        return
    if held is None:
        held = slices[key] = Slice(moment.log_time, limit=body["limit"])
    codes = body.get("codes", ())
    fill(held, body["granted"], body["need"], body["limit"], moment.log_time, codes)
    if any(one.waits_for_slice for one in memory(customer).journey.open):
        turn, before = Turn(customer, moment, effects), len(effects.letters)
        for one in sorted(turn.journey.open, key=lambda one: order_of(turn.book, one)):
            if one.waits_for_slice:
                resume(turn, one)
        effects.letters[before:] = _asking_once(effects.letters[before:])


def _asking_once(letters: list[Letter]) -> list[Letter]:
    """One ask of these a slice: its answer wakes all who wait here, and would be many times more.

    With each asking for himself every answer made as many asks as there are who wait.
    """
    asked: set[str] = set()
    kept = []
    for letter in letters:
        if letter.kind == ASK and letter.body["need"]:
            key = key_of(letter.body)
            if key in asked:
                continue
            asked.add(key)
        kept.append(letter)
    return kept
