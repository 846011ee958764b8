"""What calls about coupons and points are asked with, and what they tell.

Must live here: the shapes. Must not: what they mean.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from api.form import Form
from api.tokens import TOKEN_MAX
from features.coupons import HOLD_SECONDS_MAX

MONEY_MAX: Final = 10_000_000
HOLD_S: Final = 900
_Id = Annotated[str, Field(min_length=1, max_length=200)]
_Money = Annotated[float, Field(ge=0, le=MONEY_MAX, allow_inf_nan=False)]


class Cart(Form):
    """What is to be paid, in major units; `coupons` are codes that are applied already."""

    subtotal: _Money = 0
    shipping: _Money = 0
    coupons: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=20)


class Validate(Form):
    """Whether he can use this code."""

    code: _Id
    customer_id: _Id
    cart: Cart = Cart()


class Valid(BaseModel):
    """Whether he can now; a code that is not his and one that is none are the same."""

    valid: bool
    reason: str = ""
    discount: float = Field(default=0, description="What it takes off this cart, in major units.")
    stacks_with: list[str] = Field(default=[], description="Offers it may be used with; * for any.")
    expires_at: int | None = None


class Reserve(Form):
    """Keep it for one checkout."""

    code: _Id
    customer_id: _Id
    checkout_id: _Id
    cart: Cart = Cart()
    hold_s: int = Field(default=HOLD_S, ge=1, le=HOLD_SECONDS_MAX)


class Reserved(BaseModel):
    """It is kept until `expires_at` (ms)."""

    reservation_id: str
    discount: float
    expires_at: int


class Redeem(Form):
    """The order is placed."""

    reservation_id: Annotated[str, Field(min_length=1, max_length=TOKEN_MAX)]
    order_id: _Id
    discount: _Money = 0
    total: _Money = 0


class Redeemed(BaseModel):
    """When it was used (ms)."""

    redeemed_at: int


class Release(Form):
    """The checkout is given up."""

    reservation_id: Annotated[str, Field(min_length=1, max_length=TOKEN_MAX)]


class Reverse(Form):
    """The order is cancelled or refunded; with `lines` a part of it, which gives nothing back."""

    order_id: _Id
    customer_id: str = Field(default="", max_length=200, description="Spares a look-up.")
    lines: list[dict[str, Any]] = Field(default=[], max_length=500)
    reason: str = Field(default="cancelled", max_length=200, examples=["cancelled", "refunded"])


class GivenBack(BaseModel):
    """What the coupon is now, and whether he can use it again."""

    state: str
    returned: bool


class CouponShown(BaseModel):
    """One of his coupons; times in ms, money in major units."""

    code: str
    offer: str
    state: str
    off: float | str
    off_kind: str
    over: float
    most: float
    issued_at: int
    expires_at: int
    order_id: str


class CouponsShown(BaseModel):
    """The last 50 of them."""

    coupons: list[CouponShown]


class Lot(BaseModel):
    """Points that expire together; 0 for never."""

    points: int
    expires_at: int


class PointsShown(BaseModel):
    """What he can spend, and which of it goes first."""

    balance: int
    lots: list[Lot]


class SpendPoints(Form):
    """Pay with points."""

    customer_id: _Id
    points: int = Field(ge=1, le=1_000_000_000)
    for_: str = Field(default="", alias="for", max_length=200)
    order_id: _Id


class Balance(BaseModel):
    """What is left."""

    balance: int
