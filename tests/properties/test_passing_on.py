"""An answer that is passed on, read by a full reader of its dialect, means what the upstream meant, extras included."""

from hypothesis import given
from hypothesis import strategies as st

from contracts._features import folded
from contracts._suite import (
    answers_of,
    api_of,
    asked_on,
    callers,
    connected,
    fold,
    offered,
    own,
    script_of,
    script_of_special,
    written,
)
from headgate.dialects import anthropic_messages_reader, openai_chat_reader, openai_responses_reader
from properties.test_splits import cut

READERS = {
    "openai": ("openai", openai_chat_reader),
    "anthropic": ("anthropic", anthropic_messages_reader),
    "responses": ("openai", openai_responses_reader),
}


def understood(reader, data):
    """The whole meaning of the bytes."""
    return fold([*reader.feed(data), *reader.close()])


@given(surface=st.sampled_from(list(READERS)), stream=st.booleans(), data=st.data())
def test_what_is_passed_on_means_what_the_upstream_meant(surface, stream, data):
    name, dialect = READERS[surface]
    vendor, caller = api_of(own()[name], surface), callers()[surface]
    features = [feature for feature in caller.QUESTIONS if offered(vendor, feature)]
    feature = data.draw(st.sampled_from([*features, *vendor.special]))
    script = (
        script_of_special(vendor.special[feature], stream=stream)
        if feature in vendor.special
        else script_of(vendor, answers_of(vendor, feature), stream=stream)
    )
    body = b"".join(script)
    call = asked_on(caller, caller.QUESTIONS.get(feature, caller.QUESTIONS["text"]), vendor.model, stream=stream)
    provider, _ = connected(name, vendor)
    reader = provider.reader(call)
    cuts = data.draw(st.lists(st.integers(0, 2**16), max_size=8))
    events = [event for piece in cut(body, cuts) for event in reader.feed(piece)]
    passed = written(caller, call, [*events, *reader.close()])
    full = dialect.StreamReader if stream else dialect.AnswerReader
    heard, meant = understood(full(), passed), understood(full(), body)
    assert folded(heard) == folded(meant)
    assert heard.begin == meant.begin
    for ours, theirs in zip(heard.choices, meant.choices, strict=True):
        assert (ours.extras, ours.thoughts, ours.done) == (theirs.extras, theirs.thoughts, theirs.done)
