"""What pages ask with, and what they are told.

Must live here: the shapes. Must not: what they mean.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from api.form import Form
from api.tokens import TOKEN_MAX

_ID: Final = Field(default="", max_length=200)


class PageContext(Form):
    """What the page is about; a rule reads it as event.page, event.product_id, ..."""

    page: str = Field(default="", max_length=500)
    product_id: str = _ID
    cart_id: str = _ID
    live_id: str = _ID


class Question(Form):
    """What a page asks: what is to be shown here."""

    request_id: str = Field(default="", max_length=64)
    customer_id: str = _ID
    anonymous_id: str = _ID
    session_id: str = _ID
    placements: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=10
    )
    context: PageContext = PageContext()
    deadline_ms: int = Field(default=100, ge=1, le=2_000)


class Shown(BaseModel):
    """A template of kind `page`, and what it is filled with."""

    template: str
    values: dict[str, Any]


class Decided(BaseModel):
    """One rule's proposal; of arm `holdout` nothing is shown, and that is told to /v1/exposures."""

    placement: str
    decision_id: str = Field(description="Signed; for /v1/exposures.")
    rule: str
    version: str
    arm: str
    show: Shown | None = None
    items: list[dict[str, Any]] | None = None
    offer_token: str | None = Field(default=None, description="Signed; for /v1/offers/claim.")
    offer_expires_at: int | None = None


class Proposals(BaseModel):
    """What to show, for each placement that a rule has something for."""

    request_id: str
    decisions: list[Decided]
    ttl_s: int
    degraded: bool = Field(description="Decided without knowing the customer, or not at all.")
    reason: str


class Exposure(Form):
    """A page showed a proposal, or would have."""

    decision_id: str = Field(min_length=1, max_length=TOKEN_MAX)
    placement: str = Field(default="", max_length=64)
    shown_at: int = Field(default=0, ge=0, le=2**53, description="ms UTC; 0 for now")


class Accepted(BaseModel):
    """How many were taken; those that are no proposals of ours are not."""

    accepted: int
    rejected: int


class Claim(Form):
    """The customer takes the offer."""

    offer_token: str = Field(min_length=1, max_length=TOKEN_MAX)
    customer_id: str = _ID


class Claimed(BaseModel):
    """His coupon; or why there is none, as `decisions.held` says it."""

    code: str | None = None
    expires_at: int | None = None
    held: str = ""
