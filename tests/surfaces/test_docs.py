"""The documentation is served from the package alone, and says what is so."""

import gzip
import http.client
import json
import re
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from headgate import Gate, create_app
from headgate.core.entry import PASSING, Entry
from headgate.dialects import (
    anthropic_messages,
    asking,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
    simple,
)
from headgate.engine.levels import LevelView
from headgate.surfaces import (
    docs,
    said,
    schemas,
    schemas_admin,
    schemas_anthropic,
    schemas_asking,
    schemas_embeddings,
    schemas_openai,
    schemas_responses,
    schemas_vector_stores,
)
from headgate.surfaces.documented import DOCUMENTED
from headgate.surfaces.faults import TABLE

from ._served import ADMIN, KEY, configured, served

PAGES = {
    "/docs": "text/html; charset=utf-8",
    "/redoc": "text/html; charset=utf-8",
    "/openapi.json": "application/json",
    "/docs/assets/docs.css": "text/css; charset=utf-8",
    "/docs/assets/docs.js": "text/javascript; charset=utf-8",
    "/docs/assets/icon.svg": "image/svg+xml",
    "/docs/assets/redoc.js": "text/javascript; charset=utf-8",
    "/docs/assets/redoc.standalone.js": "text/javascript; charset=utf-8",
    "/docs/assets/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/assets/swagger-ui.css": "text/css; charset=utf-8",
}
MODELS = {
    name: model
    for module in (
        schemas,
        schemas_asking,
        schemas_openai,
        schemas_embeddings,
        schemas_responses,
        schemas_vector_stores,
        schemas_anthropic,
        schemas_admin,
    )
    for name, model in vars(module).items()
    if isinstance(model, type) and issubclass(model, BaseModel)
}
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
AS_ALICE = {"x-api-key": KEY}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    app = create_app(
        configured(tmp_path_factory.mktemp("docs"), "[server]\nmax_prompt_chars = 777\n[recipes.example]\n")
    )
    with served(app) as url, httpx2.Client(base_url=url) as client:
        yield client


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def at(path):
    """A path that is there: with the name of the recipe in it."""
    return path.replace("{name}", "example")


def bodies(response):
    """The response's JSON, or its events' where it is a stream; `[DONE]` is none."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return [response.json()]
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def fits(body, *names):
    """Whether a body is strictly one of these models."""
    return any(_fits(body, MODELS[name]) for name in names)


def _fits(body, model):
    try:
        model.model_validate_json(json.dumps(body), strict=True)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("path", "media"), PAGES.items())
def test_everything_is_served_with_its_type_and_a_policy_that_lets_nothing_in_from_elsewhere(client, path, media):
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == media
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "http" not in response.headers["content-security-policy"]


def test_every_file_of_the_pages_is_tested_here():
    assert {path.rpartition("/")[2] for path in PAGES if "assets" in path} == set(docs._ASSETS)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_a_page_refers_to_its_own_files_alone(client, page):
    found = re.findall(r'(?:src|href)="([^"]+)"', client.get(page).text)
    assert found
    assert all(f"/{name}" in PAGES for name in found)


@pytest.mark.parametrize("path", ["/docs/assets/swagger-ui-bundle.js", "/openapi.json", "/docs"])
def test_a_client_that_takes_no_gzip_gets_the_same_uncompressed(client, path):
    address = urlsplit(str(client.base_url))
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    plain = {}
    for accepted in ("", "gzip;q=0, *", "gzip"):
        connection.request("GET", path, headers={"Accept-Encoding": accepted})
        response = connection.getresponse()
        body = response.read()
        plain[accepted] = gzip.decompress(body) if response.headers["content-encoding"] == "gzip" else body
        assert response.headers["content-encoding"] == ("gzip" if accepted == "gzip" else None)
        assert response.headers["vary"] == "accept-encoding"
    connection.close()
    assert len(set(plain.values())) == 1


@pytest.mark.parametrize(
    ("header", "taken"),
    [("gzip", True), ("br;q=1.0, GZIP;q=0.8", True), ("*", True), ("", False), ("gzip;q=0.000", False), ("br", False)],
)
def test_gzip_is_sent_to_those_who_take_it(header, taken):
    assert docs.takes_gzip(header) is taken


@pytest.mark.parametrize("path", PAGES)
def test_what_a_client_has_already_is_not_sent_again(client, path):
    tag = client.get(path).headers["etag"]
    again = client.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"if-none-match": '"another"'}).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "LICENSES.md", "..%2fdocs.py", "%2e%2e/docs.py"])
def test_only_the_pages_own_files_are_served(client, name):
    assert client.get(f"/docs/assets/{name}").status_code == 404


def test_where_they_are_not_public_the_pages_need_the_admin_key(tmp_path):
    app = create_app(configured(tmp_path, "[telemetry]\npublic_docs = false\n"))
    with served(app) as url, httpx2.Client(base_url=url) as client:
        for path in PAGES:
            assert client.get(path).status_code == 401
            assert client.get(path, headers=AS_ALICE).status_code == 403
            assert client.get(path, headers=AS_ADMIN).status_code == 200


def test_every_reference_in_the_document_leads_somewhere(document):
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))
    assert len(references) > 50
    for reference in references:
        found = document
        for step in reference.split("/"):
            found = found[step]


def test_every_operation_is_described_under_a_tag_and_a_name_of_its_own(document):
    found = operations(document)
    tags = {tag["name"] for tag in document["tags"]}
    assert len({operation["operationId"] for operation in found.values()}) == len(found)
    for operation in found.values():
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags
        assert all(response["description"] for response in operation["responses"].values())


def test_every_answer_in_the_document_has_a_schema(document):
    for (method, path), operation in operations(document).items():
        for status, response in operation["responses"].items():
            for content in response["content"].values():
                assert content["schema"], (method, path, status)


def test_both_ways_to_authenticate_are_offered_where_a_caller_is_asked_for(document):
    schemes = document["components"]["securitySchemes"]
    assert schemes["Bearer"]["scheme"] == "bearer"
    assert (schemes["ApiKey"]["in"], schemes["ApiKey"]["name"]) == ("header", "X-API-Key")
    open_to_all = {path for (_, path), operation in operations(document).items() if "security" not in operation}
    assert open_to_all == {"/", "/health", "/ready"}
    assert all(
        operation["security"] == [{"Bearer": []}, {"ApiKey": []}]
        for (_, path), operation in operations(document).items()
        if path not in open_to_all
    )


def test_the_document_says_the_longest_prompt_that_is_configured(client, document):
    found = document["components"]["schemas"]
    assert found["ChatRequest"]["properties"]["message"]["maxLength"] == 777
    assert client.post("/chat", json={"message": "x" * 778}).status_code == 422
    assert client.post("/chat", json={"message": "x" * 777}).status_code == 200


def test_fastapis_own_error_shapes_are_not_in_the_document(document):
    assert "HTTPValidationError" not in json.dumps(document)


@pytest.mark.parametrize("path", DOCUMENTED)
def test_the_examples_of_requests_are_accepted_and_answered_as_documented(client, document, path):
    operation = document["paths"][path]["post"]
    wanted = {content["schema"].get("$ref", "") for content in operation["responses"]["200"]["content"].values()}
    whole = [reference.rpartition("/")[2] for reference in wanted if reference]
    pieces = [model.__name__ for model in DOCUMENTED[path].events]
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        response = client.post(at(path), json=example["value"], headers=AS_ALICE)
        assert response.status_code == 200, response.text
        media = response.headers["content-type"].partition(";")[0]
        assert media in operation["responses"]["200"]["content"]
        if media == "application/json":
            assert fits(response.json(), *whole), response.text
        elif pieces:
            assert [body for body in bodies(response) if not fits(body, *pieces)] == []


@pytest.mark.parametrize("path", DOCUMENTED)
def test_the_headers_of_an_answer_are_documented(client, document, path):
    operation = document["paths"][path]["post"]
    example = next(iter(operation["requestBody"]["content"]["application/json"]["examples"].values()))
    response = client.post(at(path), json=example["value"], headers=AS_ALICE)
    known = {name.lower() for name in operation["responses"]["200"]["headers"]}
    usual = {"content-type", "content-length", "date", "server", "cache-control", "transfer-encoding"}
    assert set(response.headers) - usual - {"x-accel-buffering"} <= known


@pytest.mark.parametrize("path", DOCUMENTED)
@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b'{"temperature": 9}', {}),
        (b"{}", {"authorization": "Bearer wrong"}),
        (b'{"model": "no/such", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}', AS_ALICE),
    ],
)
def test_errors_are_answered_as_documented(client, document, path, content, headers):
    response = client.post(at(path), content=content, headers=headers)
    documented = document["paths"][path]["post"]["responses"][str(response.status_code)]
    said_of_it = documented["content"]["application/json"]
    assert response.status_code >= 400
    assert fits(response.json(), said_of_it["schema"]["$ref"].rpartition("/")[2])
    words = {response.json().get("error_code")}
    if isinstance(response.json()["error"], dict):
        words = {response.json()["error"].get("code"), response.json()["error"]["type"]}
    assert words & said_of_it["examples"].keys()


def test_the_examples_of_errors_fit_their_schemas(document):
    models = {"simple": "Error", "openai": "OpenAIError", "anthropic": "AnthropicError"}
    examples = document["components"]["examples"]
    assert {name.partition(".")[0] for name in examples} == models.keys()
    for name, example in examples.items():
        assert fits(example["value"], models[name.partition(".")[0]]), name


def test_every_fault_is_in_the_documentation():
    assert {type(sample) for sample in said.SAMPLES} == set(TABLE)


GETS = [
    "/",
    "/health",
    "/ready",
    "/me",
    "/usage",
    "/usage?by=day",
    "/usage?by=all",
    "/v1/models",
    "/recipes",
    "/v1/vector_stores",
]
ADMIN_GETS = [
    "/admin/keys",
    "/admin/usage",
    "/admin/usage?by=day",
    "/admin/prompts",
    "/admin/entries",
    "/admin/models",
    "/v1/models/assistant",
]


@pytest.mark.parametrize("path", GETS + ADMIN_GETS)
def test_what_is_asked_for_is_answered_as_documented(client, document, path):
    client.post("/chat", json={"message": "something for the ledger"}, headers=AS_ALICE)
    response = client.get(path, headers=AS_ADMIN)
    template = path.partition("?")[0].replace("/models/assistant", "/models/{model}")
    documented = document["paths"][template]["get"]["responses"][str(response.status_code)]
    assert fits(response.json(), documented["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])


def test_the_metrics_are_answered_as_documented(client):
    assert client.get("/metrics", headers=AS_ADMIN).headers["content-type"].startswith("text/plain")
    assert fits(client.get("/metrics", headers={**AS_ADMIN, "accept": "application/json"}).json(), "CostSummary")


def test_keys_are_answered_as_documented(client):
    created = client.post("/admin/keys", json={"user": "bob"}, headers=AS_ADMIN)
    assert (created.status_code, fits(created.json(), "NewKey")) == (201, True)
    path = f"/admin/keys/{created.json()['id']}"
    assert fits(client.post(f"{path}/rotate", json={"grace": 5}, headers=AS_ADMIN).json(), "NewKey")
    for method, body in (("GET", None), ("PATCH", {"name": "laptop"}), ("DELETE", None)):
        assert fits(client.request(method, path, json=body, headers=AS_ADMIN).json(), "Key")
    assert fits(client.get("/admin/keys/none", headers=AS_ADMIN).json(), "Error")


def test_prompts_and_a_reload_are_answered_as_documented(client):
    saved = client.put("/admin/prompts/greeting", json={"text": "Be kind."}, headers=AS_ADMIN)
    assert fits(saved.json(), "SavedPrompt")
    assert fits(client.get("/admin/prompts", headers=AS_ADMIN).json(), "PromptList")
    assert fits(client.post("/admin/reload", headers=AS_ADMIN).json(), "Reloaded")


def test_the_schemas_name_every_field_that_the_dialects_know():
    for shape, model in (
        (simple.CHAT, schemas.ChatRequest),
        (simple.COMPLETE, schemas.CompleteRequest),
        (asking.GENERATE, schemas.GenerateRequest),
        (asking.Shape(), schemas_asking.AskRequest),
        (asking.Shape(own=False), schemas_asking.RecipeRequest),
    ):
        assert shape.known == set(model.model_fields)
    older = {"functions", "function_call"}
    assert set(openai_chat._CHECKS) - older <= set(schemas_openai.ChatCompletionRequest.model_fields)
    assert set(schemas_openai.CompletionRequest.model_fields) == openai_completions._MODELLED
    assert openai_embeddings._MODELLED | {"input_type"} == set(schemas_embeddings.EmbeddingsRequest.model_fields)
    assert set(openai_responses._CHECKS) <= set(schemas_responses.ResponsesRequest.model_fields)
    older = {"output_format"}
    assert set(anthropic_messages._CHECKS) - older <= set(schemas_anthropic.MessagesRequest.model_fields)


def test_kept_responses_are_answered_as_documented(client):
    made = client.post("/v1/responses", json={"input": "hello"}, headers=AS_ALICE).json()
    path = f"/v1/responses/{made['id']}"
    kept = client.get(path, headers=AS_ALICE).json()
    assert fits(kept, "ResponseObject")
    assert kept == made
    assert fits(client.get(f"{path}/input_items", headers=AS_ALICE).json(), "InputItemList")
    assert fits(client.delete(path, headers=AS_ALICE).json(), "ResponseDeleted")
    assert fits(client.get(path, headers=AS_ALICE).json(), "OpenAIError")


def test_the_schemas_have_the_fields_of_what_they_show():
    assert set(simple.FINISH.values()) == set(schemas.Finish.__args__)
    assert set(schemas.Limit.model_fields) == set(LevelView.__struct_fields__)
    assert set(schemas_admin.LedgerRow.model_fields) == {*Entry.__struct_fields__, "cost_usd"} - PASSING


def test_an_apps_own_routes_are_documented_too(tmp_path):
    app = create_app(configured(tmp_path))

    @app.post("/summarise")
    async def summarise(text: str, gate: Gate) -> str:
        return (await gate.chat(f"Summarise: {text}")).text

    operation = app.openapi()["paths"]["/summarise"]["post"]
    assert operation["security"] == [{"Bearer": []}, {"ApiKey": []}]
    assert operation["responses"]["422"]["content"]["application/json"]["schema"] == said.ref(schemas.Error)


def test_an_app_with_middleware_runs_it_for_the_models_endpoints_too(tmp_path):
    app = create_app(configured(tmp_path))
    seen = []

    class Watch:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            seen.append(scope.get("path"))
            await self.app(scope, receive, send)

    app.add_middleware(Watch)
    with served(app) as url, httpx2.Client(base_url=url) as client:
        assert client.post("/chat", json={"message": "hello"}).json()["response"] == "You said: hello"
        assert "event: done" in client.post("/stream", json={"prompt": "hello"}).text
        assert client.get("/chat").status_code == 405
    assert seen.count("/chat") == 2


def test_the_documentation_holds_under_the_prefix_of_a_larger_app(tmp_path):
    inner = create_app(configured(tmp_path))

    @asynccontextmanager
    async def lifespan(_):
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/llm", inner)
    with served(outer) as url, httpx2.Client(base_url=url) as client:
        assert client.get("/llm/openapi.json").json()["servers"] == [{"url": "/llm"}]
        assert client.get("/llm/docs/assets/docs.js").status_code == 200
        assert client.post("/llm/chat", json={"message": "hello"}).json()["response"] == "You said: hello"


def test_the_licences_name_what_is_in_the_folder():
    text = (docs.STATIC / "LICENSES.md").read_text()
    ours = {"LICENSES.md", "docs.css", "docs.html", "docs.js", "icon.svg", "redoc.html", "redoc.js"}
    others = {path.name for path in docs.STATIC.iterdir()} - ours
    assert others
    assert all(f"`{name}`" in text for name in others)
