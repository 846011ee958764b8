"""What the OpenAPI document says of the ingest calls, whose path is plain ASGI for speed.

Must live here: their description. Must not: anything a call runs through.
"""

from typing import Any

from fastapi import FastAPI

from api.ingest import KINDS, PATHS

_TEXT = {"type": "string"}
_OBJECT = {"type": "object", "additionalProperties": True}
_COMMON: dict[str, Any] = {
    "userId": _TEXT | {"description": "Who it is, once known; this or anonymousId is required."},
    "anonymousId": _TEXT,
    "messageId": _TEXT | {"description": "The same id twice is one event."},
    "originalTimestamp": _TEXT | {"format": "date-time"},
    "timestamp": _TEXT | {"format": "date-time"},
    "sentAt": _TEXT | {"format": "date-time"},
    "context": _OBJECT,
    "integrations": _OBJECT,
    "writeKey": _TEXT | {"description": "In place of Basic authentication."},
}
_OWN: dict[str, dict[str, Any]] = {
    "identify": {"traits": _OBJECT},
    "track": {"event": _TEXT, "properties": _OBJECT},
    "page": {"name": _TEXT, "properties": _OBJECT},
    "screen": {"name": _TEXT, "properties": _OBJECT},
    "group": {"groupId": _TEXT, "traits": _OBJECT},
    "alias": {"previousId": _TEXT},
}
_REQUIRED = {"track": ["event"], "group": ["groupId"], "alias": ["previousId", "userId"]}
_BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "items": {"$ref": "#/components/schemas/BatchItem"}},
        **{name: _COMMON[name] for name in ("context", "integrations", "sentAt", "writeKey")},
    },
}
_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": _TEXT, "message": _TEXT},
}
_ERRORS = {
    "400": "Unreadable, or a single call whose event is bad; a batch is never refused for one.",
    "401": "Nobody has this write key.",
    "408": "The body took longer than 30 s to come.",
    "413": "Over 32 KB an event or 4 MB a body.",
    "429": "Too much now: come back after `Retry-After` seconds.",
    "503": "The log is away: come back after `Retry-After` seconds.",
}
_AUTH: list[dict[str, list[str]]] = [{"writeKey": []}, {"writeKeyInQuery": []}, {}]


def describe(app: FastAPI) -> None:
    """Have the application's OpenAPI document tell of the ingest calls too."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        for path, kind in PATHS.items():
            document["paths"][path] = {"post": _operation(path, kind)}
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {}).update(_schemas())
        parts.setdefault("securitySchemes", {}).update(
            writeKey={"type": "http", "scheme": "basic", "description": "`writeKey:`, no password"},
            writeKeyInQuery={"type": "apiKey", "in": "query", "name": "writeKey"},
        )
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = {"Batch": _BATCH, "IngestError": _ERROR}
    for kind in KINDS:
        schema: dict[str, Any] = {"type": "object", "properties": _COMMON | _OWN[kind]}
        if kind in _REQUIRED:
            schema["required"] = _REQUIRED[kind]
        schemas[kind.title()] = schema
    own = {name: told for kind in KINDS for name, told in _OWN[kind].items()}
    item = {"type": {"enum": list(KINDS)}} | _COMMON | own
    schemas["BatchItem"] = {"type": "object", "required": ["type"], "properties": item}
    return schemas


def _operation(path: str, kind: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{kind.title()}"}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/IngestError"}}}
    return {
        "tags": ["ingest"],
        "summary": "Many events at once" if kind == "batch" else f"One {kind} event",
        "operationId": "ingest" + path.replace("/", "_"),
        "security": _AUTH,
        "requestBody": {
            "required": True,
            "description": "JSON, plain or with Content-Encoding: gzip.",
            "content": {"application/json": schema, "text/plain": schema},
        },
        "responses": {
            "200": {"description": "The log has it.", "content": {"text/plain": {}}},
            **{code: {"description": told, "content": error} for code, told in _ERRORS.items()},
        },
    }
