"""What every kind of provider does with every feature: how its vendor is asked, and what comes of the answer.

The transcripts are written by hand from the vendors' documentation: `_features.py` says what must come out.
"""

import json

import pytest

from contracts._features import FAILURES, FEATURES, folded
from contracts._suite import (
    SECRET,
    answered,
    answers_of,
    asked,
    callers,
    connected,
    fold,
    heard,
    heard_until,
    offered,
    own,
    playable,
    script_of,
    script_of_special,
    translated,
    vendor_of,
)
from contracts._vendor import Apart
from headgate.core.events import Done, Text
from headgate.core.faults import UpstreamBroken
from headgate.core.seams import Answered
from headgate.providers.kinds import kinds

pytestmark = pytest.mark.anyio

ALL = playable()
VENDORS = own()  # presets differ in what they are asked alone
ASKED = [(name, feature) for name, vendor in ALL.items() for feature in vendor.sent]
ANSWERED = [(name, feature) for name, vendor in VENDORS.items() for feature in FEATURES if offered(vendor, feature)]
SPECIAL = [(name, special) for name, vendor in VENDORS.items() for special in vendor.special]
CUT = [(name, feature) for name, feature in ANSWERED if feature in {"text", "reasoning", "parallel_calls", "n"}]
QUESTIONS = callers()["openai"].QUESTIONS


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_kind_has_transcripts_of_every_feature(name):
    vendor = vendor_of(name)
    if not isinstance(vendor, Apart):
        assert set(vendor.sent) == set(FEATURES), "a feature without a body that asks for it; or say that it is Refused"
        assert set(vendor.errors) == set(FAILURES)
        assert vendor.never <= set(FEATURES)


def test_a_kind_without_transcripts_is_told_what_to_do(monkeypatch):
    monkeypatch.setitem(kinds(), "acme", kinds()["cohere"])
    with pytest.raises(LookupError, match=r"tests/contracts/transcripts/acme\.py"):
        vendor_of("acme")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "feature"), ASKED)
async def test_a_question_becomes_the_vendors_own_or_is_refused_in_clear_words(name, feature, stream):
    await asked(name, ALL[name], feature, stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "feature"), ANSWERED)
async def test_an_answer_says_what_the_vendor_said(name, feature, stream):
    vendor = VENDORS[name]
    assert await answered(name, vendor, feature, stream=stream) == answers_of(vendor, feature)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "special"), SPECIAL)
async def test_what_only_one_vendor_says_is_told_under_its_name_and_calls_no_tool_of_the_callers(name, special, stream):
    vendor, exchange = VENDORS[name], VENDORS[name].special[special]
    provider, _ = connected(name, vendor, *script_of_special(exchange, stream=stream))
    reply = fold(await heard(provider, translated(vendor, QUESTIONS["text"], stream=stream)))
    assert folded(reply) == exchange.says
    assert {extra.name for extra in reply.choices[0].extras} >= set(exchange.extras)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", VENDORS)
async def test_an_error_is_the_fault_that_it_means(name, failure):
    vendor, expected = VENDORS[name], FAILURES[failure]
    error = vendor.errors[failure]
    answered = Answered(error.status, error.headers, json.dumps(error.body).encode())
    provider, _ = connected(name, vendor, answered)
    with pytest.raises(expected.fault) as caught:
        await heard(provider, translated(vendor, QUESTIONS["text"]))
    assert type(caught.value) is expected.fault
    assert expected.retry_after is None or caught.value.retry_after == expected.retry_after
    assert SECRET not in caught.value.message


@pytest.mark.parametrize("name", VENDORS)
async def test_an_error_in_the_middle_of_a_stream_comes_after_what_was_said(name):
    vendor = VENDORS[name]
    frame, fault = vendor.in_band
    script = script_of(vendor, FEATURES["text"].says, stream=True)
    half = len(script) // 2
    provider, _ = connected(name, vendor, *script[:half], frame, *script[half:])
    said, told = await heard_until(provider, translated(vendor, QUESTIONS["text"], stream=True))
    assert type(told) is fault
    assert "".join(event.text for event in said if isinstance(event, Text))
    assert not [event for event in said if isinstance(event, Done)]


@pytest.mark.parametrize(("name", "feature"), CUT)
async def test_a_stream_cut_anywhere_is_broken_unless_its_end_was_told(name, feature):
    vendor = VENDORS[name]
    answer = answers_of(vendor, feature)
    told = script_of(vendor, answer, stream=True)
    for at in range(len(told)):
        provider, _ = connected(name, vendor, *told[:at])
        said, fault = await heard_until(provider, translated(vendor, QUESTIONS[feature], stream=True))
        ends = [event for event in said if isinstance(event, Done)]
        assert isinstance(fault, UpstreamBroken) or len(ends) == len(answer.choices), told[at]
