"""`headgate replay` shows what each frame means and what a caller gets for it."""

import json

import pytest

FRAMES = [
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}',
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"lo"}}]}',
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    "[DONE]",
]


@pytest.fixture
def recorded(here):
    def write(*frames, end="\n\n"):
        (here / "answer.sse").write_text("".join(f"data: {frame}{end}" for frame in frames))
        return "answer.sse"

    return write


def replayed(run, *args):
    result = run("replay", *args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_stream_is_shown_frame_by_frame(run, recorded):
    steps = replayed(run, recorded(*FRAMES), "--kind", "openai", "--as", "simple")
    assert [step["in"] for step in steps] == [f"data: {frame}\n\n" for frame in FRAMES] + [""]
    assert "Text(text='Hel'" in str(steps[0]["events"])
    assert steps[0]["out"] == 'data: {"delta":"Hel"}\n\n'
    assert steps[1]["out"] == 'data: {"delta":"lo"}\n\n'
    assert steps[-1]["out"].endswith("data: [DONE]\n\n")


def test_a_stream_is_shown_as_another_vendors_client_gets_it(run, recorded):
    steps = replayed(run, recorded(*FRAMES), "--kind", "openai", "--as", "anthropic")
    told = "".join(step["out"] for step in steps)
    assert [told.count(name) for name in ("event: message_start", "text_delta", "event: message_stop")] == [1, 2, 1]


def test_a_caller_of_the_same_dialect_gets_the_bytes_themselves(run, recorded):
    steps = replayed(run, recorded(*FRAMES), "--kind", "openai", "--as", "openai")
    assert steps[0]["out"] == steps[0]["in"]
    assert steps[-1]["out"].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("surface", ["openai", "anthropic", "simple"])
def test_a_cut_stream_ends_in_the_fault_that_a_caller_is_told(run, recorded, surface):
    steps = replayed(run, recorded(*FRAMES[:2]), "--kind", "openai", "--as", surface)
    assert steps[-1]["events"][-1].startswith("UpstreamBroken: ")
    assert '"error"' in steps[-1]["out"]
    told = "".join(step["out"] for step in steps)
    assert not any(end in told for end in ("[DONE]", "message_stop", "event: done"))


def test_line_ends_of_every_kind_part_frames(run, recorded):
    assert len(replayed(run, recorded(*FRAMES, end="\r\n\r\n"), "--kind", "openai", "--as", "simple")) == 5


def test_an_answer_in_one_piece_is_shown_too(run, here):
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    (here / "answer.json").write_text(json.dumps(body))
    steps = replayed(run, "answer.json", "--kind", "openai", "--as", "simple", "--whole")
    assert "Text(text='Hi'" in str(steps[-1]["events"])


def test_the_terminal_shows_bytes_in_events_and_bytes_out(run, recorded):
    output = run("replay", recorded(*FRAMES), "--kind", "openai", "--as", "simple").output
    assert f"1\n  < data: {FRAMES[0]}\n" in output
    assert '  > data: {"delta":"Hel"}\n' in output


def test_an_unknown_provider_is_a_sentence_that_names_the_nearest(run, recorded):
    result = run("replay", recorded(*FRAMES), "--kind", "opnai")
    assert result.exit_code == 1
    assert result.stderr == 'Error: there is no provider of the kind "opnai"; did you mean openai?\n'


def test_a_recording_that_is_not_there_is_wrong_usage(run):
    assert run("replay", "nope", "--kind", "openai").exit_code == 2
