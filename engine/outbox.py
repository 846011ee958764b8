"""The outbox entry: all that a commit tells the world, as JSON in one stream entry.

Must live here: its shape. Must not: reading it (sinks/ does).
"""

from typing import Any

import orjson

from engine.effects import Effects
from engine.shards import partition
from engine.store import ShardState


def letters(
    effects: Effects, shard: int, shards: int, state: ShardState, *, tick: bool
) -> list[dict[str, Any]]:
    """Give the letters their ids: `<record offset>-<n>`, each naming its predecessor to a target.

    `tick`: the record has further commits, so the numbering goes on in the next one.
    """
    sent = []
    offset, number = -1, state.tick_letters  # a commit of the tick may send none
    for letter in effects.letters:
        if letter.offset != offset:
            offset, number = letter.offset, state.tick_letters
        target = letter.shard if letter.shard >= 0 else partition(letter.cid.encode(), shards)
        name = f"{offset}-{number}"
        number += 1
        sent.append({
            "to": target, "id": name, "from": shard, "prev": state.letters_out.get(target, ""),
            "kind": letter.kind, "cid": letter.cid, "body": letter.body,
        })  # fmt: skip
        state.letters_out[target] = name
    state.tick_letters = number if tick else 0
    return sent


def entry(
    effects: Effects,
    sent: list[dict[str, Any]],
    start: int,
    end: int,
    log_time: int,
    committed_at: int,
) -> bytes:
    """The entry for records `start` to `end` (exclusive); times in ms."""
    body: dict[str, Any] = {
        "from": start, "to": end, "log_time": log_time, "committed_at": committed_at,
        "skipped": effects.skipped, "decisions": effects.decisions, "letters": sent,
        "quarantine": effects.quarantine, "facts": effects.facts, "examples": effects.examples,
        "counts": effects.counts, "erasures": effects.erasures,
    }  # fmt: skip
    return orjson.dumps({name: value for name, value in body.items() if value or name in _ALWAYS})


_ALWAYS = frozenset({"from", "to", "log_time", "committed_at"})
