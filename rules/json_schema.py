"""The JSON Schema of the marketers' files, from the same tables that read them.

Law: what the reader takes, the schema takes; an editor completes keys, events, features and words
from the catalog. It is looser where JSON Schema cannot say it (conditions, which key goes with
which): `laike rules check` has the last word. Must not live here: any one key.
"""

from typing import Any, Final

from features.models.names import SCORE_NAMES
from features.vocabulary import NAMES
from rules.forms import Form, Key
from rules.gates import REASONS
from rules.language import FORMS, Written, written
from rules.scope import catalog_scope
from rules.subjects import ALL_FIELDS
from rules.unbuilt import UNBUILT

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]
_PLAIN: Final[Json] = {"type": ["string", "number", "boolean"]}
_LOOKUP: Final[Json] = {
    "type": "object",
    "required": ["by", "else"],
    "properties": {"by": {"$ref": "#/$defs/feature"}},
    "description": "{by: FEATURE, a: VALUE, else: VALUE}",
}
_COMPUTED: Final[Json] = {"type": "string", "pattern": "^="}


def _text(pattern: str, example: str) -> Json:
    return {"type": "string", "pattern": pattern, "examples": [example]}


_RATE: Final = r"^\d+ per (\d+[smhdw]|day|week|month|year|run|ever)$"
ATOMS: Final[dict[str, Json]] = {
    "any": {},
    "text": _PLAIN,
    "name": _PLAIN,
    "true": {"const": True},
    "none": {"const": "none"},
    "whole": {"anyOf": [{"type": "integer", "minimum": 0}, _text(r"^\d+$", "50")]},
    "number": {"anyOf": [{"type": "number"}, _text(r"^-?\d+(\.\d+)?$", "0.8")]},
    "duration": _text(r"^\d+[smhdw]$", "48h"),
    "offset": _text(r"^[+-]?\d+[smhdw]$", "-3d"),
    "time": _text(r"^([01]?\d|2[0-3]):[0-5]\d$", "10:00"),
    "date": _text(r"^\d{4}-\d{2}-\d{2}$", "2026-11-11"),
    "moment": _text(r"^\d{4}-\d{2}-\d{2}", "2026-11-11 20:00"),
    "money": {
        "anyOf": [{"type": "number", "minimum": 0}, _text(r"^\d+(\.\d+)?( [A-Z]{3})?$", "30")]
    },
    "percent": _text(r"^\d+(\.\d+)?%$", "10%"),
    "rate": _text(_RATE, "1 per 7d"),
    "money rate": _text(r"^\d+(\.\d+)?( [A-Z]{3})? per ", "20000 per day"),
    "off": {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": 0},
            _text(r"^(\d+(\.\d+)?%|\d+(\.\d+)?( [A-Z]{3})?|free shipping|gift .+)$", "10%"),
        ]
    },
    "condition": {
        "anyOf": [
            {"type": ["string", "boolean"]},
            {"type": "array", "items": {"type": ["string", "boolean"]}, "minItems": 1},
        ],
        "examples": ["cart.value >= 200"],
    },
    "event": {"anyOf": [{"enum": sorted(NAMES)}, _PLAIN]},
    "segment": {"type": "string"},
    "lookup": {"anyOf": [_LOOKUP, _COMPUTED]},
    "value": {"anyOf": [_LOOKUP, _COMPUTED]},
    "values": {"type": "object"},
    "reason": {"anyOf": [{"enum": list(REASONS)}, _text("^unknown:", "unknown:cart.value")]},
    "steps": {"type": "array", "items": {"$ref": "#/$defs/do"}},
}


def schema(place: str = "rule", unbuilt: frozenset[str] = UNBUILT) -> Json:
    """The schema of a kind of file: rule, segment, offer or shop."""
    form = FORMS[place]
    definitions = {name: _form(one, unbuilt) for name, one in FORMS.items() if name != place}
    features = {
        **dict.fromkeys(catalog_scope().features),
        **dict.fromkeys(ALL_FIELDS),
        **dict.fromkeys(SCORE_NAMES),
    }
    definitions["feature"] = {"anyOf": [{"enum": sorted(features)}, {"type": "string"}]}
    definitions |= {f"atom-{name.replace(' ', '-')}": one for name, one in ATOMS.items()}
    return {
        "$schema": DRAFT,
        "title": f"Laike: {form.what}",
        **_form(form, unbuilt),
        "$defs": definitions,
    }


def _form(form: Form, unbuilt: frozenset[str]) -> Json:
    keys = {
        name: _key(key) for name, key in form.keys.items() if f"{form.place}.{name}" not in unbuilt
    }
    made: Json = {"type": "object", "properties": keys, "additionalProperties": bool(form.others)}
    needed = [name for name in form.needed if name in keys]
    return made | ({"required": needed} if needed else {})


def _key(key: Key) -> Json:
    options = [_one(one) for one in written(key.kind)]
    many = [_one(one) for one in written(key.kind) if one.many]
    if many:
        options.append({"type": "array", "items": {"anyOf": many}})
    made: Json = {"description": key.doc}
    default = next((one.default for one in written(key.kind) if one.default), "")
    if default:
        made["default"] = {"true": True, "false": False}.get(default, default)
    return made | (options[0] if len(options) == 1 else {"anyOf": options})


def _one(one: Written) -> Json:
    if one.words:
        return {"enum": [{"true": True, "false": False}.get(word, word) for word in one.words]}
    if one.form or one.atom == "feature":
        return {"$ref": f"#/$defs/{one.form or 'feature'}"}
    return {"$ref": f"#/$defs/atom-{one.atom.replace(' ', '-')}"}
