"""What the documentation says of the endpoints that ask a model, by path."""

from __future__ import annotations

from headgate.surfaces import schemas, schemas_anthropic, schemas_openai, schemas_responses
from headgate.surfaces.said import Said

QUESTION = "What is a headgate?"
_EVENTS = """

The stream is `{"delta": "…"}` many times, then one `event: done` with what happened, then `[DONE]`. After a failure it
is one `event: error` with an error body instead, and no `[DONE]`: so a cut answer can always be told from a whole one.
Comments (`: keep-alive`) may come in between.
"""
_SIMPLE = " Unknown fields are refused."
_VENDOR = " Fields that Headgate does not know travel unchanged to a provider that speaks the same dialect."

_WEATHER = {
    "name": "get_weather",
    "description": "The weather in a town now.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
_ASK = {"role": "user", "content": QUESTION}

DOCUMENTED: dict[str, Said] = {
    "/chat": Said(
        summary="Chat with a model",
        description="Sends one message, and answers whole or, with `stream`, as Server-Sent Events."
        + _SIMPLE
        + _EVENTS,
        tag="simple",
        operation_id="chat",
        request=schemas.ChatRequest,
        reply=schemas.ChatReply,
        events=(schemas.Delta, schemas.ChatDone, schemas.Error),
        examples={
            "A message": {"message": QUESTION},
            "With instructions": {
                "message": QUESTION,
                "system_prompt": "Answer in one sentence.",
                "temperature": 0.2,
                "max_tokens": 200,
            },
            "Streamed": {"message": QUESTION, "stream": True},
        },
    ),
    "/complete": Said(
        summary="Complete a prompt",
        description="Answers a prompt whole. The defaults make much the same answer each time." + _SIMPLE,
        tag="simple",
        operation_id="complete",
        request=schemas.CompleteRequest,
        reply=schemas.CompleteReply,
        examples={
            "A prompt": {"prompt": QUESTION},
            "Short and free": {"prompt": QUESTION, "max_tokens": 60, "temperature": 1},
        },
    ),
    "/stream": Said(
        summary="Complete a prompt as a stream",
        description="Answers a prompt as Server-Sent Events." + _SIMPLE + _EVENTS,
        tag="simple",
        operation_id="stream",
        request=schemas.CompleteRequest,
        reply=schemas.CompleteReply,
        events=(schemas.Delta, schemas.Done, schemas.Error),
        examples={"A prompt": {"prompt": QUESTION}},
    ),
    "/generate": Said(
        summary="Answer a prompt",
        description="Answers a prompt whole, from the knowledge base where `use_context` asks for it." + _SIMPLE,
        tag="simple",
        operation_id="generate",
        request=schemas.GenerateRequest,
        reply=schemas.GenerateReply,
        examples={"A prompt": {"prompt": QUESTION}},
    ),
    "/v1/chat/completions": Said(
        summary="Create a chat completion",
        description="OpenAI's chat completions, to any provider. What happened is told in `Headgate-…` headers."
        + _VENDOR
        + "\n\nA stream that failed ends with an error body in a `data:` line, and without `[DONE]`.",
        tag="openai",
        operation_id="create_chat_completion",
        request=schemas_openai.ChatCompletionRequest,
        reply=schemas_openai.ChatCompletion,
        events=(schemas_openai.ChatCompletionChunk, schemas.OpenAIError),
        examples={
            "A message": {"messages": [_ASK]},
            "Streamed": {"messages": [_ASK], "stream": True, "stream_options": {"include_usage": True}},
            "With a tool": {
                "messages": [{"role": "user", "content": "How is the weather in Bern?"}],
                "tools": [{"type": "function", "function": _WEATHER}],
            },
        },
    ),
    "/v1/messages": Said(
        summary="Create a message",
        description="Anthropic's messages, to any provider. What happened is told in `Headgate-…` headers."
        + _VENDOR
        + "\n\nA stream that failed ends with an `error` event, and without `message_stop`.",
        tag="anthropic",
        operation_id="create_message",
        request=schemas_anthropic.MessagesRequest,
        reply=schemas_anthropic.AnthropicMessage,
        events=(*schemas_anthropic.EVENTS, schemas.AnthropicError),
        examples={
            "A message": {"model": "assistant", "max_tokens": 500, "messages": [_ASK]},
            "Streamed": {"model": "assistant", "max_tokens": 500, "messages": [_ASK], "stream": True},
        },
    ),
    "/v1/responses": Said(
        summary="Create a response",
        description="OpenAI's Responses API, to any provider. What happened is told in `Headgate-…` headers. Unless "
        "`store` is false, the response is kept for thirty days, for its caller alone."
        + _VENDOR
        + "\n\nA stream that failed ends with an `error` event, and without `response.completed`.",
        tag="openai",
        operation_id="create_response",
        request=schemas_responses.ResponsesRequest,
        reply=schemas_responses.ResponseObject,
        events=schemas_responses.EVENTS,
        examples={
            "A text": {"input": QUESTION},
            "Streamed": {"input": QUESTION, "stream": True},
            "With a tool": {
                "input": [{"role": "user", "content": "How is the weather in Bern?"}],
                "tools": [{"type": "function", **_WEATHER}],
            },
        },
    ),
}
