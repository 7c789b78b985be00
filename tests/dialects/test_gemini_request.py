"""What a Prompt becomes in Google's words."""

import pytest

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
    ToolChoice,
)
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects.gemini import count_request, request

FLASH = "gemini-2.5-flash"
PRO = "gemini-2.5-pro"
THREE = "gemini-3-flash-preview"

HELLO = Message("user", (TextPart("hello"),))
WEATHER = Tool("weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


def system(text):
    return Message("system", (TextPart(text),))


def user(*parts):
    return Message("user", parts)


def model(*parts):
    return Message("assistant", parts)


def result(id_, text, **more):
    return Message("tool", (ResultPart(id_, (TextPart(text),), **more),))


def ask(*messages, model=FLASH, **more):
    return request(Prompt(messages=messages or (HELLO,), **more), model)


def contents(*messages, model=FLASH):
    return ask(*messages, model=model)["contents"]


def config(model=FLASH, **more):
    return ask(model=model, **more).get("generationConfig")


def thinking(model, **more):
    return config(model, reasoning=Reasoning(**more))["thinkingConfig"]


def test_a_plain_question_is_nothing_but_contents():
    assert ask() == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def test_system_messages_become_the_system_instruction_wherever_they_stand():
    body = ask(system("Be brief."), HELLO, system("Be kind."))
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief.\n\nBe kind."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]


def test_a_prompt_of_system_messages_alone_is_unsupported():
    with pytest.raises(Unsupported, match="only a system message"):
        ask(system("Be brief."))


def test_turns_keep_their_order_and_their_parts():
    assert contents(
        user(TextPart("a"), TextPart("b")), model(TextPart("c"), RefusalPart("no")), user(TextPart("d"))
    ) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}, {"text": "no"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]


def test_an_empty_question_is_kept_and_an_empty_answer_left_out():
    assert contents(user(), model(TextPart(""))) == [{"role": "user", "parts": [{"text": ""}]}]


def test_media_travel_inline_or_by_address():
    parts = [
        MediaPart("image", mime="image/png", data="iVBO"),
        MediaPart("audio", mime="audio/wav", data="UklG"),
        MediaPart("file", mime="application/pdf", data="JVBE", name="a.pdf"),
        MediaPart("file", data="JVBE", name="a.pdf"),
        MediaPart("image", url="https://example.org/a.JPG?size=2"),
        MediaPart("file", mime="text/plain", url="gs://bucket/a"),
        MediaPart("file", file_id="https://generativelanguage.googleapis.com/v1beta/files/abc"),
    ]
    assert contents(user(*parts))[0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"fileData": {"fileUri": "https://example.org/a.JPG?size=2", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "gs://bucket/a", "mimeType": "text/plain"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
    ]


@pytest.mark.parametrize(
    "part",
    [MediaPart("image", url="http://a.example/b.png"), MediaPart("file", file_id="file-123"), MediaPart("file")],
)
def test_media_that_gemini_cannot_reach_are_unsupported(part):
    with pytest.raises(Unsupported, match="base64 data or as an https URL"):
        contents(user(part))


def test_data_of_an_unknown_type_is_refused():
    with pytest.raises(InvalidField, match="MIME type"):
        contents(user(MediaPart("file", data="AAAA")))


def test_tool_calls_and_their_results_go_by_id_and_name():
    said = contents(
        HELLO,
        model(TextPart("Let me see."), CallPart("c1", "weather", '{"city": "Oslo"}'), CallPart("c2", "time", "")),
        result("c1", '{"degrees": 3}'),
        result("c2", "noon"),
        user(TextPart("and?")),
    )
    calls = [
        {"text": "Let me see."},
        {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}},
        {"functionCall": {"id": "c2", "name": "time", "args": {}}},
    ]
    results = [
        {"functionResponse": {"id": "c1", "name": "weather", "response": {"degrees": 3}}},
        {"functionResponse": {"id": "c2", "name": "time", "response": {"result": "noon"}}},
    ]
    assert said[1:] == [
        {"role": "model", "parts": calls},
        {"role": "user", "parts": results},
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", {"result": [1, 2]}),
        ("007", {"result": "007"}),
        ("", {"result": ""}),
        ("{not json", {"result": "{not json"}),
        ("[" * 5000, {"result": "[" * 5000}),
    ],
)
def test_a_result_becomes_an_object(text, response):
    said = contents(HELLO, model(CallPart("c", "f")), result("c", text))
    assert said[-1]["parts"][0]["functionResponse"]["response"] == response


def test_a_failed_result_is_an_error():
    said = contents(HELLO, model(CallPart("c", "f")), result("c", "no such city", failed=True))
    assert said[-1]["parts"][0]["functionResponse"]["response"] == {"error": "no such city"}


def test_a_result_knows_its_name_by_itself_where_no_call_has_its_id():
    said = contents(HELLO, result("c", "1", name="f"))
    assert said[-1]["parts"][0]["functionResponse"] == {"id": "c", "name": "f", "response": {"result": "1"}}


def test_a_result_that_answers_no_call_is_refused():
    with pytest.raises(InvalidField, match="no earlier tool call"):
        contents(HELLO, result("c9", "1"))


def test_images_in_results_follow_all_results():
    image = MediaPart("image", mime="image/png", data="iVBO")
    shown = Message("tool", (ResultPart("c1", (TextPart("see"), image)),))
    said = contents(HELLO, model(CallPart("c1", "look"), CallPart("c2", "look")), shown, result("c2", "nothing"))
    assert [list(part) for part in said[2]["parts"]] == [["functionResponse"], ["functionResponse"]]
    assert said[3] == {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]}


@pytest.mark.parametrize("arguments", ["[1]", '"text"', '{"a":', "null", "1"])
def test_arguments_that_are_no_object_are_refused(arguments):
    with pytest.raises(InvalidField, match="must be a JSON object"):
        contents(HELLO, model(CallPart("c", "f", arguments)))


def test_a_call_keeps_its_signature():
    said = contents(HELLO, model(CallPart("c", "f", signature="sig"), CallPart("d", "f")), model=THREE)
    assert [part.get("thoughtSignature") for part in said[1]["parts"]] == ["sig", None]


def test_a_thoughts_signature_travels_on_the_part_that_followed_it():
    said = contents(
        HELLO, model(ThinkingPart("hm", "s1"), TextPart("well"), ThinkingPart("", "s2"), CallPart("c", "f"))
    )
    assert said[1]["parts"] == [
        {"text": "hm", "thought": True},
        {"text": "well", "thoughtSignature": "s1"},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "s2"},
    ]


def test_a_signature_with_nothing_after_it_has_a_part_of_its_own():
    assert contents(HELLO, model(TextPart("well"), ThinkingPart("", "s")))[1]["parts"] == [
        {"text": "well"},
        {"text": "", "thoughtSignature": "s"},
    ]


@pytest.mark.parametrize(("name", "signed"), [(FLASH, None), (THREE, "skip_thought_signature_validator")])
def test_a_call_that_lost_its_signature_gets_past_models_that_demand_one(name, signed):
    said = contents(HELLO, model(CallPart("c", "f"), CallPart("d", "f")), model=name)
    assert [part.get("thoughtSignature") for part in said[1]["parts"]] == [signed, None]


def test_tools_are_declared_with_their_json_schema_untouched():
    bare = Tool("now")
    assert ask(tools=(WEATHER, bare))["tools"] == [
        {
            "functionDeclarations": [
                {"name": "weather", "description": "Tells the weather.", "parametersJsonSchema": WEATHER.schema},
                {"name": "now"},
            ]
        }
    ]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("named", "weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_the_choice_of_a_tool(choice, calling):
    assert ask(tools=(WEATHER,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": calling}


def test_without_tools_there_is_no_choice():
    assert "toolConfig" not in ask(tool_choice=ToolChoice("none"))


def test_parameters_have_googles_names():
    assert config(
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        stop=("a", "b"),
        seed=7,
        n=2,
        logprobs=True,
        top_logprobs=4,
        presence_penalty=0.1,
        frequency_penalty=0.2,
    ) == {
        "maxOutputTokens": 5,
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 4,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
    }


def test_what_was_not_said_is_not_sent():
    assert config(n=1, logprobs=False, top_logprobs=3) is None


@pytest.mark.parametrize("seed", [2**31, 2**63 - 1, -(2**31) - 1])
def test_a_large_seed_becomes_one_that_gemini_can_hold(seed):
    assert 0 <= config(seed=seed)["seed"] < 2**31


def test_formats():
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}
    assert config(format=Format("json")) == {"responseMimeType": "application/json"}
    assert config(format=Format("schema", schema, "out", strict=True)) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }


@pytest.mark.parametrize(
    ("name", "effort", "wanted"),
    [
        (FLASH, "none", {"thinkingBudget": 0}),
        (FLASH, "minimal", {"thinkingBudget": 1024}),
        (FLASH, "low", {"thinkingBudget": 1024}),
        (PRO, "medium", {"thinkingBudget": 8192}),
        (PRO, "high", {"thinkingBudget": 24576}),
        (THREE, "none", {"thinkingLevel": "MINIMAL"}),
        (THREE, "minimal", {"thinkingLevel": "MINIMAL"}),
        (THREE, "medium", {"thinkingLevel": "MEDIUM"}),
        (THREE, "xhigh", {"thinkingLevel": "HIGH"}),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", "low", {"thinkingLevel": "LOW"}),
    ],
)
def test_effort_is_a_budget_up_to_2_5_and_a_level_from_3_on(name, effort, wanted):
    assert thinking(name, effort=effort) == wanted


def test_a_budget_is_sent_as_it_is_and_thoughts_are_shown_when_asked_for():
    assert thinking(FLASH, budget=-1, show=True) == {"thinkingBudget": -1, "includeThoughts": True}
    assert thinking(THREE, show=True) == {"includeThoughts": True}


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [
        (PRO, Reasoning("none")),
        ("gemini-3.1-pro-preview", Reasoning("none")),
        ("gemini-2.0-flash", Reasoning("low")),
        ("gemini-2.0-flash", Reasoning(budget=512)),
        ("gemini-1.5-pro", Reasoning(show=True)),
        (FLASH, Reasoning("immense")),
    ],
)
def test_reasoning_that_a_model_cannot_do_is_unsupported(name, reasoning):
    with pytest.raises(Unsupported) as refused:
        config(name, reasoning=reasoning)
    assert refused.value.field == "reasoning_effort"


def test_a_model_that_never_reasons_may_be_asked_not_to():
    assert config("gemini-2.0-flash", reasoning=Reasoning("none")) is None


@pytest.mark.parametrize(
    ("more", "feature"),
    [
        ({"extra": {"logit_bias": {"1": 5}}}, "logit_bias"),
        ({"extra": {"web_search_options": {"a": 1}}}, "web_search_options"),
        ({"extra": {"prediction": {"type": "content"}}}, "prediction"),
        ({"extra": {"modalities": ["text", "audio"]}}, "modalities"),
        ({"tools": (WEATHER,), "parallel_tools": False}, "one tool call"),
        ({"tools": (Tool("", extra={"type": "computer_use"}),)}, "computer_use"),
        ({"extra": {"google": {"contents": []}}}, "google.contents"),
        ({"extra": {"google": {"tools": [{"mcpServers": []}]}}}, "google.tools"),
        ({"extra": {"google": {"tools": ["googleSearch"]}}}, "google.tools"),
    ],
)
def test_what_gemini_cannot_do_is_unsupported_by_name(more, feature):
    with pytest.raises(Unsupported, match=feature):
        ask(**more)


def test_hints_of_other_vendors_are_left_out():
    extra = {"user": "u", "metadata": {"a": "b"}, "store": True, "modalities": ["text"], "logit_bias": {}, "new": 1}
    assert ask(user="u", parallel_tools=True, extra=extra) == ask()


@pytest.mark.parametrize("wrap", [lambda given: {"google": given}, lambda given: {"extra_body": {"google": given}}])
def test_googles_own_fields_pass(wrap):
    given = {
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "thinking_config": {"thinking_budget": 800, "include_thoughts": True},
        "cachedContent": "cachedContents/abc",
        "tools": [{"google_search": {}}],
    }
    body = ask(tools=(WEATHER,), max_tokens=5, extra=wrap(given))
    assert body["safetySettings"] == given["safety_settings"]
    assert body["cachedContent"] == "cachedContents/abc"
    assert body["generationConfig"] == {"maxOutputTokens": 5, "thinkingConfig": given["thinking_config"]}
    assert [list(tool) for tool in body["tools"]] == [["functionDeclarations"], ["googleSearch"]]


@pytest.mark.parametrize("name", ["maxOutputTokens", "candidate_count", "generationConfig", "systemInstruction"])
def test_googles_own_fields_cannot_undo_what_admission_counted_on(name):
    with pytest.raises(Unsupported, match=name):
        ask(extra={"google": {name: 1}})


def test_google_must_be_an_object():
    with pytest.raises(InvalidField, match="google must be an object"):
        ask(extra={"google": "yes"})


def test_counting_takes_all_that_asking_sends():
    prompt = Prompt(messages=(HELLO,), tools=(WEATHER,), max_tokens=5)
    assert count_request(prompt, FLASH) == {
        "generateContentRequest": {"model": f"models/{FLASH}", **request(prompt, FLASH)}
    }
