"""A model that has begun to err more says so in the log, where a rule can hear it.

Must live here: the event of an alarm. Must not: finding one (features/models/drift.py), when it is
told (learner.py, once the manifest that holds it is durable). Its id follows from the alarm: told
twice it is heard once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.records import Append
from engine.redeeming import OURS
from engine.shards import partition
from features.events import encode, key, parse

DRIFTED: Final = "Model Drifted"
Alarm = Mapping[str, Any]  # {"model", "metric", "before", "after", "examples", "at": ms}


def records_of(alarms: Sequence[Alarm], shards: int) -> list[Append]:
    """The events of alarms, each under its model's key."""
    records = []
    for alarm in alarms:
        told = {name: value for name, value in alarm.items() if name != "at"}
        call = {
            "type": "track", "event": DRIFTED, "timestamp": alarm["at"], "properties": told,
            "messageId": f"drift:{alarm['model']}:{alarm['examples']}",
        }  # fmt: skip
        event = parse(call, source=OURS, received_at=alarm["at"])
        where = key(event)
        records.append(Append(partition(where, shards), where, encode(event), alarm["at"]))
    return records
