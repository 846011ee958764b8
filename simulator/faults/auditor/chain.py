"""The outboxes as they are at the end: the commits that stand, in order, shard by shard.

Must live here: taking away what a lost second undid. Must not: judging.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from simulator.faults.history import Committed, History, Position, Rewound

Entry = dict[str, Any]


@dataclass
class Chains:
    """`entries` stand at the end; `ever` were committed at some time, undone ones included."""

    commits: list[list[Committed]]
    entries: list[list[Entry]]
    ever: list[Entry]

    @classmethod
    def of(cls, history: History) -> Self:
        """Read a history's commits."""
        shards = len(history.logs)
        commits: list[list[Committed]] = [[] for _ in range(shards)]
        read: dict[int, Entry] = {}
        for fact in history.facts:
            if isinstance(fact, Committed):
                commits[fact.shard].append(fact)
                read[id(fact)] = json.loads(fact.body)
            elif isinstance(fact, Rewound):
                standing = commits[fact.shard]
                while standing and standing[-1].after > fact.position:
                    standing.pop()
        entries = [[read[id(fact)] for fact in standing] for standing in commits]
        return cls(commits, entries, list(read.values()))

    def rows(self, what: str) -> list[dict[str, Any]]:
        """All rows of a kind ("decisions", "quarantine", ...) that stand."""
        return [row for shard in self.entries for entry in shard for row in entry.get(what, ())]

    def acting(self) -> list[dict[str, Any]]:
        """The decisions that act."""
        return [row for row in self.rows("decisions") if row["result"] == "act"]


START: Position = (0, 0)
