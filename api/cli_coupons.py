"""`laike coupons …`: imported codes, from a file into an offer's pool.

Must live here: the commands' words, which offers have a pool. Must not: what a pool is
(engine/pools.py). The codes leave this process sealed; none is printed or logged.
"""

# ruff: noqa: PLC0415 - as in cli

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli_store import HERE, DataOption, JsonOption, local_user, say, store_of

if TYPE_CHECKING:
    import redis

    from engine.settings import Settings

coupons = typer.Typer(no_args_is_help=True, help="Codes of coupons that were made elsewhere.")
Offer = Annotated[str, typer.Argument(help="An offer with `codes: {pool: NAME}`.")]


@coupons.command("import")
def import_codes(
    offer: Offer,
    file: Annotated[Path, typer.Argument(help="A code a line; # begins a remark.")],
    data: DataOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Put the codes of a file into an offer's pool; what the pool ever had it takes no more.

    Example: laike coupons import VIP vip-codes.txt
    """
    from engine.pools import readable

    try:
        codes = readable(file.read_text().splitlines())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="file") from None
    if not codes:
        raise typer.BadParameter(f"{file} has no codes", param_hint="file")
    with store_of(data) as (store, settings):
        pool = _pool_of(store, offer)
        _append(store, settings, pool, codes)
    done = {"offer": offer, "pool": pool, "codes": len(codes)}
    say(json.dumps(done) if as_json else f"{len(codes)} codes on their way to the pool {pool}")


@coupons.command("left")
def left(offer: Offer, data: DataOption = HERE, as_json: JsonOption = False) -> None:
    """How many codes an offer's pool has had, and how many lie in it still.

    Each shard holds a few besides. Example: laike coupons left VIP
    """
    from engine.journal import REGISTRY
    from engine.pools import POOL, STATE
    from engine.shards import partition
    from engine.stores.redis import keys
    from features.customer import Customer

    with store_of(data) as (store, settings):
        pool = _pool_of(store, offer)
        name = f"{POOL}{pool}"
        blob = store.get(keys(partition(name.encode(), settings.shards))["customer"] + name)
    found = Customer.decode(name, blob if isinstance(blob, bytes) else None, REGISTRY).state(STATE)
    done = {"offer": offer, "pool": pool, "taken_in": found.count, "left": len(found.stock)}
    said = f"pool {pool}: {done['taken_in']} codes taken in, {done['left']} left in it"
    say(json.dumps(done) if as_json else said)


def _pool_of(store: "redis.Redis", offer: str) -> str:
    """The pool of an offer of the rules in force."""
    from api.rules_in_force import kept, wanted
    from rules.errors import near, one_of

    book = kept(store, wanted(store))
    offers = {name: one.pool for name, one in book.offers.items() if one.pool} if book else {}
    if offer not in offers:
        known = near(offer, offers) or (f"; there are {one_of(sorted(offers))}" if offers else "")
        told = f"no offer in force has this name and `codes: {{pool: NAME}}`: {offer}{known}"
        raise typer.BadParameter(told, param_hint="offer")
    return offers[offer]


def _append(store: "redis.Redis", settings: "Settings", pool: str, codes: list[str]) -> None:
    """Into the log, as a record of the pool's own key."""
    import asyncio
    import time

    from redis.asyncio import Redis

    from engine.audit import record
    from engine.logs import open_log
    from engine.pools import imports

    appends = imports(settings.secret, pool, codes, time.time_ns() // 1_000_000, settings.shards)
    record(store, settings.secret, local_user(), "codes imported", pool=pool, codes=len(codes))

    async def append() -> None:
        redis = Redis.from_url(settings.redis)
        log = open_log(
            settings.log, redis=redis, shards=settings.shards, record=settings.clock == "record"
        )
        try:
            for start in range(0, len(appends), 50):
                await log.append(appends[start : start + 50])
        finally:
            await log.close()
            await redis.aclose()

    asyncio.run(append())
