// What the models of `_models.py` say, and where they are.

import { randomUUID } from "node:crypto";

export const url = process.env.HEADGATE_URL;
export const apiKey = process.env.HEADGATE_KEY;
export const model = (name) => `${process.env.PROVIDER}/${name}`;
export const fresh = (name) => `${name}~${randomUUID()}`; // one whose failures nobody has seen

export const HELLO = 'Hello. Grüße, 世界 🌍 — "quoted"\n\tand done.';
export const PARIS = { city: "Paris" };
export const NESTED = { city: "Paris", opts: { unit: "C", days: [1, 2] } };
export const ROME = { city: "Rome" };
export const ADA = { name: "Ada", age: 36, tags: ["x", "ü"] };
export const WARM = "It is 18 degrees in Paris.";
export const BOTH = "Paris 18, Rome 24.";
export const RED = process.env.RED;

export const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, opts: { type: "object" } },
  required: ["city"],
};

// What a stream says until it ends, well or badly.
export async function listen(stream) {
  const heard = [];
  try {
    for await (const said of await stream) heard.push(said);
  } catch (error) {
    return { heard, error };
  }
  return { heard, error: undefined };
}
