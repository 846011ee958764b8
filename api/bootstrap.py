"""What a browser SDK asks for before it sends: its source's settings.

Must live here: the two GETs, as Segment's and RudderStack's SDKs ask them. Must not: events.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse

from api.errors import told
from api.refusals import Refused
from api.sources import Sender, Sources, key_of_basic


def router(sources: Sources) -> APIRouter:
    """The two calls."""
    errors = told({401: "Nobody has this write key.", 422: "Not of the form this document tells."})
    routes = APIRouter(tags=["ingest"], responses=errors)

    @routes.get("/sourceConfig/", summary="RudderStack's source configuration")
    @routes.get("/sourceConfig", include_in_schema=False)
    def source_config(
        write_key: Annotated[str, Query(alias="writeKey")] = "",
        authorization: Annotated[str, Header()] = "",
    ) -> JSONResponse:
        """The smallest configuration RudderStack's SDKs start with: no destination but us."""
        key = write_key or key_of_basic(authorization.encode("latin-1", "replace"))
        sender = _known(sources, key)
        source = {"id": sender.name, "config": {}, "destinations": []}
        return JSONResponse({"source": source})

    @routes.get("/v1/projects/{write_key}/settings", summary="Segment's source settings")
    def settings(write_key: str, request: Request) -> JSONResponse:
        """The settings analytics.js starts with: it sends to this host, and its metrics nowhere."""
        _known(sources, write_key)
        here = f"{request.url.netloc}/v1"
        segment = {"apiKey": write_key, "apiHost": here, "protocol": request.url.scheme}
        answer: dict[str, Any] = {"integrations": {"Segment.io": segment}}
        return JSONResponse(answer | {"metrics": {"sampleRate": 0}})

    return routes


def _known(sources: Sources, write_key: str) -> Sender:
    found = sources.find(write_key)
    if found is None:
        raise Refused(401, "unknown_write_key", "no source has this write key")
    return found
