"""The calls about one customer, put together: pages, coupons, points, profile, consent, answers.

Must live here: their composition. Must not: a call.
"""

from collections.abc import Callable

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter

from api import answering, coupons, decide, profile, recommendations
from api.asking import Asking
from api.sources import Sources
from api.tokens import Tokens


def calls_about_customers(
    asking: Asking, sources: Sources, connect: Callable[[], Client]
) -> list[APIRouter]:
    """The routers."""
    tokens = Tokens(asking.settings.secret)
    pages = decide.Pages(asking, tokens)
    held = coupons.Coupons(pages, connect)
    replies = {**coupons.REPLIES, "claim": lambda answer, _: decide.claim_reply(answer)}
    return [
        decide.router(pages, sources),
        coupons.router(held, sources),
        profile.router(asking, sources),
        recommendations.router(asking, sources),
        answering.router(asking, tokens, sources, replies),
    ]
