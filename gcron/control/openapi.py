"""The OpenAPI 3.1 document of the API, made from the table of endpoints."""

from __future__ import annotations

from typing import Any

from gcron.control.endpoints import ENDPOINTS, Endpoint
from gcron.control.schemas import SCHEMAS, reference
from gcron.version import __version__

__all__ = ["openapi_document"]

_PROBLEM = {
    "description": "What is wrong, with a code",
    "content": {"application/problem+json": {"schema": reference("Problem")}},
}


def openapi_document(prefix: str) -> dict[str, Any]:
    """Return the document of an API below `prefix`."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gcron",
            "version": __version__,
            "description": "Ask and control a gcron that runs. Times are RFC 3339 in UTC, durations are seconds.",
        },
        "servers": [{"url": prefix}],
        "paths": paths,
        "components": {"schemas": {name: dict(schema) for name, schema in SCHEMAS.items()}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.operation_id,
        "summary": endpoint.summary,
        "responses": {"200": {"description": "Done", "content": _content(endpoint)}, "default": _PROBLEM},
    }
    parameters: list[dict[str, Any]] = [
        {
            "name": row.name,
            "in": row.place,
            "required": row.is_required,
            "schema": dict(row.schema),
            "description": row.help,
        }
        for row in endpoint.parameters
        if row.place != "body"
    ]
    if endpoint.streams:
        resume = "the id of the last message that was read"
        parameters.append(
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": resume}
        )
    if parameters:
        operation["parameters"] = parameters
    if fields := [row for row in endpoint.parameters if row.place == "body"]:
        properties = {row.name: {**row.schema, "description": row.help} for row in fields}
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
        operation["requestBody"] = {"required": False, "content": {"application/json": {"schema": schema}}}
    return operation


def _content(endpoint: Endpoint) -> dict[str, Any]:
    schema = dict(endpoint.schema)
    if not endpoint.streams:
        return {"application/json": {"schema": schema}}
    content: dict[str, Any] = {"text/event-stream": {"schema": schema}}
    if endpoint.streams is not True:
        content["application/octet-stream"] = {}
    return content
