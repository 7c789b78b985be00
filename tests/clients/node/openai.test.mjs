// OpenAI's SDK for JavaScript.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { ADA, apiKey, BOTH, HELLO, listen, model, NESTED, PARIS, RED, ROME, SCHEMA, url, WARM } from "./models.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const Person = z.object({ name: z.string(), age: z.number(), tags: z.array(z.string()) });
const tools = [{ type: "function", function: { name: "get_weather", description: "Weather", parameters: SCHEMA } }];
const asked = (content = "Go on.") => [{ role: "user", content }];
const create = (name, more = {}) => client.chat.completions.create({ model: model(name), messages: asked(), ...more });

test("a text", async () => {
  const { data, response } = await create("hello").withResponse();
  assert.ok(response.headers.get("x-request-id"));
  assert.equal(data.choices[0].message.content, HELLO);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.equal(data.usage.total_tokens, 18);
});

test("a streamed text", async () => {
  const { heard, error } = await listen(create("hello", { stream: true, stream_options: { include_usage: true } }));
  assert.equal(error, undefined);
  const choices = heard.flatMap((chunk) => chunk.choices);
  assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), HELLO);
  assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
  assert.equal(heard.at(-1).usage.prompt_tokens, 11);
});

test("a tool's round trip, by the SDK's own runner", async () => {
  const given = [];
  const run = client.chat.completions.runTools({
    model: model("weather"),
    messages: asked(),
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          description: "Weather",
          parameters: SCHEMA,
          parse: JSON.parse,
          function: (input) => (given.push(input), "18"),
        },
      },
    ],
  });
  assert.equal(await run.finalContent(), WARM);
  assert.deepEqual(given, [PARIS]);
});

test("parallel tools, streamed", async () => {
  let pieces = 0;
  const stream = client.chat.completions.stream({ model: model("two"), messages: asked(), tools });
  stream.on("tool_calls.function.arguments.delta", () => (pieces += 1));
  const said = (await stream.finalChatCompletion()).choices[0];
  const calls = said.message.tool_calls;
  assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments)), [NESTED, ROME]);
  assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  assert.ok(pieces >= 2);
  const results = calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "18" }));
  const again = await create("two", { messages: [...asked(), said.message, ...results], tools });
  assert.equal(again.choices[0].message.content, BOTH);
});

test("a structure", async () => {
  const ask = { model: model("person"), messages: asked(), response_format: zodResponseFormat(Person, "person") };
  assert.deepEqual((await client.chat.completions.parse(ask)).choices[0].message.parsed, ADA);
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, ADA);
});

test("a picture", async () => {
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${RED}` } };
  const said = await create("eyes", { messages: asked([{ type: "text", text: "What?" }, image]) });
  assert.equal(said.choices[0].message.content, "I see a small red square.");
});

test("refusals", async () => {
  const refused = async (name, kind, status) => {
    const error = await create(name).then(assert.fail, (error) => error);
    assert.ok(error instanceof kind, `${name}: ${error}`);
    assert.equal(error.status, status);
    assert.ok(error.error.message);
    return error;
  };
  await refused("bad", OpenAI.BadRequestError, 400);
  await refused("locked", OpenAI.InternalServerError, 502);
  await refused("missing", OpenAI.NotFoundError, 404);
  assert.ok(Number((await refused("busy", OpenAI.RateLimitError, 429)).headers.get("retry-after")) >= 1);
  await refused("overloaded", OpenAI.InternalServerError, 503);
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-wrong", maxRetries: 0 });
  await assert.rejects(wrong.chat.completions.create({ model: model("hello"), messages: asked() }), OpenAI.AuthenticationError);
});

test("it waits as long as it is told, and asks again", async () => {
  const paced = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.HEADGATE_PACED, maxRetries: 3 });
  for (let turn = 0; turn < 2; turn += 1) {
    const said = await paced.chat.completions.create({ model: model("hello"), messages: asked() });
    assert.equal(said.choices[0].message.content, HELLO);
  }
});

for (const name of ["resets", "stops", "fails"]) {
  test(`a stream that breaks: ${name}`, async () => {
    const { heard, error } = await listen(create(name, { stream: true }));
    assert.ok(error instanceof OpenAI.APIError, String(error));
    const choices = heard.flatMap((chunk) => chunk.choices);
    assert.ok(choices.some((choice) => choice.delta.content));
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), []);
  });
}

test("responses", async () => {
  assert.equal((await client.responses.create({ model: model("hello"), input: "Hi" })).output_text, HELLO);
  const said = await client.responses.parse({
    model: model("person"),
    input: "Hi",
    text: { format: zodTextFormat(Person, "person") },
  });
  assert.deepEqual(said.output_parsed, ADA);
  const stream = client.responses.stream({ model: model("hello"), input: "Hi" });
  assert.equal((await stream.finalResponse()).output_text, HELLO);
  const broken = await listen(client.responses.create({ model: model("stops"), input: "Hi", stream: true }));
  assert.ok(broken.error ?? broken.heard.some((event) => event.type === "response.failed"));
  assert.ok(!broken.heard.some((event) => event.type === "response.completed"));
});
