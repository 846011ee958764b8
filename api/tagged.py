"""Answers that a caller may keep for a moment, and ask whether they are still so: ETags.

Must live here: that. Must not: an answer.
"""

import hashlib
from typing import Annotated, Any, Final

import orjson
from fastapi import Header, Response
from pydantic import BaseModel

FRESH_SECONDS: Final = 5
Match = Annotated[str, Header(alias="If-None-Match", max_length=200)]
UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As you have it."}}


def tagged(shown: BaseModel, known: str) -> Response:
    """The answer with its ETag; nothing when the caller has it."""
    body = orjson.dumps(shown.model_dump())
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": f"private, max-age={FRESH_SECONDS}"}
    if known == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")
