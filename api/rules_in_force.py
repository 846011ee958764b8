"""The book that workers are asked to decide by: what it is, how it is put there, who may.

Must live here: the keys of the published rules. Must not: files (up_rules), proposals.

    laike:rules:<hash>      a book's sources, {path: text}; never changed
    laike:rules:wanted      the hash of the book in force
    laike:access:approval   `two-people`: only what another than its author approved is published,
                            as with `approval: second` in shop.yaml of the rules in force
"""

import json
from typing import Any, Final

import redis
from clickhouse_connect.driver.client import Client

from engine.audit import record
from rules.book import Book
from rules.errors import RuleErrors
from rules.load import book_from_sources
from sinks.relay_tables import publish_rules

WANTED: Final = "laike:rules:wanted"
BODY: Final = "laike:rules:"
HASH_LENGTH: Final = 64
APPROVAL: Final = "laike:access:approval"
TWO_PEOPLE: Final = "two-people"
SHOP: Final = "shop.yaml"


def publish(
    book: Book, store: redis.Redis, clickhouse: Client, by: str, at: int, secret: bytes
) -> None:
    """Make `book` the version that workers are asked to decide by; `by` as the audit log names him.

    The body goes first, so that no worker ever finds the wanted hash without it.
    """
    if wanted(store) != book.hash:
        record(store, secret, by, "rules published", version=book.hash, rules=len(book.rules))
    keep(book, store)
    publish_rules(clickhouse, book, at, by)
    store.set(WANTED, book.hash)


def keep(book: Book, store: redis.Redis) -> None:
    """Have the book's body where its hash finds it."""
    store.set(BODY + book.hash, json.dumps(dict(book.sources), ensure_ascii=False))


def kept(store: redis.Redis, version: str) -> Book | None:
    """The book of this hash; None if it never was here."""
    text: Any = store.get(BODY + version) if version else None
    return book_from_sources(json.loads(text)) if text else None


def wanted(store: redis.Redis) -> str:
    """The hash of the book in force, "" before the first."""
    found: Any = store.get(WANTED)
    return found.decode() if found else ""


def two_people(store: redis.Redis) -> bool:
    """Whether author and approver must differ: it was turned on, or the rules in force ask it."""
    found: Any = store.get(APPROVAL)
    return bool(found == TWO_PEOPLE.encode()) or asks_for_a_second(store)


def asks_for_a_second(store: redis.Redis) -> bool:
    """Whether shop.yaml of the rules in force says `approval: second`."""
    text: Any = store.get(BODY + wanted(store))
    shop = json.loads(text).get(SHOP) if text else None
    if shop is None:
        return False
    try:
        return book_from_sources({SHOP: shop}).shop.approval == "second"
    except RuleErrors:  # of another release: whoever cannot read it takes it for a yes
        return True


def ask_two_people(store: redis.Redis, secret: bytes, who: str, on: bool) -> None:
    """Turn that on or off."""
    record(store, secret, who, "approval changed", two_people=on)
    if on:
        store.set(APPROVAL, TWO_PEOPLE)
    else:
        store.delete(APPROVAL)
