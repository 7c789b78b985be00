"""Somebody whose program runs tools: what the model said goes back to it, call by call, with its results."""

import json

import pytest

from contracts._features import PARIS, ROME, Answer, Said, Used
from contracts._suite import api_of, asked_on, callers, connected, heard, own, playable, script_of, written

pytestmark = pytest.mark.anyio

CALLERS = {name: caller for name, caller in callers().items() if hasattr(caller, "going_on")}
VENDORS = own() | {"vllm": playable()["vllm"]}
GOOGLE = {"gemini", "vertex"}
RESULTS = {PARIS.id: "18 °C", ROME.id: "25 °C"}
SIGNATURE = "c2lnbmVkIGJ5IGl0cyBtYWtlcg=="
ANSWERS = {
    "calls": Said(calls=(PARIS, ROME), finish="tool"),
    "words and calls": Said("Let me look.", calls=(PARIS, ROME), finish="tool"),
    "thoughts and calls": Said("", "Where?", SIGNATURE, calls=(PARIS, ROME), finish="tool"),
    "thoughts, words and calls": Said("Let me look.", "Where?", SIGNATURE, calls=(PARIS, ROME), finish="tool"),
}


def texts(value):
    """Every text in a decoded body; JSON inside a text is looked into."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    if isinstance(value, str) and value[:1] == "{":
        return [value, *texts(json.loads(value))]
    return [value]


def has_room(surface, name, said):
    """Whether a surface has a place for a vendor's signature. Google's models sign the part that follows a thought."""
    if surface == "openai":
        return name in GOOGLE and not said.text  # on a call, where Google's own compatible API has it
    return surface == "responses" or name not in GOOGLE or bool(said.text)


@pytest.mark.parametrize("said", ANSWERS)
@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("surface", CALLERS)
async def test_calls_and_results_go_back_to_the_model_that_made_them(surface, name, said):
    caller, vendor = CALLERS[surface], api_of(VENDORS[name], surface)
    answer = Answer((ANSWERS[said],), Used())
    provider, wire = connected(name, vendor, *script_of(vendor, answer, stream=False))
    question = caller.QUESTIONS["parallel_calls"]
    call = asked_on(caller, question, vendor.model, stream=False)
    told = written(caller, call, await heard(provider, call))
    again = asked_on(caller, caller.going_on(question, told, RESULTS), vendor.model, stream=False)
    body = json.loads(provider.ask(again).body)
    found = texts(body)
    assert len(wire.asks) == 1
    for expected in (PARIS.arguments["city"], ROME.arguments["city"], *RESULTS.values()):
        assert expected in found
    for id_ in RESULTS:
        assert found.count(id_) == 2  # once called, once answered
    if ANSWERS[said].text and name != "cohere":  # whose words before calls are a plan
        assert found.count("Let me look.") == 1
    if vendor.signs and ANSWERS[said].signature and has_room(surface, name, ANSWERS[said]):
        assert SIGNATURE in found
