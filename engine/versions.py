"""What a version's bytes are: a book of rules; a manifest of models and the scorers it names.

Must live here: reading them. Must not: where they are kept, when they come into force.

A manifest is {"scorers": {model: digest}, "learners": {model: digest}, "cursors": {shard: id},
"log_time": ms, "figures": {model: {...}}}; a scorer's part is {"model": name, "weights": {...}},
a learner's {"model": name, "state": {...}}. Each is signed and kept under the hash of its bytes.
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import orjson

from engine.editions import EDITIONS_MAX, parts
from engine.store import Stopped
from features.models.scorers import SCORERS
from features.models.snapshot import BadSnapshot, unpack
from rules.book import Book
from rules.errors import RuleErrors
from rules.load import book_from_sources
from rules.model import Rule

_AROUND: Final = ("shop.yaml", "segments/", "offers/")  # what any rule is read with
_TEMPLATES: Final = "templates/"
# What bytes can be instead of a model: not signed by us (a ValueError), or none of its shape.
NO_MODEL: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
SCORERS_MAX: Final = 64

Fetch = Callable[[str], Awaitable[bytes | None]]
Models = Mapping[str, Any]  # name -> scorer


@lru_cache(maxsize=4)
def book_of(body: bytes) -> Book:
    """The rules of a version; the shards of a process share them, they are frozen."""
    return book_from_sources(orjson.loads(body))


def wanted_book(body: bytes | None, shard: int, digest: str) -> Book:
    """The rules that the log asks for; without them a shard must not go on."""
    if body is None:
        raise Stopped(
            f"shard {shard}: the log asks for rules {digest[:12]}, which Redis does not "
            "hold. Publish them again: laike up does, from the rules folder."
        )
    return book_of(body)


def digest_of(body: bytes) -> str:
    """The name that bytes are kept under."""
    return hashlib.sha256(body).hexdigest()


def opened(body: bytes | None, secret: bytes, digest: str) -> dict[str, Any]:
    """The content kept under a digest, or one of NO_MODEL."""
    if body is None:
        raise LookupError(f"{digest[:12]} is not in Redis")
    found = unpack(body, secret)
    if digest_of(body) != digest:
        raise BadSnapshot(f"signed, but not what {digest[:12]} names")
    return found


class Scorers:
    """The scorers of a process, parsed once for all its shards; who was not asked for goes."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str, bytes], Any] = OrderedDict()

    async def of(self, digest: str, secret: bytes, fetch: Fetch) -> Models:
        """The scorers of a manifest, or one of NO_MODEL: all of them or none.

        A model that this program does not know, of a newer one's learner, is left out.
        """
        key = "", digest, secret
        if key not in self._made:
            manifest = opened(await fetch(digest), secret, digest)
            named: dict[str, str] = manifest["scorers"]
            models = {
                name: await self._one(name, part, secret, fetch)
                for name, part in sorted(named.items())
                if name in SCORERS
            }
            self._keep(key, models)
        self._made.move_to_end(key)
        found: Models = self._made[key]
        return found

    async def _one(self, name: str, digest: str, secret: bytes, fetch: Fetch) -> Any:
        key = name, digest, secret
        if key not in self._made:
            self._keep(key, scorer_of(name, digest, opened(await fetch(digest), secret, digest)))
        self._made.move_to_end(key)
        return self._made[key]

    def forget(self) -> None:
        """As in a process that has just begun: what is asked for is fetched again."""
        self._made.clear()

    def _keep(self, key: tuple[str, str, bytes], made: Any) -> None:
        self._made[key] = made
        while len(self._made) > SCORERS_MAX:
            self._made.popitem(last=False)


def scorer_of(name: str, digest: str, part: Mapping[str, Any]) -> Any:
    """The scorer of a model's part, or one of NO_MODEL."""
    if part.get("model") != name:
        raise BadSnapshot(f"{digest[:12]} is of {part.get('model')!r}, not of {name!r}")
    return SCORERS[name](part["weights"])


MADE: Final = Scorers()


async def with_past(book: Book, past: Mapping[str, str], fetch: Fetch) -> Book:
    """The book with old editions beside its rules, those whose books can be had."""
    bodies = {digest: await fetch(digest) for digest in dict.fromkeys(past.values())}
    found = {}
    for key, digest in past.items():
        name, version = parts(key)
        body = bodies[digest]
        old = _edition(body, name, version, digest) if body else None
        if old is not None and name in book.rules:
            found[name, version] = replace(old, status=book.rules[name].status)
    return book.beside(found) if found else book


@lru_cache(maxsize=EDITIONS_MAX)
def _edition(body: bytes, name: str, version: str, digest: str) -> Rule | None:
    """One rule of an old book, read with what it needs alone; None when it cannot be read now."""
    sources: dict[str, str] = orjson.loads(body)
    named = re.compile(rf"^rule:\s*[\"']?{re.escape(name)}[\"']?\s*(#.*)?$", re.MULTILINE)
    files = {file for file, text in sources.items() if named.search(text)}
    text = "\n".join(sources[file] for file in files)
    files |= {file for file in sources if file.startswith(_AROUND)}
    templates = (file for file in sources if file.startswith(_TEMPLATES))
    files |= {one for one in templates if one[len(_TEMPLATES) :].partition(".")[0] in text}
    try:
        book = book_from_sources({file: sources[file] for file in sorted(files)})
    except RuleErrors:
        return None
    rule = book.rules.get(name)
    return replace(rule, book=digest) if rule and rule.version == version else None
