"""What every error of an HTTP call looks like: {"code", "message"}, and nothing that was sent.

Must live here: the answers to what went wrong outside a call's own words, and how OpenAPI tells of
errors. Must not: a call. FastAPI's own answers would repeat the input, passwords included.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import redis
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from api.headers import HEADERS
from api.refusals import Refused
from engine.audit import AuditBroken

_log = logging.getLogger(__name__)


class Error(BaseModel):
    """What went wrong, for a program and for a person."""

    code: str
    message: str


def told(errors: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: the errors a call may answer, by status."""
    return {status: {"model": Error, "description": text} for status, text in errors.items()}


EVERYWHERE = told(
    {
        400: "The body is no JSON.",
        413: "The body is too large.",
        422: "Not of the form this document tells.",
        503: "The store is away: come back after `Retry-After` seconds.",
    }
)


_WORDS = {  # what Starlette says in two
    HTTPStatus.NOT_FOUND: "nothing is at this path: /openapi.json has every call",
    HTTPStatus.METHOD_NOT_ALLOWED: "this path takes other methods: /openapi.json has every call",
}


def answer_errors(app: FastAPI) -> None:
    """Have the application answer every error in the one form."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(redis.ConnectionError, _away)
    app.add_exception_handler(redis.TimeoutError, _away)
    app.add_exception_handler(ClickHouseError, _away)
    app.add_exception_handler(AuditBroken, _broken)
    app.add_exception_handler(Exception, _fault)


def answer(refused: Refused) -> Response:
    """The answer to one refused call."""
    headers = {"retry-after": str(refused.retry_after)} if refused.retry_after else {}
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="laike"'
    return Response(refused.body(), refused.status, headers, media_type="application/json")


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)  # noqa: S101 - it is registered for this class alone
    return answer(refused)


async def _invalid(_: Request, wrong: Exception) -> Response:
    assert isinstance(wrong, RequestValidationError)  # noqa: S101 - as above
    for fault in wrong.errors():
        if fault["type"] == "json_invalid":
            why, at = fault.get("ctx", {}).get("error", ""), fault["loc"][-1]
            told_ = f"the body is not JSON: {why}: character {at}"
            return answer(Refused(400, "invalid_json", told_))
        if fault["type"] == "model_attributes_type" and isinstance(fault.get("input"), bytes):
            told_ = "the body was not read as JSON: send it with `Content-Type: application/json`"
            return answer(Refused(422, "invalid", told_))
    faults = [
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
        for fault in wrong.errors()[:5]
    ]
    return answer(Refused(422, "invalid", "; ".join(faults)))


async def _http(_: Request, wrong: Exception) -> Response:
    assert isinstance(wrong, HTTPException)  # noqa: S101 - as above
    status = HTTPStatus(wrong.status_code)
    said = _WORDS.get(status, str(wrong.detail))
    found = answer(Refused(status, status.phrase.lower().replace(" ", "_"), said))
    found.headers.update(wrong.headers or {})
    return found


async def _away(_: Request, away: Exception) -> Response:
    _log.warning("the store is away: %s", away)
    return answer(Refused(503, "store_away", "the store cannot be reached now", retry_after=2))


async def _broken(_: Request, broken: Exception) -> Response:
    _log.error("%s", broken)
    return answer(Refused(503, "audit_broken", "the audit log takes no entry", retry_after=60))


async def _fault(_: Request, __: Exception) -> Response:
    """A fault of ours, which the server logs; outside all else, so it brings the headers itself."""
    found = answer(Refused(500, "internal", "a fault of ours; the log has it"))
    found.headers.update(HEADERS)
    return found
