"""A message's text, made at the send: in the customer's language, for its channel, once for each.

Must live here: which version of the rules a message is of, what its template is given, quiet hours.
Must not: how a text is made (rules/templates.py), sending.

A template is given what the rule wrote under `with`, what the decision's other actions made
(`coupon`, `points`, `items`, and each by its `as`), the features it reads, as they were when it was
decided, and `shop.name`. Rules without any template leave the words to the receiver.
"""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from html import unescape
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from engine.quiet import release
from rules.book import Book
from rules.errors import RuleErrors
from rules.load import book_from_sources
from rules.shape_shop import Quiet
from rules.templates import CannotRender
from sinks.channels import NOTIFY, Message

BOOKS_MAX: Final = 8
NEEDED: Final = ("shop.yaml", "templates/", "offers/")  # rules themselves are not read again
FOR_OWN_PEOPLE: Final = "email"  # whose template an alert has
SUBJECT: Final = "Subject:"  # an e-mail's first line may begin so


class Rendering:
    """The texts of all channels, under whichever version their decisions were made."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # its stubs say bytes or str; ours decodes nothing
        self._books: OrderedDict[str, Book | CannotRender] = OrderedDict()
        self._reading = asyncio.Lock()

    async def made(self, message: Message, language: str) -> Message:
        """The message with its text; raises CannotRender, and what Redis raises."""
        book = await self._book(message.book)
        return rendered(message, book, language)

    async def quiet_until(self, message: Message, now: int) -> int:
        """When the quiet ends that `now` lies in (ms); `now` itself outside of any."""
        marketing = message.purpose == "marketing" and message.kind == NOTIFY
        if message.quiet is None and not marketing:
            return now
        shop = (await self._book(message.book)).shop
        hours = Quiet(*message.quiet) if message.quiet else None
        return release(hours, shop.closing_days if marketing else frozenset(), now, shop)

    async def _book(self, version: str) -> Book:
        """The texts, offers and shop of this version; empty where Redis does not have it."""
        async with self._reading:
            if version not in self._books:
                body = await self._redis.get(f"laike:rules:{version}")
                self._books[version] = await asyncio.to_thread(_read, body)
                while len(self._books) > BOOKS_MAX:
                    self._books.popitem(last=False)
            self._books.move_to_end(version)
            found = self._books[version]
        if isinstance(found, CannotRender):
            raise found
        return found


def _read(body: bytes | None) -> Book | CannotRender:
    sources = orjson.loads(body) if body else {}
    try:
        return book_from_sources({n: t for n, t in sources.items() if n.startswith(NEEDED)})
    except RuleErrors as wrong:
        return CannotRender("unreadable_rules", str(wrong.errors[0]))


def rendered(message: Message, book: Book, language: str) -> Message:
    """The message with its language, subject and text; raises CannotRender."""
    templates = book.templates
    if not (templates.texts and message.template):
        return message
    names, language = context(message, book), language or book.shop.languages[0]
    channel = message.via if message.kind == NOTIFY else FOR_OWN_PEOPLE
    spoken = templates.place(message.template, channel, language)[2]
    text = templates.render(message.template, channel, language, names)
    subject = ""
    if text.startswith(SUBJECT):
        first, _, text = text.partition("\n")
        subject, text = unescape(first.removeprefix(SUBJECT).strip()), text.strip()
    return replace(message, language=spoken, subject=subject, text=text)


def context(message: Message, book: Book) -> dict[str, Any]:
    """What the template of this message may read."""
    made = {name: _titled(thing, book) for name, thing in message.made.items()}
    shop = {"shop.name": book.shop.name} if book.shop.name else {}
    return {**message.reads, **shop, **message.values, **made}


def _titled(thing: Any, book: Book) -> Any:
    """A coupon with its offer's title."""
    offer = book.offers.get(thing.get("offer", "")) if isinstance(thing, dict) else None
    return {"title": offer.title or offer.name, **thing} if offer else thing
