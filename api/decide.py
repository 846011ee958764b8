"""What a page is to show: the same pure decision, computed now, written when it was shown.

Must live here: the calls of pages, and their tokens' contents. Must not: what is decided
(engine.requests), the way of a record and its answer (asking). A proposal spends nothing: what a
page was told can be more than what a claim gets, and caps on what is shown can be passed by
requests that are in flight together; coupons and budgets never.
"""

import asyncio
import functools
import json
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Header
from pydantic import BeforeValidator, Field
from redis.exceptions import RedisError

from api.answering import PENDING, pending
from api.asking import Asking, Looked, cid_of
from api.callers import CALLER_ERRORS, page_or_server
from api.errors import EVERYWHERE, told
from api.page_forms import (
    Accepted,
    Claim,
    Claimed,
    Decided,
    Exposure,
    Proposals,
    Question,
    Shown,
)
from api.refusals import Refused
from api.sources import Sources
from api.tokens import Tokens
from engine.answers import noted
from engine.effects import Moment, Row
from engine.effects import Settings as ShardSettings
from engine.redeeming import OURS
from engine.requests import ASKED, CLAIMED, SHOWN, propose
from engine.switches import read as read_killed
from engine.versions import Models
from features.events import Event
from rules.book import Book
from rules.load import book_from_sources

TTL_SECONDS: Final = 60
OFFER_MS: Final = 3_600_000
SHOWN_LATE_MS: Final = 86_400_000  # how long after it was proposed it may be told that it was shown
ITEMS_BYTES_MAX: Final = 700  # as JSON; a token has 2,000 characters in all
BOOKS_MAX: Final = 4


class Pages:
    """Deciding for pages: the books in force, and the tokens."""

    def __init__(self, asking: Asking, tokens: Tokens) -> None:
        self.asking = asking
        self.tokens = tokens
        self._books: dict[str, asyncio.Task[Book]] = {}

    async def decide(self, asked: Question) -> Proposals:
        """What is to be shown; always an answer, within the deadline."""
        try:
            async with asyncio.timeout(asked.deadline_ms / 1000):
                decisions, reason = await self._decide(asked)
        except TimeoutError:
            decisions, reason = [], "deadline"
        except RedisError:
            decisions, reason = [], "store_away"
        return Proposals(
            request_id=asked.request_id, decisions=decisions, ttl_s=TTL_SECONDS,
            degraded=bool(reason), reason=reason,
        )  # fmt: skip

    async def _decide(self, asked: Question) -> tuple[list[Decided], str]:
        who = asked.customer_id or (f"a:{asked.anonymous_id}" if asked.anonymous_id else "")
        if not who:
            return [], "no_customer"
        looked = await self.asking.look(cid_of(who))
        book = await self.book(looked.state.rules)
        if book is None:
            return [], "no_rules"
        models = await self.asking.models(looked.state.model)
        found = []
        for place in dict.fromkeys(asked.placements):
            if place in book.requests:
                found += self._proposals(place, asked, looked, book, models)
        return found, "" if looked.blob else "no_state"

    def _proposals(
        self, placement: str, asked: Question, looked: Looked, book: Book, models: Models
    ) -> list[Decided]:
        settings, state, customer = self.asking.settings, looked.state, looked.again()
        shard = ShardSettings(
            looked.shard, settings.shards, settings.secret, settings.clock == "record"
        )
        killed = read_killed(state.killed)
        moment = Moment(
            shard, book, state.log_time, looked.next_offset, models, state.model, killed=killed
        )
        rows = propose(customer, placement, _event(asked, customer.cid, state.log_time), moment)
        if not looked.blob:  # generic only: nobody's first visit earns a coupon by being unknown
            rows = [row for row in rows if not _coupons(row)]
        return [self._told(placement, customer.cid, row) for row in rows]

    def _told(self, placement: str, cid: str, row: Row) -> Decided:
        until = row["at"] + OFFER_MS
        content = {
            "x": row["at"], "c": cid, "d": row["decision_id"], "r": row["rule"], "n": row["run"],
            "s": row["instance"], "t": row["step"], "p": row["split"], "a": row["arm"],
        }  # fmt: skip
        actions: dict[str, Row] = {}
        for action in row["actions"]:
            actions.setdefault(action["kind"], action)
        show, chosen = actions.get("show"), actions.get("recommend")
        if chosen and (items := _carried(chosen["items"])):
            content["i"] = items
        offers = "coupon" in actions
        return Decided(
            placement=placement,
            decision_id=f"{row['decision_id']}.{self.tokens.sign('decision', content)}",
            rule=row["rule"],
            version=row["version"],
            arm=row["arm"],
            show=Shown(template=show["template"], values=show["with"]) if show else None,
            items=chosen["items"] if chosen else None,
            offer_token=self.tokens.sign("offer", content) if offers else None,
            offer_expires_at=until if offers else None,
        )

    async def book(self, digest: str) -> Book | None:
        """The rules of a version; read once, in a thread, whoever gives up waiting for them."""
        if not digest:
            return None
        task = self._books.get(digest)
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            while len(self._books) >= BOOKS_MAX:
                del self._books[next(iter(self._books))]
            task = self._books[digest] = asyncio.create_task(self._read(digest))
        return await asyncio.shield(task)

    async def _read(self, digest: str) -> Book:
        body = await self.asking.body("rules", digest)
        sources = orjson.loads(body) if body else {}
        return await asyncio.to_thread(functools.partial(book_from_sources, sources))

    async def expose(self, exposures: list[Exposure]) -> Accepted:
        """Take note of what pages showed; returns once the log has it."""
        now, records = await self.asking.now(), []
        for one in exposures:
            try:
                given = self.tokens.read("decision", one.decision_id.partition(".")[2])
            except Refused:
                continue
            at = min(one.shown_at or now, now)
            if not given["x"] - OFFER_MS <= at <= given["x"] + SHOWN_LATE_MS:
                continue
            name = f"{given['d']}:shown"
            records.append(self.asking.record(given["c"], SHOWN, _properties(given), name, at))
        if records:
            await self.asking.append(records)
        return Accepted(accepted=len(records), rejected=len(exposures) - len(records))

    async def claim(self, asked: Claim) -> tuple[str, str, Any]:
        """Ask for the coupon of a proposal: whose, the call's name, the answer or None."""
        given = self.tokens.read("offer", asked.offer_token)
        now = await self.asking.now()
        cid, name = given["c"], f"{given['d']}:claim"
        looked = await self.asking.look(cid)
        if asked.customer_id and cid_of(asked.customer_id) not in {looked.customer.cid, cid}:
            raise Refused(403, "another_customer", "this offer was made to another customer")
        known = noted(looked.customer, name)
        if known is not None and "ok" in known:
            return cid, name, known
        if now > given["x"] + OFFER_MS:
            raise Refused(410, "offer_expired", "this offer was good for an hour")
        told_ = {**_properties(given), "claim": name}
        call = self.asking.name("claim", "", "")
        await self.asking.append([self.asking.record(cid, CLAIMED, told_, call, now)])
        return cid, name, await self.asking.answer(cid, name)


def _event(asked: Question, cid: str, at: int) -> Event:
    """What the page's question is to rules: an event that is never in the log."""
    kind, _, own = cid.partition(":")
    properties = {name: value for name, value in asked.context.model_dump().items() if value}
    return Event(
        type="track", name=ASKED, message_id=asked.request_id or str(at), at=at, received_at=at,
        source=OURS, user_id=own if kind == "u" else "", anonymous_id="" if kind == "u" else own,
        session_id=asked.session_id, properties=properties,
    )  # fmt: skip


def _properties(given: dict[str, Any]) -> dict[str, Any]:
    """A token's content as the properties of a record."""
    names = {"d": "decision_id", "r": "rule", "n": "run", "s": "subject", "t": "step"}
    names |= {"p": "split", "a": "arm"}
    names |= {"i": "items"} if "i" in given else {}
    return {name: given[short] for short, name in names.items()}


def _carried(items: list[Row]) -> list[str]:
    """The products of a list that a token has room for, so that what was shown is what is kept."""
    found, left = list[str](), ITEMS_BYTES_MAX
    for item in items:
        name = item.get("product_id", "")
        left -= len(json.dumps(name)) + 1
        if not name or left < 0:
            break
        found.append(name)
    return found


def _coupons(row: Row) -> bool:
    return any(action["kind"] == "coupon" for action in row["actions"])


def claim_reply(answer: dict[str, Any]) -> Claimed:
    """A claim's answer as it is told."""
    if not answer["ok"]:
        return Claimed(held=answer["reason"])
    return Claimed(code=answer["code"], expires_at=answer["expires_at"])


def _beacon(given: Any) -> Any:
    """A beacon's body is text/plain, which comes here unread; orjson's errors are ValueErrors."""
    return orjson.loads(given) if isinstance(given, bytes) else given


def router(pages: Pages, sources: Sources) -> APIRouter:
    """The calls."""
    routes = APIRouter(prefix="/v1", tags=["pages"], responses=EVERYWHERE | CALLER_ERRORS)
    who = page_or_server(sources)

    @routes.post("/decide")
    async def decide(asked: Question, _: Annotated[str, who]) -> Proposals:
        """What to show; the rules with `when: {request: PLACEMENT}` decide. Writes nothing."""
        return await pages.decide(asked)

    @routes.post("/exposures")
    async def expose(
        exposures: Annotated[list[Exposure], BeforeValidator(_beacon), Field(max_length=50)],
        _: Annotated[str, who],
    ) -> Accepted:
        """What was shown, or (arm `holdout`) would have been: this makes a proposal a decision."""
        return await pages.expose(exposures)

    @routes.post(
        "/offers/claim",
        responses=PENDING | told({410: "The offer has expired."}),
        response_model=Claimed,
    )
    async def claim(
        asked: Claim,
        _: Annotated[str, who],
        __: Annotated[str, Header(alias="Idempotency-Key", max_length=200)] = "",
    ) -> Any:
        """Issue the coupon of a proposal: all gates and the budget are asked in this commit."""
        cid, name, found = await pages.claim(asked)
        if found is None:
            return pending(pages.tokens, "claim", cid, name, {})
        return claim_reply(found)

    return routes
