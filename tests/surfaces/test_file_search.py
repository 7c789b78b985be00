"""OpenAI's own client has documents searched, by `file_search` and as vector stores, whatever model answers."""

import json

import httpx2
import openai
import pytest
from msgspec import structs

from headgate import create_app
from headgate.core.asking import Citation, Source
from headgate.core.events import Done, Text, ToolArgs, ToolCall, Usage
from headgate.dialects.openai_file_search import annotation, result
from headgate.rag.ask import Asker
from headgate.testing import ScriptedProvider, ScriptedSearches
from rag._passages import found

from ._served import KEY, configured, served

TOOL = {"type": "file_search", "vector_store_ids": ["library"]}
NINE = found("The library opens at nine.", title="hours.md")
TEN = found("In winter it opens at ten.", title="winter.md", n=2, similarity=0.6)
SAID = [Text("At nine"), Text(" [1"), Text("], in winter at ten [2][9]."), Done("stop"), Usage(100, 10)]


class Library:
    """The service, the client that talks to it, and what stands behind."""

    def __init__(self, app, url):
        self.app, self.url = app, url
        self.client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        httpx2.get(f"{url}/health", timeout=30)  # it has started when it answers
        self.searches = ScriptedSearches(alice=[NINE, TEN])
        app.runtime.asker = Asker(app.runtime.gate, self.searches)

    def says(self, *scripts, dialect=""):
        """Let the model say these events next."""
        self.provider = ScriptedProvider(*scripts, dialect=dialect)
        self.app.runtime.admission.routes.find("assistant").targets[0].upstream.keys[0].provider = self.provider

    @property
    def told(self):
        """What the model was told last: each turn's words."""
        return [message.text for message in self.provider.calls[-1].prompt.messages]

    def respond(self, text="When does it open?", **more):
        return self.client.responses.create(model="assistant", input=text, **{"tools": [TOOL], **more})


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    app = create_app(configured(tmp_path_factory.mktemp("library")))
    with served(app) as url:
        library = Library(app, url)
        with library.client:
            yield library


@pytest.fixture(autouse=True)
def fresh(library):
    library.searches.asked.clear()
    library.says(SAID)


def test_an_answer_has_the_search_and_its_citations(library):
    response = library.respond(include=["file_search_call.results"])
    search, message = response.output
    assert (search.type, search.status, search.queries) == ("file_search_call", "completed", ["When does it open?"])
    assert [(each.file_id, each.filename, each.score, each.text) for each in search.results] == [
        ("d1", "hours.md", 0.9, "The library opens at nine."),
        ("d2", "winter.md", 0.6, "In winter it opens at ten."),
    ]
    assert response.output_text == "At nine, in winter at ten."
    cited = [(each.type, each.index, each.file_id, each.filename) for each in message.content[0].annotations]
    assert cited == [("file_citation", 7, "d1", "hours.md"), ("file_citation", 25, "d2", "winter.md")]
    assert [tool.type for tool in response.tools] == ["file_search"]
    assert (response.status, response.usage.total_tokens) == ("completed", 110)


def test_the_model_is_told_what_was_found_and_offered_no_such_tool(library):
    library.respond()
    assert '<source n="1" title="hours.md">\nThe library opens at nine.\n</source>' in library.told[-1]
    assert library.told[-1].endswith("When does it open?")
    assert library.provider.calls[-1].prompt.tools == ()
    assert library.searches.asked[0][1].collections == ("library",)


def test_results_are_told_only_where_they_are_asked_for(library):
    assert library.respond().output[0].results is None


def test_a_stream_tells_each_step_in_order(library):
    events = list(library.respond(stream=True, include=["file_search_call.results"]))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:7] == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
        "output_item.done",
    ]
    item = events[6].item
    assert (item.type, item.status, len(item.results)) == ("file_search_call", "completed", 2)
    assert {event.item_id for event in events[3:6]} == {item.id}
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "At nine, in winter at ten."
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert [(event.annotation_index, event.annotation.file_id) for event in added] == [(0, "d1"), (1, "d2")]
    assert kinds.index("output_text.done") > kinds.index("output_text.annotation.added")
    final = events[-1].response
    assert [each.type for each in final.output] == ["file_search_call", "message"]
    assert final.output[0] == item


def test_limits_and_filters_reach_the_search(library):
    filters = {
        "type": "and",
        "filters": [
            {"type": "eq", "key": "lang", "value": "en"},
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "year", "value": 2025},
                    {"type": "in", "key": "year", "value": [2026]},
                ],
            },
        ],
    }
    tool = {**TOOL, "max_num_results": 1, "ranking_options": {"score_threshold": 0.5}, "filters": filters}
    response = library.respond(tools=[tool], include=["file_search_call.results"])
    assert len(response.output[0].results) == 1
    wanted = library.searches.asked[0][1]
    assert (wanted.k, wanted.min_similarity, wanted.filter) == (1, 0.5, {"lang": "en", "year": [2025, 2026]})


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"filters": {"type": "gt", "key": "year", "value": 1}}, "gt"),
        ({"filters": {"type": "eq"}}, "filters"),
        ({"filters": {"type": "or", "filters": [{"type": "eq", "key": k, "value": 1} for k in "ab"]}}, "or"),
        ({"max_num_results": 51}, "max_num_results"),
        ({"vector_store_ids": []}, "vector_store_ids"),
        ({"vector_store_ids": "library"}, "vector_store_ids"),
    ],
)
def test_a_tool_that_cannot_be_served_is_refused_in_words(library, more, word):
    with pytest.raises(openai.BadRequestError, match=word):
        library.respond(tools=[{**TOOL, **more}])
    assert library.provider.calls == []


def test_a_store_that_is_not_there_beside_one_that_is_is_named(library):
    with pytest.raises(openai.NotFoundError, match="vs_other"):
        library.respond(tools=[{**TOOL, "vector_store_ids": ["library", "vs_other"]}])


def test_stores_that_are_not_ours_are_the_upstreams_affair(library):
    library.respond(tools=[{**TOOL, "vector_store_ids": ["vs_68a1"]}])
    (call,) = library.provider.calls
    assert call.dialect == "openai-responses"
    assert json.loads(call.body)["tools"] == [{**TOOL, "vector_store_ids": ["vs_68a1"]}]
    assert library.searches.asked == []


def test_nobody_searches_what_belongs_to_another(library):
    stranger = httpx2.post(
        f"{library.url}/v1/responses",
        json={"model": "assistant", "input": "When?", "tools": [TOOL]},
    )
    assert stranger.status_code == 200  # to an anonymous caller there is no such store: the model's own affair
    assert library.searches.asked == []
    assert "nine" not in stranger.text.replace("At nine", "")


def test_the_callers_own_tools_stay(library):
    weather = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
    call = [Text("Let me see [1]. "), ToolCall(0, "c1", "weather"), ToolArgs(0, "{}"), Done("tool"), Usage(9, 9)]
    library.says(call)
    response = library.respond(tools=[TOOL, weather], tool_choice="auto")
    assert [each.type for each in response.output] == ["file_search_call", "message", "function_call"]
    assert response.output[1].content[0].text == "Let me see. "
    assert [tool.name for tool in library.provider.calls[-1].prompt.tools] == ["weather"]


@pytest.mark.parametrize(("choice", "items"), [({"type": "file_search"}, 2), ("required", 2), ("none", 1)])
def test_a_choice_of_tools_holds_for_the_search(library, choice, items):
    response = library.respond(tool_choice=choice)
    assert len(response.output) == items
    assert library.provider.calls[-1].prompt.tool_choice is None


def test_a_conversation_goes_on_and_its_question_is_made_to_stand_alone(library):
    first = library.respond()
    library.says([Text("When does the library open in winter?"), Done(), Usage(5, 5)], SAID)
    second = library.respond("And in winter?", previous_response_id=first.id)
    assert second.output[0].queries == ["When does the library open in winter?"]
    assert second.output_text == "At nine, in winter at ten."
    assert second.usage.total_tokens == 120
    assert "At nine, in winter at ten." in library.told
    kept = library.client.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in kept] == ["message", "file_search_call", "message", "message"]
    assert "source" not in kept[0].content[0].text


def test_nothing_found_is_told_to_the_model_and_to_the_caller(library):
    library.says([Text("I cannot say [1]."), Done("stop"), Usage(5, 5)])
    tool = {**TOOL, "ranking_options": {"score_threshold": 1.0}}
    response = library.respond(tools=[tool], include=["file_search_call.results"])
    assert response.output[0].results == []
    assert response.output_text == "I cannot say."
    assert "nothing was found" in library.told[-1]


def test_collections_are_vector_stores(library):
    (store,) = library.client.vector_stores.list().data
    assert (store.id, store.name, store.status) == ("library", "library", "completed")
    assert library.client.vector_stores.retrieve("library").file_counts.total == 0
    with pytest.raises(openai.NotFoundError):
        library.client.vector_stores.retrieve("other")


def test_a_vector_store_is_searched(library):
    page = library.client.vector_stores.search(
        "library", query=["hours", "winter"], max_num_results=2, ranking_options={"score_threshold": 0.1}
    )
    assert [(each.file_id, each.score, each.content[0].text) for each in page.data] == [
        ("d1", 0.9, "The library opens at nine."),
        ("d2", 0.6, "In winter it opens at ten."),
    ]
    assert [wanted.text for _, wanted in library.searches.asked] == ["hours", "winter"]
    with pytest.raises(openai.BadRequestError, match="query"):
        library.client.vector_stores.search("library", query="")


@pytest.mark.parametrize(
    ("id_", "title", "name"),
    [
        ("manual/hours.md", "Opening hours", "hours.md"),
        ("hours.md", "Opening hours", "hours.md"),
        ("manual/README", "Opening hours", "README"),
        ("doc_17", "Opening hours", "Opening hours"),
        ("doc_17", "", "doc_17"),
    ],
)
def test_a_file_is_told_by_its_name_and_what_is_none_by_its_title(id_, title, name):
    each = structs.replace(NINE, passage=structs.replace(NINE.passage, document_id=id_, title=title))
    assert result(each)["filename"] == name
    cited = annotation(Citation(0, 3, 1), [Source(1, each)]).value[0]["file_citation"]
    assert cited["filename"] == name
