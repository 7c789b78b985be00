"""The API's own documentation: the OpenAPI document, and Swagger UI and ReDoc, which show it.

Everything comes from this package: no page asks another host for anything, and its Content-Security-Policy would not
let it. Addresses on the pages are relative, so that they hold under any prefix.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from msgspec import Struct
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from headgate.core.faults import InvalidField, NotFound
from headgate.dialects.simple import MAX_CHARS
from headgate.surfaces.depends import admin_of
from headgate.surfaces.documented import DOCUMENTED
from headgate.surfaces.said import ERRORS, error_examples, errors
from headgate.surfaces.schemas import Untitled
from headgate.surfaces.schemas_knowledge import DocumentBatch, OneDocument

STATIC = Path(__file__).parent / "static"

TAGS = [
    {
        "name": "simple",
        "x-displayName": "Simple",
        "description": "One prompt in, one flat JSON object out: made for apps and `curl`.",
    },
    {
        "name": "knowledge",
        "x-displayName": "Knowledge",
        "description": "Your documents, and answers that rest on them.",
    },
    {
        "name": "openai",
        "x-displayName": "OpenAI",
        "description": "What OpenAI's SDKs expect: point their `base_url` at `/v1`.",
    },
    {
        "name": "anthropic",
        "x-displayName": "Anthropic",
        "description": "What Anthropic's SDKs expect: point their `base_url` at `/`.",
    },
    {
        "name": "knowledge",
        "x-displayName": "Knowledge",
        "description": "Your documents, and what is found in them. Nobody else finds anything there.",
    },
    {
        "name": "account",
        "x-displayName": "Account",
        "description": "Who you are, what is left of your limits, and what you used.",
    },
    {
        "name": "operations",
        "x-displayName": "Operations",
        "description": "For those who run the service. None of these asks a model.",
    },
    {
        "name": "admin",
        "x-displayName": "Admin",
        "description": "Keys, prompts, everybody's usage. All of it needs the admin key.",
    },
]

# ReDoc and Swagger UI style elements as they make them; scripts come from files alone, but for ReDoc's search worker.
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_PAGES = ("docs.html", "redoc.html")
_ASSETS = (
    "docs.css",
    "docs.js",
    "icon.svg",
    "redoc.js",
    "redoc.standalone.js",
    "swagger-ui-bundle.js",
    "swagger-ui.css",
)


class File(Struct, frozen=True):
    """Something to serve, compressed; `tag` is its entity tag (RFC 9110, 8.8.3), the same for every encoding."""

    media: str
    zipped: bytes
    tag: str

    def response(self, request: Request) -> Response:
        """The file as the client takes it, or 304 where it has it already."""
        headers = {
            "cache-control": "no-cache",
            "content-security-policy": POLICY,
            "etag": self.tag,
            "referrer-policy": "no-referrer",
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if takes_gzip(request.headers.get("accept-encoding", "")):
            return Response(self.zipped, headers={**headers, "content-encoding": "gzip"}, media_type=self.media)
        return Response(gzip.decompress(self.zipped), headers=headers, media_type=self.media)


def takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` header takes gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for item in accepted.lower().split(","):
        name, _, weight = item.partition(";")
        weights[name.strip()] = re.fullmatch(r"\s*q=0(\.0*)?\s*", weight) is None
    return weights.get("gzip", weights.get("*", False))


def install(app: FastAPI, *, public: bool, max_prompt_chars: int = MAX_CHARS) -> None:
    """Add `/docs`, `/redoc` and `/openapi.json` to the app; where they are not `public` they need the admin key.

    The document is made when it is first asked for, so that it has the routes that are added later.
    `max_prompt_chars` is the longest prompt of the simple surface.
    """
    files = {name: _stored(name) for name in (*_PAGES, *_ASSETS)}
    guards = [] if public else [Depends(admin_of)]

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = made(app, max_prompt_chars)
        return app.openapi_schema

    @lru_cache(maxsize=8)
    def document_at(prefix: str) -> File:
        body = {**document(), "servers": [{"url": prefix or "/"}]}
        return _file(".json", json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    # FastAPI runs these in threads: to compress and to make the document takes milliseconds.
    def docs(request: Request) -> Response:
        return files["docs.html"].response(request)

    def redoc(request: Request) -> Response:
        return files["redoc.html"].response(request)

    def openapi(request: Request) -> Response:
        return document_at(request.scope.get("root_path", "")).response(request)

    def asset(name: str, request: Request) -> Response:
        if name not in _ASSETS:
            raise NotFound(f"there is no file {name[:100]!r} here")
        return files[name].response(request)

    app.openapi = document  # type: ignore[method-assign]
    answers: dict[str, Callable[..., Response]] = {
        "/docs": docs,
        "/redoc": redoc,
        "/openapi.json": openapi,
        "/docs/assets/{name}": asset,
    }
    for path, answer in answers.items():
        app.add_api_route(path, answer, methods=["GET"], include_in_schema=False, dependencies=guards)


def made(app: FastAPI, max_prompt_chars: int) -> dict[str, Any]:
    """The OpenAPI document of the app as it is now."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=TAGS,
        servers=[{"url": "/"}],
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    components = document.setdefault("components", {})
    components["examples"] = error_examples()
    schemas = components.setdefault("schemas", {})
    schemas |= _schemas()
    for name in ("ChatRequest", "CompleteRequest", "GenerateRequest"):
        for field in {"message", "prompt"} & schemas[name]["properties"].keys():
            schemas[name]["properties"][field]["maxLength"] = max_prompt_chars
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _reword(path, operation)
            _name_model(operation, app)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document


def _schemas() -> dict[str, Any]:
    said = (model for said in DOCUMENTED.values() for model in said.models)
    models: set[type[BaseModel]] = {*ERRORS.values(), *said, OneDocument, DocumentBatch}
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in models]
    _, defined = models_json_schema(wanted, ref_template="#/components/schemas/{model}", schema_generator=Untitled)
    found: dict[str, Any] = defined["$defs"]
    return found


def _reword(path: str, operation: dict[str, Any]) -> None:
    """Replace FastAPI's own words for a wrong field by ours, where a field can be wrong: any text will do in a path."""
    responses = operation["responses"]
    content = responses.get("422", {}).get("content", {})
    if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("/HTTPValidationError"):
        del responses["422"]
        if "requestBody" in operation or any(field["in"] != "path" for field in operation["parameters"]):
            ours = errors("openai" if path.startswith("/v1/") else "simple", InvalidField)
            responses |= {str(status): said for status, said in ours.items() if str(status) not in responses}


def _name_model(operation: dict[str, Any], app: FastAPI) -> None:
    """Let examples that must name a model name one that is there, so that they can be tried."""
    runtime = getattr(app.state, "headgate", None)
    examples = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {})
    for example in examples.values():
        if runtime is not None and "model" in example["value"]:
            example["value"]["model"] = runtime.admission.routes.default


def _stored(name: str) -> File:
    plain = STATIC / name
    if plain.exists():
        return _file(plain.suffix, plain.read_bytes())
    zipped = plain.with_name(f"{name}.gz").read_bytes()
    return File(_MEDIA[plain.suffix], zipped, _tag(zipped))


def _file(suffix: str, content: bytes) -> File:
    return File(_MEDIA[suffix], gzip.compress(content, mtime=0), _tag(content))


def _tag(content: bytes) -> str:
    return f'W/"{sha256(content).hexdigest()[:20]}"'
