"""`laike learn models|pin|unpin`: the snapshots that are kept, and which of them decides.

Must live here: reading the history, changing the pins, printing. Must not: what a manifest is
(engine/versions.py), when it comes into force (the learner publishes, the log says).
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer
from redis.asyncio import Redis
from rich.console import Console

from api.cli_settings import engine_settings
from api.cli_store import shown_time
from engine import audit
from engine.settings import Settings
from engine.snapshots import PINS, Snapshots, Version
from engine.versions import NO_MODEL, scorer_of
from rules.errors import near, one_of

PREFIX_MIN: Final = 4


class Kept(NamedTuple):
    """All that is kept of the models: manifests, the newest first, pins, bytes by digest."""

    versions: Sequence[Version]
    pins: dict[str, str]
    sizes: dict[str, int]

    def scorers(self, model: str) -> dict[str, str]:
        """What may be pinned: a scorer's own digest, or a version's, with the scorer it means."""
        found: dict[str, str] = {}
        for digest, manifest in self.versions:
            if model in manifest.get("scorers", {}):
                scorer = manifest["scorers"][model]
                found |= {scorer: scorer, digest: scorer}
        return found

    def models(self) -> list[str]:
        """Their names."""
        return sorted({name for _, one in self.versions for name in one.get("figures", {})})


def show(data: Path, name: str | None, as_json: bool) -> int:
    """List them; the exit code."""
    kept = asyncio.run(_kept(engine_settings(data)))
    if name is not None:
        _known(kept, name)
    rows = [row for row in _rows(kept) if name in {None, row["model"]}]
    if as_json:
        sys.stdout.write(json.dumps({"models": rows, "pins": kept.pins}) + "\n")
        return 0
    wide = max((len(row["model"]) for row in rows), default=0)
    for row in rows:
        marks = ", ".join(word for word in ("decides", "pinned") if row[word])
        sys.stdout.write(
            f"{row['model']:{wide}}  {row['snapshot'][:8]}  {shown_time(row['at'])}  "
            f"{row['examples']:>9,} examples  {row['bytes']:>7,} bytes  {marks}".rstrip()
            + "\n"
        )
        figures = ", ".join(f"{name} {value:.4g}" for name, value in row["figures"].items())
        sys.stdout.write(f"{'':{wide}}  {figures}\n")
    if not rows:
        sys.stdout.write("no model has learned yet\n")
    for version in kept.versions:
        if "refused" in version.manifest:
            Console(stderr=True).print(
                f"version {version.digest[:12]} refused: {version.manifest['refused']}"
            )
    return 0


def _rows(kept: Kept) -> Iterator[dict[str, Any]]:
    """A row for each snapshot of each model: the version that first had it, what decides now."""
    now = kept.versions[0].manifest.get("scorers", {}) if kept.versions else {}
    for model in kept.models():
        first: dict[str, Version] = {}
        for version in reversed(kept.versions):
            learned = version.manifest.get("pins", {}).get(model) is None
            if learned and model in version.manifest.get("scorers", {}):
                first.setdefault(version.manifest["scorers"][model], version)
        for snapshot, (digest, manifest) in reversed(first.items()):
            figures = dict(manifest["figures"][model])
            state = kept.sizes.get(manifest["learners"][model], 0)
            yield {
                "model": model, "snapshot": snapshot, "version": digest,
                "at": manifest["log_time"], "examples": int(figures.pop("examples")),
                "figures": figures, "bytes": kept.sizes.get(snapshot, 0), "state_bytes": state,
                "decides": now.get(model) == snapshot, "pinned": kept.pins.get(model) == snapshot,
            }  # fmt: skip


def pin(data: Path, name: str, digest: str, as_json: bool) -> int:
    """Pin it; the exit code."""
    settings = engine_settings(data)
    kept = asyncio.run(_kept(settings))
    _known(kept, name)
    scorers = kept.scorers(name)
    found = {scorer for key, scorer in scorers.items() if key.startswith(digest.lower())}
    if len(digest) < PREFIX_MIN or len(found) != 1:
        said = "more than one begins so" if len(found) > 1 else f"at least {PREFIX_MIN} digits"
        hint = said if found or len(digest) < PREFIX_MIN else "`laike learn models` lists them"
        raise typer.BadParameter(
            f"no one snapshot of {name} is {digest!r}: {hint}", param_hint="digest"
        )
    (scorer,) = found
    asyncio.run(_change(settings, name, scorer))
    return _said({"model": name, "pinned": scorer}, f"{name}: {scorer[:12]} is pinned", as_json)


def unpin(data: Path, name: str, as_json: bool) -> int:
    """Let it go; the exit code."""
    settings = engine_settings(data)
    pins = asyncio.run(_kept(settings)).pins
    if name not in pins:
        raise typer.BadParameter(f"nothing is pinned for {name!r}", param_hint="name")
    asyncio.run(_change(settings, name, None))
    return _said({"model": name, "pinned": None}, f"{name}: the newest decides", as_json)


def _known(kept: Kept, name: str) -> None:
    models = kept.models()
    if name not in models:
        hint = f"{near(name, models)}; there are: {one_of(models)}" if models else ""
        raise typer.BadParameter(f"no model is called {name!r}{hint}", param_hint="name")


async def _kept(settings: Settings) -> Kept:
    async with Redis.from_url(settings.redis) as redis:
        store = Snapshots(redis, settings.shards, settings.secret)
        versions, pins = await store.history(), await store.pins()
        names = {
            digest
            for _, one in versions
            for part in ("scorers", "learners")
            for digest in one.get(part, {}).values()
        }
        sizes = {name: int(await redis.strlen(f"laike:model:{name}")) for name in sorted(names)}
        return Kept(versions, pins, sizes)


async def _change(settings: Settings, name: str, scorer: str | None) -> None:
    """Set or drop a pin, with an entry in the audit log; only what scores can be pinned."""
    async with Redis.from_url(settings.redis) as redis:
        if scorer is not None:
            try:
                part = await Snapshots(redis, settings.shards, settings.secret).open(scorer)
                scorer_of(name, scorer, part)
            except NO_MODEL as error:
                raise typer.BadParameter(f"it cannot decide: {error}") from None
        what = "model unpinned" if scorer is None else "model pinned"
        await audit.record_async(
            redis, settings.secret, audit.local_user(), what, model=name, digest=scorer or ""
        )
        change: Any = redis.hset(PINS, name, scorer) if scorer else redis.hdel(PINS, name)
        await change


def _said(told: dict[str, Any], words: str, as_json: bool) -> int:
    sys.stdout.write((json.dumps(told) if as_json else words) + "\n")
    return 0
