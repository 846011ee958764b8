"""`laike audit`: the log for people, and whether it is whole.

Must live here: printing. Must not: the chain (engine.audit).
"""

import json
import sys
from typing import Any

import orjson
import redis
import typer

from api.cli_store import say, shown_time
from engine import audit
from engine.settings import Settings


def entries(store: redis.Redis, limit: int) -> list[dict[str, Any]]:
    """The newest, the oldest of them first."""
    page: Any = store.xrevrange(audit.STREAM, count=limit)
    found = [orjson.loads(fields[b"e"]) for _, fields in reversed(page)]
    return [
        {
            "seq": one["seq"],
            "at": shown_time(one["at"]),
            "who": one["who"],
            "what": one["what"],
            "details": " ".join(f"{name}={value}" for name, value in one["details"].items()),
        }
        for one in found
    ]


def verify(store: redis.Redis, settings: Settings, seen: str | None, as_json: bool) -> int:
    """Say what is wrong with the log; the exit code."""
    noted = _noted(seen) if seen else None
    found = audit.verify(*audit.read(store), settings.secret, noted)
    if as_json:
        say(json.dumps(found._asdict()))
    elif found.faults:
        sys.stderr.write("".join(f"{fault}\n" for fault in found.faults))
    else:
        say(f"{found.entries} entries, whole; the last is {found.entries}:{found.seal}")
    return int(bool(found.faults))


def _noted(seen: str) -> tuple[int, str]:
    number, _, seal = seen.partition(":")
    if not number.isdigit() or not seal:
        raise typer.BadParameter(f"{seen!r}: as `laike audit verify` prints it, N:SEAL")
    return int(number), seal
