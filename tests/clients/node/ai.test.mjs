// The AI SDK of Vercel, by its providers for OpenAI (chat and responses), anything like OpenAI, and Anthropic.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateObject, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { ADA, apiKey, BOTH, fresh, HELLO, model, NESTED, PARIS, RED, ROME, url, WARM } from "./models.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const providers = {
  "openai chat": (name) => openai.chat(model(name)),
  "openai responses": (name) => openai.responses(model(name)),
  "openai-compatible": createdCompatible(),
  anthropic: createdAnthropic(),
};

function createdCompatible() {
  const made = createOpenAICompatible({
    name: "headgate",
    baseURL: `${url}/v1`,
    apiKey,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
  return (name) => made(model(name));
}

function createdAnthropic() {
  const made = createAnthropic({ baseURL: `${url}/v1`, apiKey });
  return (name) => made(model(name));
}

const Person = z.object({ name: z.string(), age: z.number(), tags: z.array(z.string()) });

function weather(given) {
  const inputSchema = z.object({ city: z.string(), opts: z.object({ unit: z.string(), days: z.array(z.number()) }).optional() });
  return { get_weather: tool({ description: "Weather", inputSchema, execute: async (input) => (given.push(input), "18") }) };
}

for (const [name, of] of Object.entries(providers)) {
  const ask = (said, more = {}) => ({ model: of(said), prompt: "Go on.", maxRetries: 0, ...more });

  test(`${name}: a text`, async () => {
    const said = await generateText(ask("hello", { system: "Be brief." }));
    assert.deepEqual([said.text, said.finishReason], [HELLO, "stop"]);
    assert.deepEqual([said.usage.inputTokens, said.usage.outputTokens], [11, 7]);
  });

  test(`${name}: a streamed text`, async () => {
    const said = streamText(ask("hello"));
    let heard = "";
    for await (const piece of said.textStream) heard += piece;
    assert.deepEqual([heard, await said.finishReason], [HELLO, "stop"]);
    assert.deepEqual([(await said.usage).inputTokens, (await said.usage).outputTokens], [11, 7]);
  });

  test(`${name}: a tool's round trip`, async () => {
    const given = [];
    const said = await generateText(ask("weather", { tools: weather(given), stopWhen: stepCountIs(3) }));
    assert.deepEqual([said.text, said.steps.length, given], [WARM, 2, [PARIS]]);
  });

  test(`${name}: parallel tools, streamed`, async () => {
    const given = [];
    const said = streamText(ask("two", { tools: weather(given), stopWhen: stepCountIs(3) }));
    const kinds = [];
    for await (const part of said.fullStream) kinds.push(part.type);
    assert.deepEqual([await said.text, given], [BOTH, [NESTED, ROME]]);
    assert.ok(kinds.filter((kind) => kind === "tool-input-delta").length >= 2, kinds.join());
    assert.ok(!kinds.includes("error"), kinds.join());
  });

  test(`${name}: a structure`, async () => {
    if (name === "anthropic" && process.env.PROVIDER === "gemini") {
      // It asks for structures by a tool, and for one call at a time, to which Gemini cannot be held.
      await assert.rejects(generateObject(ask("person", { schema: Person })), /one tool call at a time/);
      return;
    }
    assert.deepEqual((await generateObject(ask("person", { schema: Person }))).object, ADA);
    assert.deepEqual((await generateText(ask("person", { output: Output.object({ schema: Person }) }))).output, ADA);
  });

  test(`${name}: a picture`, async () => {
    const content = [{ type: "text", text: "What?" }, { type: "image", image: Buffer.from(RED, "base64"), mediaType: "image/png" }];
    const said = await generateText({ model: of("eyes"), messages: [{ role: "user", content }] });
    assert.equal(said.text, "I see a small red square.");
  });

  test(`${name}: refusals`, async () => {
    for (const [said, status, again] of [["bad", 400, false], ["missing", 404, false], ["busy", 429, true], ["overloaded", 503, true]]) {
      const error = await generateText(ask(fresh(said))).then(assert.fail, (error) => error);
      assert.ok(APICallError.isInstance(error), String(error));
      assert.deepEqual([error.statusCode, error.isRetryable], [status, again]);
      assert.ok(error.message);
    }
  });

  for (const said of ["resets", "stops", "fails"]) {
    test(`${name}: a stream that breaks: ${said}`, async () => {
      const parts = [];
      let thrown;
      try {
        for await (const part of streamText(ask(fresh(said), { onError: () => {} })).fullStream) parts.push(part);
      } catch (error) {
        thrown = error;
      }
      assert.ok(parts.some((part) => part.type === "text-delta"));
      assert.ok(thrown ?? parts.some((part) => part.type === "error"), JSON.stringify(parts));
      assert.ok(!parts.some((part) => part.type === "finish" && part.finishReason === "stop"), JSON.stringify(parts));
    });
  }
}

test("vectors", { skip: process.env.PROVIDER === "anthropic" }, async () => {
  const { embedMany } = await import("ai");
  const { embeddings } = await embedMany({ model: openai.embedding(model("vectors")), values: ["one", "two"] });
  assert.deepEqual(embeddings, [[1, 2, 3], [1, 2, 3]]);
});
