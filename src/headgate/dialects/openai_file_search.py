"""OpenAI's `file_search`: the tool of a Responses request, its filters, and how what was found is told.

https://platform.openai.com/docs/guides/tools-file-search. Vector stores are collections here, files are documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from headgate.core.asking import Citation, Source, Turn
from headgate.core.call import Call
from headgate.core.events import Extra
from headgate.core.faults import InvalidField, Unsupported
from headgate.core.knowledge import Found, Passage
from headgate.dialects.openai_responses import items_of, kind_of
from headgate.dialects.strict import check_count, check_number, check_object

TOOL = "file_search"
MOST_RESULTS = 50
RESULTS = 10
"""Passages where a request does not say how many."""

_INCLUDE = "file_search_call.results"
_SUFFIX = re.compile(r"\.\w{1,10}\Z")
_encode = msgspec.json.Encoder().encode


class FileSearch(Struct, frozen=True):
    """What a request wants to be searched; `asked` is False where its `tool_choice` forbids it."""

    stores: tuple[str, ...]
    k: int
    min_score: float
    filter: dict[str, Any]
    asked: bool
    results: bool


def wanted(fields: Mapping[str, Any]) -> FileSearch | None:
    """The file search of a checked Responses body, if it has one. Raises InvalidField, Unsupported."""
    tools = [(at, tool) for at, tool in enumerate(fields.get("tools") or ()) if tool.get("type") == TOOL]
    if not tools:
        return None
    if len(tools) > 1:
        raise InvalidField("one file_search tool is enough: it may name several vector stores", field="tools")
    at, tool = tools[0]
    where = f"tools[{at}]"
    stores = tool.get("vector_store_ids")
    if type(stores) is not list or not stores or any(type(store) is not str for store in stores):
        raise InvalidField(f"{where}.vector_store_ids must be an array of ids", field=f"{where}.vector_store_ids")
    return FileSearch(
        stores=tuple(stores),
        **limits(tool, where + "."),
        asked=fields.get("tool_choice") != "none",
        results=_INCLUDE in (fields.get("include") or ()),
    )


def limits(asked: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """How many results are wanted, how near, and of which documents. Raises InvalidField, Unsupported."""
    check_count(f"{where}max_num_results", asked.get("max_num_results"), 1, MOST_RESULTS)
    check_object(f"{where}ranking_options", asked.get("ranking_options"))
    threshold = (asked.get("ranking_options") or {}).get("score_threshold")
    check_number(f"{where}ranking_options.score_threshold", threshold, 0, 1)
    check_object(f"{where}filters", asked.get("filters"))
    return {
        "k": asked.get("max_num_results") or RESULTS,
        "min_score": threshold or 0.0,
        "filter": _filter(asked.get("filters") or {}, f"{where}filters"),
    }


def _filter(said: Any, where: str) -> dict[str, Any]:
    """OpenAI's filters as values, or lists of values, by field."""
    match said:
        case {} if not said:
            return {}
        case {"type": "eq", "key": str(key), "value": value}:
            return {key: value}
        case {"type": "in", "key": str(key), "value": [*values]}:
            return {key: values}
        case {"type": "and", "filters": [*several]}:
            merged: dict[str, Any] = {}
            for at, each in enumerate(several):
                one = _filter(each, f"{where}.filters[{at}]")
                if one.keys() & merged.keys():
                    raise Unsupported(f"{where} asks twice for one attribute", field=where)
                merged |= one
            return merged
        case {"type": "or", "filters": [*several]}:
            return _either([_filter(each, f"{where}.filters[{at}]") for at, each in enumerate(several)], where)
        case {"type": str(kind)} if kind in {"ne", "nin", "gt", "gte", "lt", "lte"}:
            raise Unsupported(f"{where}: {kind} cannot be searched by here; eq, in, and, or can", field=where)
    raise InvalidField(f"{where} must be an object with type, key and value, or with type and filters", field=where)


def _either(several: Sequence[dict[str, Any]], where: str) -> dict[str, Any]:
    keys = {key for each in several for key in each}
    if len(keys) != 1 or any(len(each) != 1 for each in several):
        raise Unsupported(f"{where}: or is understood here between values of one attribute", field=where)
    key = keys.pop()
    values = [value for each in several for value in (each[key] if type(each[key]) is list else [each[key]])]
    return {key: values}


def turns_of(fields: dict[str, Any]) -> tuple[str, tuple[Turn, ...]]:
    """What the user said last, and what was said before it."""
    said = [
        (item["role"], _text(item["content"]))
        for _, item in items_of(fields)
        if kind_of(item) == "message" and item["role"] in {"user", "assistant"}
    ]
    last = max((at for at, (role, text) in enumerate(said) if role == "user" and text), default=None)
    if last is None:
        return "", ()
    return said[last][1], tuple(Turn(role, text) for role, text in said[:last] if text)


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def told(call: Call, context: str) -> Call:
    """The call with what was found put before the user's last words, and without the tool.

    It is of no dialect any more: whoever answers, its words come as Text, and the answer is written here.
    """
    items = [dict(item) for _, item in items_of(call.fields)]
    for item in reversed(items):
        if kind_of(item) == "message" and item["role"] == "user":
            content = item["content"]
            own = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
            item["content"] = [*([{"type": "input_text", "text": context}] if context else []), *own]
            break
    fields = {**call.fields, "input": items}
    fields["tools"] = [tool for tool in fields["tools"] if tool.get("type") != TOOL]
    fields["tool_choice"] = _choice(fields.get("tool_choice"), left=bool(fields["tools"]))
    return structs.replace(call, _fields=fields, body=_encode(fields), dialect="", _prompt=UNSET)


def _choice(choice: Any, *, left: bool) -> Any:
    """What is left of a choice among tools when the search is done."""
    match choice:
        case {"type": "file_search"}:
            return None
        case {"type": "allowed_tools", "tools": [*allowed], **rest}:
            others = [tool for tool in allowed if not (isinstance(tool, dict) and tool.get("type") == TOOL)]
            return {"type": "allowed_tools", "tools": others, **rest} if others else "none" if left else None
    return choice if left else None


def item(query: str, sources: Sequence[Source], *, results: bool) -> dict[str, Any]:
    """What a `file_search_call` item says beside its id; results where they were asked for."""
    found = [result(source.found) for source in sources] if results else None
    return {"queries": [query] if query else [], "results": found}


def result(found: Found) -> dict[str, Any]:
    """A passage that was found."""
    passage = found.passage
    return {
        "attributes": attributes(passage.metadata),
        "file_id": passage.document_id,
        "filename": _filename(passage),
        "score": round(found.similarity, 4),
        "text": passage.text,
    }


def _filename(passage: Passage) -> str:
    """The document's file: the end of an id that is a path, or has a suffix as files do; else its title."""
    _, slash, name = passage.document_id.rstrip("/").rpartition("/")
    return name if slash or _SUFFIX.search(name) else passage.title or name


def attributes(metadata: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """The metadata that OpenAI's attributes can hold."""
    return {name: value for name, value in metadata.items() if isinstance(value, str | float | int | bool)}


def annotation(citation: Citation, sources: Sequence[Source]) -> Extra:
    """A citation as OpenAI tells it, in the shape that events have for it."""
    passage = next(source.found.passage for source in sources if source.n == citation.source_n)
    said = {"index": citation.start, "file_id": passage.document_id, "filename": _filename(passage)}
    return Extra("openai", "annotations", [{"type": "file_citation", "file_citation": said}])
