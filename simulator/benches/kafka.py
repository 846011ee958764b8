"""The same pair as throughput.py, on a real Kafka broker, where Java and Maven are.

Must live here: the pairing. Both read the same topic, one after the other; each of the worker's
runs has a fresh Redis.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.logs import broker
from simulator.benches.parts import Place, fill, last_line, made_up, median, place, program

EVENTS = 240_000
ROUNDS = 3


def measure(console: Console) -> dict[str, Any]:
    """Events a second of both, and the median of the pairs' ratios."""
    if why := broker.missing():
        return {"skipped": why}
    records = made_up(EVENTS)
    folder = Path(tempfile.mkdtemp(prefix="laike-bench-kafka-"))
    node = broker.Broker(folder)
    rates: dict[str, list[float]] = {"plain": [], "engine": []}
    try:
        node.wait_ready()
        for number in range(ROUNDS):
            url = f"kafka://{node.bootstrap}/bench-{number}"
            for kind in ("plain", "engine"):
                console.print(f"  round {number + 1} of {ROUNDS}: {kind}")
                with place() as here:
                    rates[kind].append(_run(kind, here, url, records))
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)
    ratios = [a / b for a, b in zip(rates["engine"], rates["plain"], strict=True)]
    return {
        "ratio_to_plain_faust": median(ratios),
        "plain_events_per_second": round(median(rates["plain"])),
        "engine_events_per_second": round(median(rates["engine"])),
        "events": EVENTS,
        "rounds": ROUNDS,
    }


def _run(kind: str, here: Place, url: str, records: list[Any]) -> float:
    asyncio.run(fill(here, records if kind == "plain" else [], url))
    environment = here.settings(url).environment()
    process = program("simulator.benches.measured", kind, url, str(EVENTS), environment=environment)
    return last_line(process, 300)["rate"]
