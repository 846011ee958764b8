"""Throwing the kill switch: what is wanted killed, in Redis, with an entry in the audit log.

Must live here: that change. Must not: what it means (switches.py), who may do it (api/).
"""

from collections.abc import Iterable
from typing import Any

import redis

from engine import audit
from engine.switches import WANTED, read, text_of


def throw(
    store: redis.Redis, secret: bytes, who: str, names: Iterable[str], *, on: bool
) -> tuple[str, ...]:
    """Kill these, or let them live again; what is killed then. Two at a time both count."""
    names = sorted(set(names))
    audit.record(store, secret, who, "rules killed" if on else "rules let live", names=names)

    killed = ""

    def change(pipe: Any) -> None:
        nonlocal killed
        now = set(read(pipe.get(WANTED)))
        killed = text_of(now | set(names) if on else now - set(names))
        pipe.multi()
        pipe.set(WANTED, killed)

    store.transaction(change, WANTED)
    return read(killed)
