"""One worker doing everything against a plain Faust agent that only decodes JSON, on the Redis log.

Must live here: the pairing. The same events, in turn, each from a fresh Redis.
"""

import asyncio
from typing import Any

from rich.console import Console

from simulator.benches.parts import fill, last_line, made_up, median, place, program

EVENTS = 240_000
CUSTOMERS = 8_000
ROUNDS = 3


def measure(console: Console) -> dict[str, Any]:
    """Events a second of both, and the median of the pairs' ratios, on both event loops."""
    records = made_up(EVENTS, CUSTOMERS)
    rates: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        for kind in ("plain", "engine", "plain_uvloop", "engine_uvloop"):
            console.print(f"  round {number + 1} of {ROUNDS}: {kind}")
            rates.setdefault(kind, []).append(_run(kind, records))
    ratios = [a / b for a, b in zip(rates["engine"], rates["plain"], strict=True)]
    uvloop = [a / b for a, b in zip(rates["engine_uvloop"], rates["plain_uvloop"], strict=True)]
    return {
        "ratio_to_plain_faust": median(ratios),
        "ratio_to_plain_faust_uvloop": median(uvloop),
        **{f"{kind}_events_per_second": round(median(found)) for kind, found in rates.items()},
        "events_per_second": round(median(rates["engine"])),
        "events": EVENTS,
        "rounds": ROUNDS,
    }


def _run(kind: str, records: list[Any]) -> float:
    contestant, _, loop = kind.partition("_")
    with place() as here:
        asyncio.run(fill(here, records))
        environment = here.settings().environment() | {"LAIKE_UVLOOP": "1" if loop else "0"}
        process = program(
            "simulator.benches.measured", contestant, here.url, str(EVENTS), environment=environment
        )
        return last_line(process, 300)["rate"]
