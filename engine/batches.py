"""How much one commit holds: so many records and customers, and what must stand alone.

Must live here: the cut. Must not: deciding, IO.
"""

from typing import Final

from engine.records import LETTER, TICK, VERSIONS, Record, is_event
from engine.run import customer_of

CUSTOMERS_MAX = 900  # blob, timer and places in the index of each, within the store's values
RECORDS_MAX: Final = (
    4_000  # the more, the fewer blobs are encoded a record: 12% less from 1,000 to 2,000
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
        if plain := is_event(key):
            cid = key.decode()
        elif key in VERSIONS:
            return (records[: len(cids)], cids) if cids else (records[:1], [""])
        else:
            cid = customer_of(record)
        distinct.add(cid)
        if len(distinct) > CUSTOMERS_MAX:
            break
        cids.append(cid)
        if plain:
            continue
        if key == TICK or (key == LETTER and not cid):  # which begins a round for the next tick
            break
    return records[: len(cids)], cids
