"""Gemini's generateContent, the asking side: a Prompt becomes Google's request. `gemini_answer` reads what comes back.

https://ai.google.dev/api/generate-content (v1beta). What Gemini cannot do is Unsupported. Hints that change nothing
a caller could rely on are left out: the fields of other vendors that are not in `_CANNOT` (`user`, `metadata`,
`store`, `service_tier`, `verbosity`, cache markers …), a tool's and a format's `strict`, an image's `detail`,
a speaker's `name`, another vendor's redacted thoughts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from headgate.core.call import (
    CallPart,
    MediaPart,
    Message,
    Part,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import InvalidField, Unsupported

# What other dialects can ask for and Gemini has no word for.
_CANNOT = (
    "audio",
    "background",
    "container",
    "context_management",
    "conversation",
    "logit_bias",
    "mcp_servers",
    "prediction",
    "previous_response_id",
    "web_search_options",
)

# Google's own fields that a caller may set in `google` (or `extra_body.google`, as Google's OpenAI endpoint has it,
# https://ai.google.dev/gemini-api/docs/openai). Nothing here can undo a limit that admission counted on.
_GOOGLE_FIELDS = frozenset({"cachedContent", "safetySettings"})
_GOOGLE_CONFIG = frozenset({"imageConfig", "mediaResolution", "responseModalities", "speechConfig", "thinkingConfig"})
_GOOGLE_TOOLS = frozenset({"codeExecution", "googleSearch", "urlContext"})

# https://ai.google.dev/gemini-api/docs/openai#thinking: what Google itself makes of OpenAI's words.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}

# Gemini 3 refuses a call in the history that carries no signature, unless it carries this one
# (https://ai.google.dev/gemini-api/docs/thought-signatures): the call was another model's, or the caller's SDK lost it.
_UNSIGNED = "skip_thought_signature_validator"

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_SEEDS = 2**31
_MIMES = {
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mp3",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webp": "image/webp",
}


def request(prompt: Prompt, model: str) -> dict[str, Any]:
    """The body of generateContent and streamGenerateContent. Raises Unsupported, InvalidField."""
    _refuse(prompt)
    body: dict[str, Any] = {"contents": list(_contents(prompt, model))}
    if not body["contents"]:
        raise Unsupported("Gemini cannot answer a prompt that has only a system message", field="messages")
    if system := prompt.system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if prompt.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in prompt.tools]}]
        if prompt.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _calling(prompt.tool_choice)}
    config = _config(prompt, model)
    _add_google(prompt.extra, body, config)
    if config:
        body["generationConfig"] = config
    return body


def count_request(prompt: Prompt, model: str) -> dict[str, Any]:
    """The body of countTokens, for all that `request` would send (https://ai.google.dev/api/tokens)."""
    return {"generateContentRequest": {"model": resource(model)} | request(prompt, model)}


def resource(model: str) -> str:
    """The model's resource name: `models/gemini-2.5-flash`; tuned models bring their collection."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"


def _refuse(prompt: Prompt) -> None:
    for name in _CANNOT:
        if prompt.extra.get(name):
            raise Unsupported(f"Gemini does not support {name}", field=name)
    if set(prompt.extra.get("modalities") or ()) - {"text"}:
        raise Unsupported("Gemini's answers come as text here: modalities other than text are not supported")
    if prompt.parallel_tools is False and prompt.tools:
        raise Unsupported("Gemini cannot be held to one tool call at a time", field="parallel_tool_calls")


def _contents(prompt: Prompt, model: str) -> Iterator[dict[str, Any]]:
    names = {part.id: part.name for turn in prompt.turns for part in turn.parts if isinstance(part, CallPart)}
    for is_result, turns in groupby(prompt.turns, key=lambda turn: turn.role == "tool"):
        if is_result:
            yield from _results(turns, names)
            continue
        for turn in turns:
            if turn.role == "assistant":
                if parts := _said(turn, must_sign=generation(model) >= 3):
                    yield {"role": "model", "parts": parts}
            else:
                yield {"role": "user", "parts": [_part(part, names) for part in turn.parts] or [{"text": ""}]}


def _results(turns: Iterable[Message], names: dict[str, str]) -> Iterator[dict[str, Any]]:
    """All answers to one turn of calls go into one content, as Gemini demands; what they show follows in another."""
    results = [part for turn in turns for part in turn.parts]
    yield {"role": "user", "parts": [_part(part, names) for part in results]}
    shown = [m for part in results if isinstance(part, ResultPart) for m in part.parts if isinstance(m, MediaPart)]
    if shown:
        yield {"role": "user", "parts": [_media(part) for part in shown]}


def _said(turn: Message, *, must_sign: bool) -> list[dict[str, Any]]:
    """What the model said earlier. A thought's signature travels on the part that followed the thought."""
    parts: list[dict[str, Any]] = []
    signature = ""
    for part in turn.parts:
        if isinstance(part, ThinkingPart):
            if part.text:
                parts.append({"text": part.text, "thought": True})
            signature = part.signature or signature
        elif not isinstance(part, TextPart | RefusalPart) or part.text:
            said = _part(part, {})
            if isinstance(part, CallPart):
                signature = part.signature or signature or (_UNSIGNED if must_sign else "")
                must_sign = False  # of several calls at once only the first is signed
            if signature:
                said["thoughtSignature"] = signature
            signature = ""
            parts.append(said)
    if signature:
        parts.append({"text": "", "thoughtSignature": signature})
    return parts


def _part(part: Part, names: dict[str, str]) -> dict[str, Any]:
    match part:
        case TextPart() | RefusalPart():
            return {"text": part.text}
        case MediaPart():
            return _media(part)
        case CallPart():
            return {"functionCall": _named(part.id, part.name) | {"args": _arguments(part.arguments)}}
        case ResultPart():
            name = names.get(part.id) or part.name
            if not name:
                raise InvalidField(f"no earlier tool call has the id {part.id!r}", field="messages")
            return {"functionResponse": _named(part.id, name) | {"response": _response(part)}}
        case ThinkingPart():
            return {"text": part.text, "thought": True}


def _named(id_: str, name: str) -> dict[str, Any]:
    return {"id": id_, "name": name} if id_ else {"name": name}


def _arguments(text: str) -> dict[str, Any]:
    value = _decoded(text) if text.strip() else {}
    if not isinstance(value, dict):
        raise InvalidField("the arguments of a tool call must be a JSON object", field="messages")
    return value


def _response(part: ResultPart) -> dict[str, Any]:
    """Gemini takes objects only; `error` and, by Google's own SDK, `result` are its words for the rest."""
    if part.failed:
        return {"error": part.text}
    value = _decoded(part.text) if part.text.lstrip()[:1] in {"{", "["} else None
    if isinstance(value, dict):
        return value
    return {"result": part.text if value is None else value}


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _media(part: MediaPart) -> dict[str, Any]:
    ending = (part.name or part.url.partition("?")[0]).rpartition(".")[2].lower()
    mime = part.mime or _MIMES.get(ending, "")
    if part.data:
        if not mime:
            raise InvalidField(f"Gemini needs the MIME type of the {part.kind}", field="messages")
        return {"inlineData": {"mimeType": mime, "data": part.data}}
    uri = part.url or part.file_id
    if not uri.startswith(("https://", "gs://")):
        raise Unsupported(f"Gemini takes the {part.kind} as base64 data or as an https URL", field="messages")
    return {"fileData": {"fileUri": uri, "mimeType": mime} if mime else {"fileUri": uri}}


def _declaration(tool: Tool) -> dict[str, Any]:
    if not tool.name:
        raise Unsupported(f"Gemini does not support tools of type {tool.extra.get('type')!r}", field="tools")
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.schema is not None:
        declaration["parametersJsonSchema"] = tool.schema
    return declaration


def _calling(choice: ToolChoice) -> dict[str, Any]:
    config: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "named":
        config["allowedFunctionNames"] = [choice.name]
    return config


def _config(prompt: Prompt, model: str) -> dict[str, Any]:
    said = {
        "maxOutputTokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "topP": prompt.top_p,
        "topK": prompt.top_k,
        "presencePenalty": prompt.presence_penalty,
        "frequencyPenalty": prompt.frequency_penalty,
        "candidateCount": prompt.n if prompt.n != 1 else None,
        "stopSequences": list(prompt.stop) or None,
        "responseLogprobs": prompt.logprobs or None,
        "logprobs": prompt.top_logprobs if prompt.logprobs else None,
        "thinkingConfig": prompt.reasoning and _thinking(prompt.reasoning, model),
    }
    config: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if prompt.seed is not None:  # Gemini's is an int32; the same seed must stay the same seed
        config["seed"] = prompt.seed if -_SEEDS <= prompt.seed < _SEEDS else prompt.seed % _SEEDS
    if prompt.format is not None:
        config["responseMimeType"] = "application/json"
        if prompt.format.schema is not None:
            config["responseJsonSchema"] = prompt.format.schema
    return config


def generation(model: str) -> float:
    """The model's generation by its name: 2.5 for `gemini-2.5-flash`; a name without a number is the newest."""
    found = re.search(r"gemini-(\d+(?:\.\d+)?)", model)
    return float(found[1]) if found else float("inf")


def _thinking(reasoning: Reasoning, model: str) -> dict[str, Any] | None:
    """https://ai.google.dev/gemini-api/docs/thinking: budgets in tokens up to 2.5, levels from 3 on."""
    if generation(model) < 2.5:
        if reasoning.budget or reasoning.show or reasoning.effort not in {"", "none"}:
            raise Unsupported(f"{model} does not reason", field="reasoning_effort")
        return None
    config: dict[str, Any] = {}
    if reasoning.show is not None:
        config["includeThoughts"] = reasoning.show
    if reasoning.budget is not None:
        config["thinkingBudget"] = reasoning.budget
    elif reasoning.effort:
        config |= _effort(reasoning.effort, model)
    return config


def _effort(effort: str, model: str) -> dict[str, Any]:
    """Pro models always think, and at least a little."""
    is_pro = "pro" in model
    if effort == "none":
        if is_pro:
            raise Unsupported(f"{model} cannot answer without reasoning", field="reasoning_effort")
        return {"thinkingBudget": 0} if generation(model) < 3 else {"thinkingLevel": "MINIMAL"}
    if effort not in _LEVELS:
        raise Unsupported(f"Gemini knows no reasoning effort {effort!r}", field="reasoning_effort")
    if generation(model) < 3:
        return {"thinkingBudget": _BUDGETS[effort]}
    return {"thinkingLevel": "LOW" if is_pro and effort == "minimal" else _LEVELS[effort]}


def _add_google(extra: dict[str, Any], body: dict[str, Any], config: dict[str, Any]) -> None:
    wrapped = extra.get("extra_body")
    given = extra.get("google") or (wrapped.get("google") if isinstance(wrapped, dict) else None) or {}
    if not isinstance(given, dict):
        raise InvalidField("google must be an object", field="google")
    for name, value in given.items():
        key = _camel(name)
        if key in _GOOGLE_FIELDS:
            body[key] = value
        elif key in _GOOGLE_CONFIG:
            config[key] = value
        elif key == "tools" and isinstance(value, list):
            body.setdefault("tools", []).extend(_google_tool(tool) for tool in value)
        else:
            raise Unsupported(f"google.{name} cannot be set here", field=f"google.{name}")


def _google_tool(tool: Any) -> dict[str, Any]:
    renamed = {_camel(name): value for name, value in tool.items()} if isinstance(tool, dict) else {}
    if not renamed or renamed.keys() - _GOOGLE_TOOLS:
        raise Unsupported(f"google.tools takes {', '.join(sorted(_GOOGLE_TOOLS))}", field="google.tools")
    return renamed


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
