"""`/documents`: taking documents in, listing and reading them, deleting them and trying failed ones again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from secrets import token_hex
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from headgate.core.faults import Forbidden, InvalidField, InvalidJson, NotFound, RateLimited, TooLarge
from headgate.core.knowledge import Document, Draft, Kept, Room, Scope
from headgate.core.principal import Principal
from headgate.dialects.strict import read_object
from headgate.rag.chunk import hashed
from headgate.rag.reading import media_of, named
from headgate.runtime import Runtime
from headgate.surfaces.depends import Admitted, Caller, Running
from headgate.surfaces.once_route import OnceRoute
from headgate.surfaces.said import named as operation
from headgate.surfaces.said import ref, told
from headgate.surfaces.schemas_knowledge import (
    MOST_AT_ONCE,
    NAME,
    Deleted,
    DocumentBatch,
    DocumentList,
    DocumentResult,
    DocumentResults,
    DocumentState,
    NewDocument,
    OneDocument,
    Status,
)

router = APIRouter(
    prefix="/documents", tags=["knowledge"], generate_unique_id_function=operation, route_class=OnceRoute
)

MOST_METADATA_BYTES = 16_384

Model = TypeVar("Model", bound=BaseModel)

_MEDIA = {"markdown": "text/markdown", "text": "text/plain", "html": "text/html"}
_WRONG = (InvalidJson, InvalidField, TooLarge, RateLimited)
_FILES = {
    "type": "object",
    "properties": {
        "collection": {"type": "string", "pattern": NAME, "default": "default"},
        "metadata": {"type": "string", "description": "A JSON object, for all files."},
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "Files; the name of each is its document's id.",
        },
    },
    "required": ["file"],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [ref(OneDocument), ref(DocumentBatch)]},
                "examples": {
                    "One": {"value": {"collection": "handbook", "id": "guide", "text": "# Gates\n\nA gate opens."}},
                    "Several": {
                        "value": {
                            "collection": "handbook",
                            "documents": [
                                {"id": "a", "title": "Gates", "text": "A gate opens.", "metadata": {"lang": "en"}},
                                {"id": "b", "title": "Canals", "text": "Water flows."},
                            ],
                        }
                    },
                },
            },
            "multipart/form-data": {"schema": _FILES},
        },
    }
}

In = Annotated[str, Query(pattern=NAME, description="The collection; without it the one that has the document.")]
DEFAULT = "default"
Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for what is queued.")]

_encode = msgspec.json.Encoder().encode


@router.post(
    "",
    status_code=201,
    summary="Take documents in",
    **told(DocumentResult, *_WRONG, status=201, once=True, extra=_BODY),
)
async def take_documents(request: Request, who: Admitted, runtime: Running, wait: Wait = 0) -> Response:
    """One document, several of one collection, or files. The collection is made if it is not there.

    201: they are ready, and can be found. 202: they are kept, and will be read in the background. 200: nothing has
    changed. Sent again under the same id, a document replaces its older version once it is ready.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    several = True
    if kind == "multipart/form-data":
        collection, drafts = await _files(request)
    else:
        body = await request.body()
        collection, drafts, several = await asyncio.to_thread(_sent, body)
    scope = Scope(who.tenant, collection)
    kept = await runtime.knowledge.ingester.take(who, scope, drafts, room_of(runtime, who))
    if wait:
        kept = await _waited(runtime, scope, kept, wait)
    shown = [{**state(collection, each.document), "result": each.result} for each in kept]
    content: Any = {"collection": collection, "documents": shown} if several else shown[0]
    return Response(_encode(content), _status(kept), media_type="application/json")


router.routes[-1].responses[202] = {"model": DocumentResults, "description": "Kept, and queued."}  # type: ignore[attr-defined]


def _status(kept: list[Kept]) -> int:
    if any(each.document.state in {"queued", "processing"} for each in kept):
        return 202
    return 200 if all(each.result == "unchanged" for each in kept) else 201


async def _waited(runtime: Runtime, scope: Scope, kept: list[Kept], seconds: float) -> list[Kept]:
    end = asyncio.get_running_loop().time() + seconds
    settled = []
    for each in kept:
        left = max(0.0, end - asyncio.get_running_loop().time())
        document = await runtime.knowledge.ingester.settled(scope, each.document.id, left)
        settled.append(Kept(document, each.result))
    return settled


def _sent(body: bytes) -> tuple[str, list[Draft], bool]:
    """The documents of a JSON body; whether it was a batch. Raises InvalidJson, InvalidField."""
    fields = read_object(body)
    if "documents" in fields:
        batch = checked(DocumentBatch, fields)
        return batch.collection, [_draft(each) for each in batch.documents], True
    one = checked(OneDocument, fields)
    return one.collection, [_draft(one)], False


def checked(model: type[Model], fields: dict[str, Any]) -> Model:
    """The fields as that model has them. Raises InvalidField, which names all that are wrong."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = [
            {"field": ".".join(map(str, each["loc"])), "message": each["msg"]}
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        first = problems[0]
        raise InvalidField(f"{first['field']}: {first['message']}", details=problems[:20]) from None


def _draft(document: NewDocument) -> Draft:
    try:
        body = document.text.encode()
    except UnicodeEncodeError:
        raise InvalidField("text has half of a surrogate pair", field="text") from None
    return drafted(
        document.id or f"doc_{token_hex(12)}", document.title, body, _MEDIA[document.format], document.metadata
    )


def drafted(id_: str, title: str, body: bytes, media: str, metadata: dict[str, Any]) -> Draft:
    """A draft. Raises InvalidField for metadata that is too large."""
    said = msgspec.json.encode(metadata, order="deterministic")
    if len(said) > MOST_METADATA_BYTES:
        raise InvalidField(f"metadata may have at most {MOST_METADATA_BYTES} bytes", field="metadata")
    digest = hashed(title, media, said.decode(), body.decode("latin-1"))
    return Draft(id=id_, title=title, body=body, media=media, digest=digest, metadata=metadata)


async def _files(request: Request) -> tuple[str, list[Draft]]:
    """The files of a form. Raises InvalidField."""
    async with request.form(max_files=MOST_AT_ONCE, max_fields=10) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        words = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        unknown = words.keys() - {"collection", "metadata"}
        if unknown:
            raise InvalidField(f"{min(unknown)[:100]!r} is no field of this form", field=min(unknown)[:100])
        if not files:
            raise InvalidField("the form has no file", field="file")
        drafts = []
        metadata = words.get("metadata") or "{}"
        for file in files:
            name = file.filename or ""
            fields = {"id": _label(name), "text": "-", "metadata": read_object(metadata.encode())}
            sound = checked(NewDocument, fields)
            media = media_of(name, file.content_type or "")
            assert sound.id is not None  # noqa: S101 - a label is never empty
            drafts.append(drafted(sound.id, "", await file.read(), media, sound.metadata))
        return checked(
            DocumentBatch, {"collection": words.get("collection") or "default", "documents": [fields]}
        ).collection, drafts


def _label(name: str) -> str:
    """A file's name as a document's id: it is a name and never a place, and cannot lead anywhere."""
    parts = [named(part) for part in name.replace("\\", "/").split("/") if part.strip(". ")]
    return "/".join(parts)[-500:] or "file"


def room_of(runtime: Runtime, who: Principal) -> Room:
    """How much the caller may keep. Raises Forbidden for who may keep nothing."""
    tier = runtime.admission.tier_of(who)
    told = "documents" in tier.model_fields_set
    if who.kind == "anonymous" and not told and not runtime.config.server.loopback:
        raise Forbidden("documents need an API key or a login: callers without a name share everything")
    return Room(tier.documents, tier.document_bytes)


async def place_of(runtime: Runtime, who: Principal, collection: str | None, document_id: str) -> Scope:
    """The named collection; where none is named the one that has the document, `default` before others.

    Raises NotFound, InvalidField where several others have it.
    """
    if collection is not None:
        return Scope(who.tenant, collection)
    shelf, usual = runtime.knowledge.shelf, Scope(who.tenant, DEFAULT)

    def has(scope: Scope) -> bool:
        with suppress(NotFound):
            shelf.document(scope, document_id)
            return True
        return False

    def found() -> list[Scope]:
        if has(usual):
            return [usual]
        return [scope for each in shelf.collections(who.tenant) if has(scope := Scope(who.tenant, each.name))]

    there = await asyncio.to_thread(found)
    if len(there) > 1:
        raise InvalidField("several of your collections have such a document: name one", field="collection")
    if not there:
        raise NotFound(f"there is no document {document_id[:100]!r} in your collections")
    return there[0]


@router.get("", summary="List documents", **told(DocumentList, NotFound, InvalidField))
async def list_documents(
    who: Caller,
    runtime: Running,
    collection: In | None = None,
    status: Status | None = None,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """A page of a collection's documents, by id; of `default` where none is named."""
    scope = Scope(who.tenant, collection or DEFAULT)
    found: list[Document] = []
    try:
        found = await asyncio.to_thread(runtime.knowledge.shelf.documents, scope, status, after, limit + 1)
    except NotFound:
        if collection is not None:
            raise
    more = found[limit - 1].id if len(found) > limit else None
    shown = [state(scope.collection, document) for document in found[:limit]]
    return Response(_encode({"documents": shown, "next": more}), media_type="application/json")


@router.post(
    "/{document_id:path}/retry",
    summary="Try a failed document again",
    **told(DocumentState, NotFound, InvalidField, RateLimited, once=True),
)
async def retry_document(
    document_id: str, who: Admitted, runtime: Running, collection: In | None = None
) -> dict[str, Any]:
    """Queues it again; one that has not failed stays as it is."""
    scope = await place_of(runtime, who, collection, document_id)
    document = await asyncio.to_thread(runtime.knowledge.shelf.retry, scope, document_id)
    runtime.knowledge.ingester.call()
    return state(scope.collection, document)


@router.get("/{document_id:path}", summary="Describe a document", **told(DocumentState, NotFound, InvalidField))
async def get_document(
    document_id: str, who: Caller, runtime: Running, collection: In | None = None, text: bool = False
) -> dict[str, Any]:
    """What became of it, with `text=true` also what was read."""
    scope = await place_of(runtime, who, collection, document_id)
    shelf = runtime.knowledge.shelf
    shown = state(scope.collection, await asyncio.to_thread(shelf.document, scope, document_id))
    return {**shown, "text": await asyncio.to_thread(shelf.text, scope, document_id)} if text else shown


@router.delete("/{document_id:path}", summary="Delete a document", **told(Deleted, NotFound, InvalidField))
async def delete_document(
    document_id: str, who: Caller, runtime: Running, collection: In | None = None
) -> dict[str, Any]:
    """Forgets it and all its passages, at once."""
    await runtime.knowledge.ingester.remove(await place_of(runtime, who, collection, document_id), document_id)
    return {"id": document_id, "deleted": True}


def state(collection: str, document: Document) -> dict[str, Any]:
    """A document as it is shown."""
    return {
        "id": document.id,
        "collection": collection,
        "title": document.title,
        "status": document.state,
        "error": document.error or None,
        "chunks": document.chunks,
        "content_hash": document.content_hash,
        "media_type": document.media,
        "size": document.size,
        "metadata": document.metadata,
        "created": document.created,
        "updated": document.updated,
    }
