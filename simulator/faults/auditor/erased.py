"""Who was erased, as a person would say it: from then on what he did before is dropped for ever.

Must live here: what of the logs must be dropped as erased. Must not: the engine's tombstones. Of
plain people it is known to the record; of those who merge, an erasure reaches their other ids by
letters, so that it is only known which of their records may be dropped.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.faults.auditor.chain import Chains
from simulator.faults.history import History, Logged

ASKED = "Erasure Requested"


class Erasure(NamedTuple):
    """A plain customer's, when it came into force: what is stamped up to `at` is gone."""

    cid: str
    number: int
    at: int


@dataclass
class Erased:
    """`must` are (shard, offset) of plain people's records that are dropped; all others stay."""

    done: list[Erasure] = field(default_factory=list)
    must: set[tuple[int, int]] = field(default_factory=set)
    gone: frozenset[str] = frozenset()  # plain people of whom nothing is known at the end
    others: bool = False  # whether anybody who merges was erased
    since: int = 0  # when the first of those who merge was, 0 for never (ms)
    times: dict[str, int] = field(default_factory=dict)  # how often a plain one was

    @classmethod
    def of(cls, history: History) -> "Erased":
        """Read the logs."""
        found, known = cls(), set()
        for shard, log in enumerate(history.logs):
            at: dict[str, int] = {}
            now = 0
            for record in log:
                now = max(now, record.log_time)
                cid = record.key.decode()
                if record.key.startswith(b"!") or record.value in history.bad:
                    continue
                event = json.loads(record.value)
                if cid not in history.plain:
                    if event["event"] == ASKED:
                        found.others = True
                        found.since = min(found.since or now, now)
                elif event["timestamp"] <= at.get(cid, 0) or event["event"] == ASKED:
                    found.must.add((shard, record.offset))
                    if event["timestamp"] > at.get(cid, 0):
                        known.discard(cid)
                        at[cid] = max(event["timestamp"], now)
                        found.times[cid] = found.times.get(cid, 0) + 1
                        found.done.append(Erasure(cid, found.times[cid], at[cid]))
                else:
                    known.add(cid)
        found.gone = frozenset(found.times.keys() - known)
        return found

    def must_go(self, history: History, shard: int, record: Logged) -> bool | None:
        """Whether a record of an event is dropped; None where nobody can say."""
        if record.key.decode() in history.plain:
            return (shard, record.offset) in self.must
        return None if self.others else False


def erasures(history: History, chains: Chains) -> Iterator[str]:
    """Each is told to those who erase elsewhere, and nothing is left of who was erased."""
    erased = Erased.of(history)
    rows = [row for row in chains.rows("erasures") if row["cid"] in history.plain]
    told = {Erasure(row["cid"], row["number"], row["at"]) for row in rows}
    for one in sorted({*erased.done} ^ told):
        yield f"{one} was {'told, and nobody asked for it' if one in told else 'not told'}"
    for cid in sorted(erased.gone & history.held):
        yield f"{cid} was erased, and something of him is left"


def erasures_of(chains: Chains) -> dict[str, int]:
    """How often each customer was erased, by what was told."""
    found: dict[str, int] = {}
    rows: list[dict[str, Any]] = chains.rows("erasures")
    for row in rows:
        found[row["cid"]] = max(found.get(row["cid"], 0), row["number"])
    return found
