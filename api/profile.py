"""What is known of a customer, for people of the shop; and his consent, as the shop tells it.

Must live here: these two calls. Must not: what a feature means. Contacts are shown as known or not,
never as they are: who may see them asks for the customer's export.
"""

import asyncio
import math
import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, Field

from api.access.accounts import Caller
from api.access.guard import DENIED, requires
from api.access.roles import Role
from api.asking import WAIT_SECONDS, Asking, cid_of
from api.callers import CALLER_ERRORS, server_only
from api.errors import EVERYWHERE, told
from api.form import Form
from api.refusals import Refused
from api.sources import Sources
from engine.effects import Moment
from engine.effects import Settings as ShardSettings
from engine.journal import memory
from engine.scores import scores_of
from features import catalog
from rules.book import Book
from rules.model import Shop

CHANNELS_MAX: Final = 8
LOOK_SECONDS: Final = 0.01
MASK: Final = "***"
_NO_RULES: Final = Book.of({}, Shop(), {}, {})


class Profile(BaseModel):
    """A customer as committed; `features` as of `at` (ms), their facets' last event then."""

    customer_id: str
    ids: list[str]
    at: int
    seen_at: int = Field(description="His last event (ms), 0 for none: how old this is.")
    traits: dict[str, str] = Field(description="What is known of how to reach him, masked.")
    features: dict[str, Any]
    scores: dict[str, float] = Field(description="What models say of him, as of `at`.")
    model_version: str = Field(description='The models these scores are of, "" for none.')
    segments: dict[str, str] = Field(description="Segment -> the tier he is in.")
    log_offset: int = Field(description="All of his shard's log below it is in this answer.")


class ConsentTold(Form):
    """What he agreed to, under which words."""

    customer_id: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Annotated[str, Field(min_length=1, max_length=64)] = "marketing"
    channels: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        max_length=CHANNELS_MAX
    )
    text_version: str = Field(default="", max_length=200)


class ConsentTaken(BaseModel):
    """It is in the log: `?min_offset=` of the profile shows it."""

    log_offset: int


def router(asking: Asking, sources: Sources) -> APIRouter:
    """The calls."""
    routes = APIRouter(prefix="/v1", tags=["customers"], responses=EVERYWHERE)

    @routes.get(
        "/customers/{name}/profile", responses=DENIED | told({409: "Not decided so far yet."})
    )
    async def profile(
        name: Annotated[str, Path(max_length=200)],
        _: Annotated[Caller, requires(Role.viewer)],
        min_offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    ) -> Profile:
        """A customer, with contacts masked; with `min_offset` not before that is decided."""
        cid, until = cid_of(name), time.monotonic() + WAIT_SECONDS
        looked = await asking.look(cid)
        while looked.next_offset < min_offset:
            if time.monotonic() > until:
                raise Refused(409, "behind", f"decided up to {looked.next_offset}", retry_after=1)
            await asyncio.sleep(LOOK_SECONDS)
            looked = await asking.look(cid)
        customer, now = looked.customer, looked.state.log_time
        mine = memory(customer)
        models = await asking.models(looked.state.model)
        own = ShardSettings(looked.shard, asking.settings.shards, b"")
        moment = Moment(own, _NO_RULES, now, looked.next_offset, models, looked.state.model)
        return Profile(
            customer_id=customer.cid,
            ids=list(dict.fromkeys([customer.cid, cid, *mine.identity.aliases])),
            at=now,
            seen_at=customer.state("seen").last,
            traits=dict.fromkeys(sorted(customer.state("contact").addresses), MASK),
            features={
                name: value
                for name in sorted(catalog.FEATURES)
                if not _missing(value := catalog.value(customer, name, now))
            },
            scores=scores_of(customer, moment, now),
            model_version=looked.state.model if moment.models else "",
            segments=mine.journey.inside,
            log_offset=looked.next_offset,
        )

    @routes.post("/consents", responses=CALLER_ERRORS)
    async def consent(
        word: ConsentTold,
        _: Annotated[str, server_only(sources)],
        key: Annotated[str, Header(alias="Idempotency-Key", max_length=200)] = "",
    ) -> ConsentTaken:
        """What a customer agreed to; answered once the log has it."""
        cid, at = cid_of(word.customer_id), await asking.now()
        given = word.model_dump(exclude={"customer_id"})
        name = asking.name("consent", key, f"{cid} {given}")
        record = asking.record(cid, "Consent Updated", given, name, at)
        await asking.append([record])
        return ConsentTaken(log_offset=(await asking.log.ends())[record.shard])

    return routes


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
