"""Google's Gemini, generateContent (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contracts._features import Answer, Said, Used, in_turns, pieces
from contracts._vendor import Error, Refused, Special, Vendor, present, sse
from contracts.callers.openai import SCHEMA
from headgate.core.faults import UpstreamBusy

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool": "STOP", "filter": "SAFETY"}
_HEAD = {"responseId": "resp-1", "modelVersion": "gemini-2.5-flash"}


def _usage(used: Used) -> dict[str, Any]:
    """Thoughts are counted beside the candidates."""
    return {
        "promptTokenCount": used.tokens_in,
        "candidatesTokenCount": used.tokens_out - used.reasoning,
        "totalTokenCount": used.tokens_in + used.tokens_out,
        **({"cachedContentTokenCount": used.cached} if used.cached else {}),
        **({"thoughtsTokenCount": used.reasoning} if used.reasoning else {}),
    }


def _parts(said: Said, count: int) -> Iterator[dict[str, Any]]:
    """The parts of an answer, texts in so many pieces. The signature stands on the part that follows the thoughts."""
    yield from ({"text": piece, "thought": True} for piece in pieces(said.thinking, count))
    signature = {"thoughtSignature": said.signature} if said.signature else {}
    for piece in pieces(said.text, count):
        yield {"text": piece, **signature}
        signature = {}
    for call in said.calls:
        yield {"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}, **signature}
        signature = {}


def _logprobs(said: Said) -> dict[str, Any]:
    def told(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logProbability": logprob, "tokenId": 1}

    if not said.logprobs:
        return {}
    chosen = [told(token, logprob) for token, logprob, _ in said.logprobs]
    tops = [{"candidates": [told(*other) for other in others]} for _, _, others in said.logprobs]
    return {"logprobsResult": {"chosenCandidates": chosen, "topCandidates": tops}}


def whole(answer: Answer) -> dict[str, Any]:
    """The answer as one object; the first candidate has no index."""
    candidates = [
        {
            "content": {"role": "model", "parts": list(_parts(said, 1))},
            "finishReason": _FINISH[said.finish],
            **({"index": index} if index else {}),
            **_logprobs(said),
        }
        for index, said in enumerate(answer.choices)
    ]
    return {"candidates": candidates, "usageMetadata": _usage(answer.used), **_HEAD}


def frame(value: dict[str, Any]) -> bytes:
    """One frame; Google ends its lines as HTTP does."""
    return sse(value, end="\r\n")


def _candidates(index: int, said: Said) -> Iterator[dict[str, Any]]:
    place = {"index": index} if index else {}
    for part in _parts(said, 3):
        yield {"content": {"role": "model", "parts": [part]}, **place}
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": _FINISH[said.finish]}
    yield {**last, **place, **_logprobs(said)}


def stream(answer: Answer) -> list[bytes]:
    """The answer as a stream; the last frame of a candidate says nothing but why it ended."""
    told = in_turns([list(_candidates(index, said)) for index, said in enumerate(answer.choices)])
    frames: list[dict[str, Any]] = [{"candidates": [candidate]} for candidate in told]
    for each in frames:
        each |= {"usageMetadata": {"promptTokenCount": answer.used.tokens_in}, **_HEAD}
    frames[-1]["usageMetadata"] = _usage(answer.used)
    return [frame(each) for each in frames]


def error(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"code": code, "message": message, "status": status, **present({"details": list(details)})}}


_TYPE = "type.googleapis.com/google.rpc."
ERRORS = {
    "rejected": Error(400, error(400, "INVALID_ARGUMENT", "Unable to process input image.")),
    "too_long": Error(
        400,
        error(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed."),
    ),
    "key_refused": Error(
        400,
        error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            {"@type": _TYPE + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
        ),
    ),
    "unknown_model": Error(404, error(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta.")),
    "no_money": Error(429, error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its spending cap.")),
    "busy": Error(
        429,
        error(
            429,
            "RESOURCE_EXHAUSTED",
            "You exceeded your current rate.",
            {"@type": _TYPE + "RetryInfo", "retryDelay": "7s"},
        ),
    ),
    "overloaded": Error(503, error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")),
    "broken": Error(500, error(500, "INTERNAL", "An internal error has occurred.")),
}


def _user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def _asking(*contents: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"contents": list(contents), **fields}


def _choosing(**config: Any) -> dict[str, Any]:
    return _asking(_WHERE, tools=_TOOLS, toolConfig={"functionCallingConfig": config})


def _configured(**config: Any) -> dict[str, Any]:
    return _asking(_HI, generationConfig=config)


def _called(id_: str, city: str) -> dict[str, Any]:
    return {"functionCall": {"id": id_, "name": "weather", "args": {"city": city}}}


def _result(id_: str, told: str) -> dict[str, Any]:
    return {"functionResponse": {"id": id_, "name": "weather", "response": {"result": told}}}


def _inline(mime: str, data: str) -> dict[str, Any]:
    return _asking(_user({"text": "What is this?"}, {"inlineData": {"mimeType": mime, "data": data}}))


_HI = _user({"text": "Say hello."})
_WHERE = _user({"text": "How is the weather in Paris?"})
_BOTH = _user({"text": "How is the weather in Paris and in Rome?"})
_WEATHER = {"name": "weather", "description": "Tells the weather.", "parametersJsonSchema": SCHEMA}
_TOOLS = [{"functionDeclarations": [_WEATHER]}]
_CAT = {"fileData": {"fileUri": "https://pics.example/cat.png", "mimeType": "image/png"}}

_SENT: dict[str, Any] = {
    **dict.fromkeys(("text", "filter", "refusal", "cached"), _asking(_HI)),
    "system": _asking(_HI, systemInstruction={"parts": [{"text": "Be brief."}]}),
    "turns": _asking(_HI, {"role": "model", "parts": [{"text": "Hello."}]}, _user({"text": "Again."})),
    "sampling": _configured(maxOutputTokens=50, temperature=0.5),
    "top_p": _configured(topP=0.75),
    "stop": _asking(_user({"text": "Count."}), generationConfig={"stopSequences": ["END"]}),
    "seed": _configured(seed=7),
    "penalties": _configured(presencePenalty=0.5, frequencyPenalty=0.25),
    "tools": _asking(_WHERE, tools=_TOOLS),
    "words_and_tools": _asking(_WHERE, tools=_TOOLS),
    "parallel_calls": _asking(_BOTH, tools=_TOOLS),
    "no_arguments": _asking(
        _user({"text": "What time is it?"}),
        tools=[{"functionDeclarations": [{"name": "now", "description": "Tells the time."}]}],
    ),
    "tool_results": _asking(
        _BOTH,
        {"role": "model", "parts": [_called("callA0001", "Paris"), _called("callB0002", "Rome")]},
        _user(_result("callA0001", "18 °C"), _result("callB0002", "25 °C")),
        tools=_TOOLS,
    ),
    "tool_auto": _choosing(mode="AUTO"),
    "tool_none": _choosing(mode="NONE"),
    "tool_required": _choosing(mode="ANY"),
    "tool_named": _choosing(mode="ANY", allowedFunctionNames=["weather"]),
    "one_call": Refused("parallel_tool_calls"),
    "image": _inline("image/png", "cG5n"),
    "image_url": _asking(_user({"text": "What is this?"}, _CAT)),
    "audio": _inline("audio/wav", "d2F2"),
    "file": _inline("application/pdf", "cGRm"),
    "json": _configured(responseMimeType="application/json"),
    "schema": _configured(responseMimeType="application/json", responseJsonSchema=SCHEMA),
    "reasoning": _configured(thinkingConfig={"thinkingBudget": 24576}),
    "n": _configured(candidateCount=2),
    "logprobs": _configured(responseLogprobs=True),
    "top_logprobs": _configured(responseLogprobs=True, logprobs=2),
    "length": _configured(maxOutputTokens=5),
}

_RAN = Answer((Said("It is 4."),))
_CODE = [
    {"executableCode": {"language": "PYTHON", "code": "print(2 + 2)"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n"}},
    {"text": "It is 4."},
]
_GROUNDED = {"groundingMetadata": {"webSearchQueries": ["2 + 2"]}}


def _candidate(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}], **_HEAD}


_DONE = {"finishReason": "STOP", **_GROUNDED}
_USED = {"usageMetadata": _usage(_RAN.used)}

VENDOR = Vendor(
    model="gemini-2.5-flash",
    path="/models/gemini-2.5-flash:generateContent",
    stream_path="/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    credential=("x-goog-api-key", "secret"),
    sent=_SENT,
    never=frozenset({"refusal"}),
    signs=True,
    whole=whole,
    stream=stream,
    errors=ERRORS,
    in_band=(frame(error(503, "UNAVAILABLE", "The model is overloaded.")), UpstreamBusy),
    special={
        "code_execution": Special(
            {**_candidate(*_CODE, **_DONE), **_USED},
            [*(frame(_candidate(part)) for part in _CODE), frame({**_candidate(**_DONE), **_USED})],
            _RAN,
            ("executableCode", "codeExecutionResult", "groundingMetadata"),
        ),
    },
)
