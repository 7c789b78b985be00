"""What the documentation says of the endpoints that ask a model, by path."""

from __future__ import annotations

from headgate.core.embedding import Embedded
from headgate.dialects import anthropic_messages_writer, openai_embeddings
from headgate.surfaces import (
    schemas,
    schemas_anthropic,
    schemas_asking,
    schemas_embeddings,
    schemas_openai,
    schemas_responses,
)
from headgate.surfaces.said import ENTRY, Said

QUESTION = "What is a headgate?"
_EVENTS = """

The stream is `{"delta": "…"}` many times, then one `event: done` with what happened, then `[DONE]`. After a failure it
is one `event: error` with an error body instead, and no `[DONE]`: so a cut answer can always be told from a whole one.
Comments (`: keep-alive`) may come in between.
"""
_SOURCED = """

The stream is one `event: sources`, `{"delta": "…"}` many times, one `event: citations`, one `event: done` with what
happened, then `[DONE]`. After a failure it is one `event: error` with an error body instead, and no `[DONE]`.
"""
_ASK_EVENTS = (
    schemas_asking.AskSources,
    schemas.Delta,
    schemas_asking.AskCitations,
    schemas_asking.AskDone,
    schemas.Error,
)
LIBRARY = "When does the library open?"
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
        reply=schemas_asking.GroundedReply,
        examples={
            "A prompt": {"prompt": QUESTION},
            "From documents": {"prompt": "When does the library open?", "use_context": True},
        },
    ),
    "/ask": Said(
        summary="Ask documents",
        description="Answers a question from the caller's documents, with the passages that the answer rests on. Where "
        "nothing relevant is found the answer says so, and no model is asked." + _SIMPLE + _SOURCED,
        tag="knowledge",
        operation_id="ask",
        request=schemas_asking.AskRequest,
        reply=schemas_asking.AskReply,
        events=_ASK_EVENTS,
        examples={
            "A question": {"question": LIBRARY},
            "In one collection, graded": {"question": LIBRARY, "top_k": 3, "evaluate": True},
            "A follow-up": {
                "question": "And in winter?",
                "history": [
                    {"role": "user", "content": LIBRARY},
                    {"role": "assistant", "content": "At nine [1]."},
                ],
            },
        },
    ),
    "/ask/stream": Said(
        summary="Ask documents, as a stream",
        description="Answers a question from the caller's documents as Server-Sent Events." + _SIMPLE + _SOURCED,
        tag="knowledge",
        operation_id="ask_stream",
        request=schemas_asking.AskRequest,
        reply=schemas_asking.AskReply,
        events=_ASK_EVENTS,
        examples={"A question": {"question": LIBRARY}},
    ),
    "/recipes/{name}": Said(
        summary="Ask a recipe",
        description="Answers a question by one of the operator's recipes, which says where to look, what to tell the "
        "model and which model to ask. `GET /recipes` lists them." + _SIMPLE + _SOURCED,
        tag="knowledge",
        operation_id="ask_recipe",
        request=schemas_asking.RecipeRequest,
        reply=schemas_asking.AskReply,
        events=_ASK_EVENTS,
        examples={"A question": {"question": LIBRARY}},
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
    "/v1/completions": Said(
        summary="Create a completion",
        description="OpenAI's older completions. A provider that has them is asked for them as they are; for any other "
        "the prompt becomes a chat's one turn, and what chats cannot do is refused: several prompts, token ids, "
        "`suffix`, `logprobs`, `best_of`. Where the operator has a system prompt, it is always a chat."
        + _VENDOR
        + "\n\nA stream that failed ends with an error body in a `data:` line, and without `[DONE]`.",
        tag="openai",
        operation_id="create_completion",
        request=schemas_openai.CompletionRequest,
        reply=schemas_openai.Completion,
        events=(schemas_openai.Completion, schemas.OpenAIError),
        examples={
            "A prompt": {"prompt": QUESTION, "max_tokens": 60},
            "Streamed": {"prompt": QUESTION, "stream": True, "stream_options": {"include_usage": True}},
        },
    ),
    "/v1/embeddings": Said(
        summary="Create embeddings",
        description="OpenAI's embeddings, by any provider that makes them: one vector for each text." + _VENDOR,
        tag="openai",
        operation_id="create_embeddings",
        request=schemas_embeddings.EmbeddingsRequest,
        reply=schemas_embeddings.Embeddings,
        answer=openai_embeddings.whole(
            {}, Embedded([[0.0231, -0.0417, 0.0093]], None, "text-embedding-3-small"), ENTRY
        ),
        examples={
            "A text": {"model": "assistant", "input": QUESTION},
            "Several, as base64": {"model": "assistant", "input": [QUESTION, "A gate."], "encoding_format": "base64"},
        },
    ),
    "/v1/messages/count_tokens": Said(
        summary="Count the tokens of a message",
        description="Anthropic's count of what `/v1/messages` would read, for any provider. It is free, but counts "
        "as a request. Anthropic's models and Gemini's are asked; for all others it is an estimate, "
        "four bytes of text to a token, and `Headgate-Estimated: true` says so.",
        tag="anthropic",
        operation_id="count_tokens",
        request=schemas_anthropic.CountRequest,
        reply=schemas_anthropic.TokenCount,
        answer=anthropic_messages_writer.write_count(14),
        examples={"A message": {"model": "assistant", "messages": [_ASK]}},
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
