// Anthropic's SDK for JavaScript.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { apiKey, BOTH, HELLO, listen, model, NESTED, PARIS, RED, ROME, SCHEMA, url, WARM } from "./models.mjs";

const client = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const tools = [{ name: "get_weather", description: "Weather", input_schema: SCHEMA }];
const asked = (content = "Go on.") => [{ role: "user", content }];
const ask = (name, more = {}) => ({ model: model(name), max_tokens: 200, messages: asked(), ...more });
const text = (message) => message.content.map((block) => block.text ?? "").join("");
const calls = (message) => message.content.filter((block) => block.type === "tool_use");
const results = (message) =>
  calls(message).map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "18" }));

test("a text", async () => {
  const { data, response } = await client.messages.create(ask("hello", { system: "Be brief." })).withResponse();
  assert.ok(response.headers.get("x-request-id"));
  assert.equal(text(data), HELLO);
  assert.equal(data.stop_reason, "end_turn");
  assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [11, 7]);
});

test("a streamed text", async () => {
  const stream = client.messages.stream(ask("hello"));
  let heard = "";
  stream.on("text", (piece) => (heard += piece));
  const said = await stream.finalMessage();
  assert.deepEqual([heard, text(said), said.stop_reason, said.usage.output_tokens], [HELLO, HELLO, "end_turn", 7]);
});

test("a tool's round trip", async () => {
  const said = await client.messages.create(ask("weather", { tools }));
  assert.equal(said.stop_reason, "tool_use");
  assert.deepEqual(calls(said).map((call) => call.input), [PARIS]);
  const turns = [...asked(), { role: "assistant", content: said.content }, { role: "user", content: results(said) }];
  assert.equal(text(await client.messages.create(ask("weather", { tools, messages: turns }))), WARM);
});

test("parallel tools, streamed", async () => {
  let pieces = 0;
  const stream = client.messages.stream(ask("two", { tools }));
  stream.on("inputJson", () => (pieces += 1));
  const said = await stream.finalMessage();
  assert.deepEqual(calls(said).map((call) => call.input), [NESTED, ROME]);
  assert.equal(new Set(calls(said).map((call) => call.id)).size, 2);
  assert.ok(pieces >= 2);
  const turns = [...asked(), { role: "assistant", content: said.content }, { role: "user", content: results(said) }];
  assert.equal(text(await client.messages.stream(ask("two", { tools, messages: turns })).finalMessage()), BOTH);
});

test("a picture", async () => {
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: RED } };
  const said = await client.messages.create(ask("eyes", { messages: asked([image, { type: "text", text: "What?" }]) }));
  assert.equal(text(said), "I see a small red square.");
});

test("refusals", async () => {
  const refused = async (name, status, type) => {
    const error = await client.messages.create(ask(name)).then(assert.fail, (error) => error);
    assert.ok(error instanceof Anthropic.APIError, String(error));
    assert.deepEqual([error.status, error.error.error.type], [status, type]);
    return error;
  };
  assert.ok((await refused("bad", 400, "invalid_request_error")) instanceof Anthropic.BadRequestError);
  await refused("locked", 502, "api_error");
  assert.ok((await refused("missing", 404, "not_found_error")) instanceof Anthropic.NotFoundError);
  const busy = await refused("busy", 429, "rate_limit_error");
  assert.ok(busy instanceof Anthropic.RateLimitError);
  assert.ok(Number(busy.headers.get("retry-after")) >= 1);
  await refused("overloaded", 503, "overloaded_error");
  const wrong = new Anthropic({ baseURL: url, apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(wrong.messages.create(ask("hello")), Anthropic.AuthenticationError);
});

for (const name of ["resets", "stops", "fails"]) {
  test(`a stream that breaks: ${name}`, async () => {
    const { heard, error } = await listen(client.messages.create(ask(name, { stream: true })));
    assert.ok(error instanceof Anthropic.APIError, String(error));
    const kinds = heard.map((event) => event.type);
    assert.ok(kinds.includes("content_block_delta"));
    assert.ok(!kinds.includes("message_stop"));
  });
}

test("counting", async () => {
  const { input_tokens } = await client.messages.countTokens({ model: model("hello"), messages: asked() });
  assert.ok(input_tokens > 0);
});
