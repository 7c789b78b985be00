"""OpenAI's Responses API: the endpoint, and what it remembers (https://platform.openai.com/docs/api-reference/responses).

Before a call, what it refers to is put in its place: the history behind `previous_response_id`, and referenced items.
Before its end is sent, the finished response is kept, so that a caller who has seen the end can refer to it.
"""

from __future__ import annotations

import asyncio
import logging
from secrets import token_hex
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Response

from headgate.core.call import Call
from headgate.core.faults import Fault, InvalidField, NotFound, TooLarge
from headgate.core.principal import Principal
from headgate.core.seams import Events
from headgate.dialects import openai_responses, openai_responses_writer
from headgate.dialects.openai_responses import MARK, items_of, kind_of
from headgate.rag.file_search import file_search
from headgate.runtime import Runtime
from headgate.stores.responses import ResponseTable
from headgate.surfaces.depends import Caller, Running
from headgate.surfaces.edge import Endpoint
from headgate.surfaces.said import named, told
from headgate.surfaces.schemas_responses import InputItemList, ResponseDeleted, ResponseObject

MOST_REFERENCES = 256
"""Items that one request may refer to."""

_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
_DATA = b"\ndata: "

_encode = msgspec.json.Encoder().encode
log = logging.getLogger("headgate")
router = APIRouter(prefix="/v1/responses", tags=["openai"], generate_unique_id_function=named)


async def prepare(runtime: Runtime, who: Principal, call: Call) -> None:
    """Put into the call what it refers to. Raises InvalidField, TooLarge, Unavailable."""
    fields = call.fields
    if not runtime.config.store.responses:
        fields["store"] = False
    previous = fields.get("previous_response_id")
    referred = [item["id"] for _, item in items_of(fields) if kind_of(item) == "item_reference"]
    if not previous and not referred:
        return
    if len(referred) > MOST_REFERENCES:
        raise InvalidField(f"input may refer to at most {MOST_REFERENCES} items", field="input")
    found = await asyncio.to_thread(_resolve, runtime.responses, who.tenant, fields, referred)
    fields = {**fields, "input": found}
    call.rewrite(fields, _encode(fields))
    limit = runtime.config.server.max_body
    if len(call.body) > limit:
        raise TooLarge(f"the request is larger than {limit} bytes with the history that it refers to")


async def ask(runtime: Runtime, who: Principal, call: Call) -> Events | None:
    """The answer to a call that has the caller's own documents searched. Raises NotFound, InvalidField, Unsupported."""
    if "tools" not in call.fields:
        return None
    return await file_search(runtime.asker, runtime.gate, who, call, runtime.recipes[""].context_tokens)


def _resolve(table: ResponseTable, tenant: str, fields: dict[str, Any], referred: list[str]) -> list[dict[str, Any]]:
    """The whole input: the history, then the request's own items with kept ones in the place of references."""
    previous: str = fields.get("previous_response_id") or ""
    try:
        said = table.history(tenant, previous) if previous else []
    except NotFound:
        message = f"Previous response with id {previous[:100]!r} not found."
        raise InvalidField(message, field="previous_response_id") from None
    kept = table.items(tenant, referred) if referred else {}
    for where, item in items_of(fields):
        if kind_of(item) != "item_reference":
            said.append(item)
        elif item["id"] in kept:
            said.append(kept[item["id"]])
        else:
            raise InvalidField(f"Item with id {item['id'][:100]!r} not found.", field=where)
    return said


async def finish(runtime: Runtime, who: Principal, call: Call, sent: bytes) -> None:
    """Keep the response whose end is about to be sent. An answer that cannot be kept is answered nevertheless."""
    if call.fields.get("store") is False:
        return
    try:
        await asyncio.to_thread(_keep, runtime.responses, who.tenant, call, sent)
    except Fault as fault:
        log.warning("a response could not be kept: %s", fault.message, extra={"request_id": call.id})


def _keep(table: ResponseTable, tenant: str, call: Call, sent: bytes) -> None:
    end = sent.rindex(_DATA) + len(_DATA) if call.stream else 0
    body = msgspec.json.decode(sent[end:])
    response = body["response"] if call.stream else body
    if isinstance(response.get("id"), str):
        response["previous_response_id"] = call.fields.get("previous_response_id")
        if not table.keep(tenant, [_named(item) for _, item in items_of(call.fields)], response):
            log.info("a response was too large to be kept", extra={"request_id": call.id})


def _named(item: dict[str, Any]) -> dict[str, Any]:
    """An input item as it is listed: with an id, and a message with its parts. Thoughts keep their maker's id."""
    kind = kind_of(item)
    if kind == "message" and isinstance(item["content"], str):
        text = "output_text" if item["role"] == "assistant" else "input_text"
        part = {"type": text, "text": item["content"]}
        item = {**item, "content": [part | {"annotations": []} if text == "output_text" else part]}
    if kind not in _PREFIXES or item.get("id"):
        return {**item, "type": kind}
    return {**item, "type": kind, "id": f"{_PREFIXES[kind]}_{MARK}{token_hex(20)}", "status": "completed"}


RESPONSES = Endpoint(
    "openai.responses",
    "openai",
    openai_responses.parse,
    openai_responses_writer.Writer,
    openai_responses_writer.whole,
    prepare=prepare,
    ask=ask,
    finish=finish,
)


@router.get("/{response_id}", summary="Fetch a kept response", **told(ResponseObject, NotFound, surface="openai"))
async def retrieve_response(response_id: str, who: Caller, runtime: Running, stream: bool = False) -> Response:
    """The response object, as it was sent. Responses are kept for thirty days, unless `store` was false."""
    if stream:
        raise InvalidField("kept responses are not streamed: leave stream out", field="stream")
    body = await asyncio.to_thread(runtime.responses.body, who.tenant, response_id)
    return Response(body, media_type="application/json")


@router.get(
    "/{response_id}/input_items",
    summary="List what led to a kept response",
    **told(InputItemList, NotFound, surface="openai"),
)
async def response_input_items(
    response_id: str,
    who: Caller,
    runtime: Running,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str = "",
) -> dict[str, Any]:
    """A page of its input items, those of earlier responses included; `after` is the last id of the page before."""
    items = await asyncio.to_thread(runtime.responses.input, who.tenant, response_id)
    if order == "desc":
        items.reverse()
    at = next((at + 1 for at, item in enumerate(items) if after and item.get("id") == after), 0)
    page = items[at : at + limit]
    first, last = (page[0].get("id"), page[-1].get("id")) if page else (None, None)
    more = at + limit < len(items)
    return {"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": more}


@router.delete("/{response_id}", summary="Forget a response", **told(ResponseDeleted, NotFound, surface="openai"))
async def delete_response(response_id: str, who: Caller, runtime: Running) -> dict[str, Any]:
    """Delete a kept response."""
    await asyncio.to_thread(runtime.responses.delete, who.tenant, response_id)
    return {"id": response_id, "object": "response", "deleted": True}
