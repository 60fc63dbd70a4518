"""docs/openapi.json: what the gateway takes and answers, made from its surfaces and errors.

Only what the gateway itself looks at is described: whatever else a body holds is vLLM's to judge.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from service.core.surfaces import SURFACES
from service.gateway.problems import PROBLEMS

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_MESSAGE: Final[Schema] = {
    "type": "object",
    "required": ["role"],
    "properties": {"role": _TEXT, "content": {"type": ["string", "null"]}},
}
_TURN: Final[Schema] = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"type": "string", "enum": ["user"]}, "content": _TEXT},
}
_TEXTS: Final[Schema] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_PROMPTS: Final[Mapping[str, Schema]] = {
    "chat": {"messages": {"type": "array", "items": _MESSAGE}},
    "completions": {"prompt": _TEXTS},
    "responses": {"input": _TEXT},
    "messages": {"messages": {"type": "array", "items": _TURN}},
    "count_tokens": {"messages": {"type": "array", "items": _TURN}},
    "embeddings": {"input": _TEXTS},
}
"""By surface: the fields that it cannot do without, as the gateway reads them."""
_STREAM: Final[Schema] = {
    "stream": {"type": ["boolean", "null"]},
    "stream_options": {
        "type": ["object", "null"],
        "properties": {"include_usage": {"type": ["boolean", "null"]}},
    },
}
_ERROR: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": _TEXT,
            },
        }
    },
}
_OF_UPSTREAM: Final = (422, 429)
"""Refusals that are relayed from the upstream; the gateway has none of its own."""


def document() -> str:
    """Return the OpenAPI document, as the file holds it."""
    paths: Schema = {
        "/v1/models": {"get": _operation("listModels", "The models that are served.")},
        "/v1/models/{id}": {
            "get": _operation("getModel", "One of them.")
            | {"parameters": [{"name": "id", "in": "path", "required": True, "schema": _TEXT}]}
        },
    }
    for name, surface in SURFACES.items():
        paths[surface.path] = {"post": _surface(name)}
    whole = {
        "openapi": "3.1.0",
        "info": {"title": "Watchgate", "version": "1"},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
    return json.dumps(whole, indent=1) + "\n"


def _surface(name: str) -> Schema:
    prompts = _PROMPTS.get(name, {})
    body = {
        "type": "object",
        "required": ["model", *prompts],
        "properties": {"model": _TEXT, **prompts, **_STREAM},
    }
    return _operation(name, f"The surface {name!r}, relayed to and from vLLM.", stream=True) | {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}}
    }


def _operation(name: str, summary: str, *, stream: bool = False) -> Schema:
    good = {"application/json": {"schema": {"type": "object"}}}
    if stream:
        good["text/event-stream"] = {"schema": _TEXT}
    bad = {"application/json": {"schema": _ERROR}}
    statuses = sorted({problem.status for problem in PROBLEMS.values()} | set(_OF_UPSTREAM))
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": good},
            **{str(status): {"description": "An error.", "content": bad} for status in statuses},
        },
    }
