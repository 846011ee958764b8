"""Products for a customer, and his order of products that the shop has found for him.

Must live here: these two calls. Must not: how products are chosen (engine/recommending.py, the
model). Both read what is committed and the model in force, and write nothing; who is not known gets
what is trending, and while there is no model, what he showed of himself, or nothing.
"""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.asking import Asking, cid_of
from api.callers import CALLER_ERRORS, server_only
from api.errors import EVERYWHERE
from api.form import Form
from api.sources import Sources
from api.tagged import UNCHANGED, Match, tagged
from engine.recommending import Asked, listed
from features.models.recommend import MODEL, Bought, Scorer, taste

MANY_MAX: Final = 50
CANDIDATES_MAX: Final = 500
Kind = Literal["for_you", "similar", "together", "trending", "viewed", "cart", "favourites"]
Id = Annotated[str, Field(min_length=1, max_length=200)]


class Product(BaseModel):
    """One product."""

    product_id: str


class Recommendations(BaseModel):
    """The products, the best first."""

    kind: str = Field(description="How they were chosen: what was asked, or `trending`.")
    items: list[Product]
    model_version: str = Field(description="The models in force; empty while there are none.")


class Ranking(Form):
    """What the shop's search or a page has found, in its own order."""

    products: list[Id] = Field(min_length=1, max_length=CANDIDATES_MAX)


class RankedProduct(BaseModel):
    """A product and how much it is worth to him beside the others, from 0 for nothing known."""

    product_id: str
    score: float


class Ranked(BaseModel):
    """The same products in this customer's order; what nothing is known of stays as it came."""

    products: list[RankedProduct]
    personal: bool = Field(description="No: neither he nor the products are known, as they came.")
    model_version: str


def router(asking: Asking, sources: Sources) -> APIRouter:
    """The calls."""
    routes = APIRouter(prefix="/v1", tags=["recommendations"], responses=EVERYWHERE | CALLER_ERRORS)
    server = server_only(sources)
    name_of = Annotated[str, Path(max_length=200)]

    @routes.get(
        "/customers/{name}/recommendations", responses=UNCHANGED, response_model=Recommendations
    )
    async def recommendations(
        name: name_of,
        _: Annotated[str, server],
        kind: Kind = "for_you",
        n: Annotated[int, Query(ge=1, le=MANY_MAX)] = 20,
        product_id: Annotated[str, Query(max_length=200)] = "",
        category: Annotated[str, Query(max_length=200)] = "",
        bought: Annotated[
            Bought,
            Query(description="What he has already: learned, by how often it is bought again."),
        ] = "learned",
        tag: Match = "",
    ) -> Response:
        """Products for a customer; where there are none of that kind, what is trending."""
        looked = await asking.look(cid_of(name))
        models = await asking.models(looked.state.model)
        asked = Asked(
            looked.customer, n, looked.state.log_time, models.get(MODEL),
            product_id, category, bought,
        )  # fmt: skip
        found = listed(kind, asked)
        if not found and kind != "trending":
            kind, found = "trending", listed("trending", asked)
        items = [Product(product_id=one["product_id"]) for one in found]
        version = looked.state.model if models else ""
        return tagged(Recommendations(kind=kind, items=items, model_version=version), tag)

    @routes.post("/customers/{name}/rankings")
    async def rankings(name: name_of, asked: Ranking, _: Annotated[str, server]) -> Ranked:
        """The order of the candidates for this customer. Writes nothing."""
        looked = await asking.look(cid_of(name))
        models = await asking.models(looked.state.model)
        scorer: Any = models.get(MODEL)
        names = list(dict.fromkeys(asked.products))
        scores = dict.fromkeys(names, 0.0)
        if isinstance(scorer, Scorer):
            scores = dict(scorer.ranked(taste(looked.customer, looked.state.log_time), names))
        return Ranked(
            products=[RankedProduct(product_id=one, score=score) for one, score in scores.items()],
            personal=any(scores.values()),
            model_version=looked.state.model if models else "",
        )

    return routes
