"""How much one commit holds: so many records and customers, and what must stand alone.

Must live here: the cut. Must not: deciding, IO.
"""

from typing import Final

from engine.records import LETTER, TICK, VERSIONS, Record, is_event
from engine.run import customer_of

CUSTOMERS_MAX = 900  # blob, timer and places in the index of each, within the store's values
RECORDS_MAX: Final = (
    8_000  # the more, the fewer blobs are encoded, and customers are still in the CPU's cache
)


def first_run(records: list[Record]) -> tuple[list[Record], list[str]]:
    """The records that one commit holds, and the customers they need ("" for none).

    That is a version's record alone, or what stands before the next one, up to and with the first
    tick, as far as a commit may go.
    """
    cids: list[str] = []
    distinct: set[str] = set()
    for record in records[:RECORDS_MAX]:
        key = record.key
        is_control = not is_event(key)
        if is_control and key in VERSIONS:
            return (records[: len(cids)], cids) if cids else (records[:1], [""])
        cid = customer_of(record) if is_control else key.decode()
        distinct.add(cid)
        if len(distinct) > CUSTOMERS_MAX:
            break
        cids.append(cid)
        # a letter to nobody begins a round for the next tick
        if is_control and (key == TICK or (key == LETTER and not cid)):
            break
    return records[: len(cids)], cids
