"""`laike rules propose` and what follows, over the API: whoever holds the token is who does it.

Must live here: these calls and what is printed. Must not: who may do what (the API says).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from api.cli_settings import engine_settings
from api.cli_store import listed, say, shown_time
from engine.settings import SettingsError
from rules.load import load_book

TOKEN: Final = "LAIKE_TOKEN"  # noqa: S105 - the variable's name
SECONDS_MAX: Final = 60.0


def propose(data: Path, url: str | None, folder: Path, note: str, as_json: bool) -> int:
    """Send the folder's files; the exit code."""
    sources = dict(load_book(folder).sources)
    return _told(_call(data, url, "POST", "", {"sources": sources, "note": note}), as_json)


def judge(data: Path, url: str | None, number: int, verdict: str, as_json: bool) -> int:
    """Approve or reject; the exit code."""
    return _told(_call(data, url, "POST", f"/{number}/{verdict}"), as_json)


def show(data: Path, url: str | None, as_json: bool) -> int:
    """List them all; the exit code."""
    answer = _call(data, url, "GET", "")
    if answer.status_code != httpx.codes.OK:
        return _told(answer, as_json)
    rows = answer.json() if as_json else [_row(one) for one in answer.json()]
    listed("proposals", rows, as_json)
    return 0


def _call(
    data: Path, url: str | None, method: str, path: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    token = os.environ.get(TOKEN, "")
    if not token:
        raise SettingsError(f"{TOKEN} is empty: make a token with `laike tokens create`")
    base = url.rstrip("/") if url else _api_of(data)
    return httpx.request(
        method,
        f"{base}/v1/rules/proposals{path}",
        json=body,
        headers={"authorization": f"Bearer {token}"},
        timeout=SECONDS_MAX,
        trust_env=False,
    )


def _api_of(data: Path) -> str:
    settings = engine_settings(data)
    return f"http://{settings.host}:{settings.port}"


def _told(answer: httpx.Response, as_json: bool) -> int:
    if as_json:
        say(answer.text)
    elif answer.is_error:
        sys.stderr.write(f"laike: {answer.json().get('message', answer.text)}\n")
    else:
        listed("proposals", [_row(answer.json())], as_json)
    return int(answer.is_error)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": one["id"],
        "state": one["state"],
        "author": one["author"],
        "at": shown_time(one["at"]),
        "version": one["version"][:8],
        "judged_by": one["judged_by"],
        "note": json.dumps(one["note"], ensure_ascii=False) if one["note"] else "",
    }
