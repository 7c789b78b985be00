"""Every surface with every provider: what the vendor said is what the caller hears, whole and streamed.

The callers in `callers/` are readers of their own: they insist on the grammar of the surface, not on our Writers.
"""

import pytest
from msgspec import structs

from contracts._features import FEATURES
from contracts._suite import (
    answers_of,
    api_of,
    asked_on,
    callers,
    connected,
    endpoint_of,
    hear,
    heard,
    heard_until,
    offered,
    own,
    playable,
    script_of,
    script_of_special,
    spoken,
    written,
)
from headgate.config import load
from headgate.core.call import ToolChoice
from headgate.surfaces.edge import Endpoint
from headgate.surfaces.faults import body_of
from headgate.surfaces.table import endpoints

pytestmark = pytest.mark.anyio

VENDORS = own() | {"vllm": playable()["vllm"]}  # one of the presets, which are alike
CALLERS = callers()
CELLS = [
    (surface, name, feature)
    for surface, caller in CALLERS.items()
    for name, vendor in VENDORS.items()
    for feature in caller.QUESTIONS
    if offered(api_of(vendor, surface), feature)
]
SPECIAL = [
    (surface, name, special)
    for surface in CALLERS
    for name, vendor in VENDORS.items()
    for special in api_of(vendor, surface).special
]
ALIKE = [(surface, feature) for surface, caller in CALLERS.items() for feature in caller.QUESTIONS]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def test_every_surface_that_asks_a_model_has_a_caller():
    alike = {"/complete", "/stream", "/generate", "/ask", "/ask/stream"}  # the simple surface, as /chat is
    asking = {path for path, endpoint in endpoints(load()).items() if isinstance(endpoint, Endpoint)}
    assert {caller.PATH for caller in CALLERS.values()} == asking - alike


@STREAM
@pytest.mark.parametrize(("surface", "name", "feature"), CELLS)
async def test_a_caller_hears_what_the_vendor_said(surface, name, feature, stream):
    caller, vendor = CALLERS[surface], api_of(VENDORS[name], surface)
    said = await spoken(caller, name, vendor, feature, stream=stream)
    assert said == caller.heard_as(answers_of(vendor, feature))


@STREAM
@pytest.mark.parametrize(("surface", "name", "special"), SPECIAL)
async def test_a_vendors_own_tools_are_no_calls_of_the_callers(surface, name, special, stream):
    caller, vendor = CALLERS[surface], api_of(VENDORS[name], surface)
    exchange = vendor.special[special]
    provider, _ = connected(name, vendor, *script_of_special(exchange, stream=stream))
    call = asked_on(caller, caller.QUESTIONS["text"], vendor.model, stream=stream)
    data = written(caller, call, await heard(provider, call))
    assert hear(caller, data, stream=stream) == caller.heard_as(exchange.says)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("surface", CALLERS)
async def test_a_stream_that_breaks_off_never_looks_like_an_end(surface, name):
    caller, vendor = CALLERS[surface], api_of(VENDORS[name], surface)
    told = script_of(vendor, FEATURES["text"].says, stream=True)
    provider, _ = connected(name, vendor, *told[: len(told) // 2], vendor.in_band[0])
    call = asked_on(caller, caller.QUESTIONS["text"], vendor.model, stream=True)
    endpoint = endpoint_of(caller)
    events, fault = await heard_until(provider, call)
    writer = endpoint.writer(call)
    out = b"".join(map(writer.feed, events)) + writer.fail(body_of(fault, endpoint.surface, call.id))
    assert caller.hear_failure(out) == fault.message


@pytest.mark.parametrize(("surface", "feature"), ALIKE)
def test_a_question_means_the_same_on_every_surface(surface, feature):
    caller = CALLERS[surface]
    mine = asked_on(caller, caller.QUESTIONS[feature], "m", stream=False).prompt
    theirs = asked_on(CALLERS["openai"], CALLERS["openai"].QUESTIONS[feature], "m", stream=False).prompt
    assert common(mine) == common(theirs)


def common(prompt):
    """What all surfaces have words for."""
    form = prompt.format and structs.replace(prompt.format, name="")
    bound = prompt.max_tokens if prompt.max_tokens in {5, 50} else None
    wish = prompt.reasoning and "high"
    choice = prompt.tool_choice if prompt.tool_choice != ToolChoice("auto") else None
    tools = tuple(structs.replace(tool, schema=tool.schema or {"type": "object"}) for tool in prompt.tools)
    return structs.replace(
        prompt, format=form, max_tokens=bound, reasoning=wish, tools=tools, tool_choice=choice, extra={}
    )
