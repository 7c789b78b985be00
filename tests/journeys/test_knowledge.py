"""Documents and search over HTTP and in the terminal: who sees what, hostile files, limits, restarts."""

import json

import pytest

from journeys._asking import check_error
from journeys._service import command, serving
from rag._files import docx, laughing_docx, pdf

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-ann-too:ann:open,\
key-of-bob:bob:open,key-of-few:few:few,key-of-eve:eve:one,key-of-dan:dan:open"
[tiers.open]
[tiers.few]
documents = 2
document_bytes = 1000
[tiers.one]
requests = "2/day"
[knowledge]
read_timeout = "20 s"
max_text_chars = 100_000
"""
ANN, BOB = "key-of-ann", "key-of-bob"


@pytest.fixture(scope="module")
async def service(anyio_backend, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("knowledge"), CONFIG) as service:
        yield service


def form(*files, **fields):
    """The body of a form with these files, and its headers."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    for name, content in files:
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + content)
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=b"}


async def sent(service, body, key=ANN, **query):
    path = "/documents" + "".join(f"?{name}={value}" for name, value in query.items())
    return await service.post(path, body, key=key, headers={"Content-Type": "application/json"})


async def upload(service, *files, key=ANN, **fields):
    body, headers = form(*files, **fields)
    return await service.post("/documents?wait=30", body, key=key, headers=headers)


async def search(service, query, key=ANN, **how):
    headers = {"Content-Type": "application/json"}
    answer = await service.post("/search", {"query": query, **how}, key=key, headers=headers)
    assert answer.status == 200, answer
    return answer.json["results"]


@pytest.mark.anyio
async def test_a_document_is_taken_in_found_read_and_forgotten(service):
    one = {
        "collection": "story",
        "id": "gates",
        "title": "Gates",
        "text": "# Sluices\n\nA sluice opens.",
        "metadata": {"n": 1},
    }
    first = await sent(service, one)
    assert (first.status, first.json["status"], first.json["chunks"], first.json["result"]) == (
        201,
        "ready",
        1,
        "created",
    )
    again = await sent(service, one)
    assert (again.status, again.json["result"]) == (200, "unchanged")
    found = (await search(service, "opening sluices", collections=["story"], filters={"n": 1}))[0]
    assert (found["document_id"], found["title"], found["path"]) == ("gates", "Gates", ["Sluices"])
    shown = await service.get("/documents/gates?collection=story&text=true", key=ANN)
    assert shown.json["text"][found["start"] : found["end"]] == found["content"]
    assert found["score_kind"] == "coverage"
    assert 0.9 < found["similarity_score"] <= 1
    assert set(found["scores"]) == {"lexical", "dense", "fused"}
    assert not await search(service, "opening sluices", collections=["story"], min_score=1, filters={"n": 2})
    gone = await service.call("DELETE", "/documents/gates?collection=story", key=ANN)
    assert gone.json == {"id": "gates", "deleted": True}
    assert not await search(service, "sluices", collections=["story"])
    check_error("simple", await service.get("/documents/gates?collection=story", key=ANN), 404, "not_found")


@pytest.mark.anyio
async def test_files_of_every_kind_become_passages(service):
    page = b"<html><title>A page</title><h1>Weirs</h1><p>A weir holds water back.</p></html>"
    files = [
        ("docs/a.md", b"# Canals\n\nBarges pass."),
        ("b.html", page),
        ("c.pdf", pdf("Penstocks carry water")),
        ("d.docx", docx("# Turbines", "They turn.")),
    ]
    answer = await upload(service, *files, collection="files", metadata='{"kind": "upload"}')
    documents = answer.json["documents"]
    assert answer.status == 201, answer
    assert [each["id"] for each in documents] == ["docs/a.md", "b.html", "c.pdf", "d.docx"]
    assert {each["status"] for each in documents} == {"ready"}
    for query, name in (("barges", "docs/a.md"), ("weir", "b.html"), ("penstock", "c.pdf"), ("turbine", "d.docx")):
        assert (await search(service, query, collections=["files"]))[0]["document_id"] == name
    shown = await service.get("/documents/docs/a.md?collection=files", key=ANN)
    assert (shown.json["title"], shown.json["metadata"]) == ("Canals", {"kind": "upload"})


@pytest.mark.anyio
async def test_a_hostile_file_is_a_failed_document_and_harms_nobody(service):
    hostile = [
        ("../../etc/passwd.md", b"Nothing of the disk."),
        ("..\\..\\evil.docx", docx("x", **{"word/media/bomb": b"\0" * 20_000_000})),
        ("laughs.docx", laughing_docx()),
        ("no.pdf", b"MZ" * 1000),
        ("binary.txt", b"\0\1\2"),
    ]
    answer = await upload(service, *hostile, collection="hostile")
    states = {each["id"]: each for each in answer.json["documents"]}
    assert set(states) == {"etc/passwd.md", "evil.docx", "laughs.docx", "no.pdf", "binary.txt"}
    assert states["etc/passwd.md"]["status"] == "ready"
    for name in ("evil.docx", "laughs.docx", "no.pdf", "binary.txt"):
        assert (states[name]["status"], bool(states[name]["error"])) == ("failed", True)
    listed = await service.get("/documents?collection=hostile&status=failed&limit=2", key=ANN)
    assert ([each["id"] for each in listed.json["documents"]], listed.json["next"]) == (
        ["binary.txt", "evil.docx"],
        "evil.docx",
    )
    again = await service.post("/documents/no.pdf/retry?collection=hostile", b"", key=ANN)
    assert (again.status, again.json["status"]) == (200, "queued")
    assert (await service.call("DELETE", "/documents/no.pdf?collection=hostile", key=ANN)).status == 200
    assert (await service.get("/health")).status == 200


@pytest.mark.anyio
async def test_nobody_reaches_what_is_another_tenants(service):
    await sent(service, {"collection": "mine", "id": "a", "text": "The secret sluice."})
    assert await search(service, "secret", key="key-of-ann-too", collections=["mine"])
    assert await search(service, "secret", key=BOB) == []
    for method, path, body in (
        ("POST", "/search", {"query": "secret", "collections": ["mine"]}),
        ("GET", "/documents/a?collection=mine", None),
        ("DELETE", "/documents/a?collection=mine", None),
        ("GET", "/documents?collection=mine", None),
        ("GET", "/collections/mine", None),
        ("DELETE", "/collections/mine", None),
        ("POST", "/documents/a/retry?collection=mine", {}),
        ("POST", "/collections/mine/embed", {}),
    ):
        answer = await service.call(method, path, body, key=BOB, headers={"Content-Type": "application/json"})
        check_error("simple", answer, 404, "not_found")
    await sent(service, {"collection": "mine", "id": "a", "text": "His own."}, key=BOB)
    assert (await search(service, "secret", collections=["mine"]))[0]["content"] == "The secret sluice."
    assert (await service.call("DELETE", "/collections/mine", key=BOB)).status == 200
    assert await search(service, "secret", collections=["mine"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "x", "tenant": "user:bob"}, "tenant"),
        ({"text": ""}, "text"),
        ({"id": "x"}, "text"),
        ({"text": "x", "collection": "../up"}, "collection"),
        ({"text": "x", "metadata": {"big": "x" * 20_000}}, "metadata"),
        ({"documents": [{"text": "x"}, {"text": "x", "id": "a\nb"}]}, "documents.1.id"),
        ({"documents": []}, "documents"),
    ],
)
async def test_a_wrong_field_is_named(service, body, field):
    answer = await sent(service, body)
    check_error("simple", answer, 422, "validation_error")
    assert field in json.dumps(answer.json)


@pytest.mark.anyio
@pytest.mark.parametrize("value", [{"gte": 2024}, [{"x": 1}], None])
async def test_a_filter_that_is_no_plain_value_is_refused_in_one_sentence(service, value):
    body = {"query": "x", "filters": {"lang": "en", "year": value}}
    answer = await service.post("/search", body, key=ANN, headers={"Content-Type": "application/json"})
    check_error("simple", answer, 422, "validation_error")
    assert answer.json["error"].startswith("filters: ")
    assert answer.json["error"].endswith("year must be a plain value or a list of them")
    assert len(answer.json["details"]) == 1


@pytest.mark.anyio
async def test_a_document_that_is_not_there_is_told_with_where_it_was_looked_for(service):
    await sent(service, {"id": "here", "text": "x"})
    for query, where in (("", "your collections"), ("?collection=default", "the collection 'default'")):
        missing = await service.get(f"/documents/elsewhere{query}", key=ANN)
        check_error("simple", missing, 404, "not_found")
        assert missing.json["error"] == f"there is no document 'elsewhere' in {where}"


@pytest.mark.anyio
async def test_a_tier_bounds_documents_and_bytes(service):
    for name in "ab":
        assert (await sent(service, {"id": name, "text": "x" * 100}, key="key-of-few")).status == 201
    check_error("simple", await sent(service, {"id": "c", "text": "x"}, key="key-of-few"), 403, "forbidden")
    check_error("simple", await sent(service, {"id": "b", "text": "x" * 950}, key="key-of-few"), 403, "forbidden")
    assert (await sent(service, {"id": "b", "text": "y"}, key="key-of-few")).status == 201


@pytest.mark.anyio
async def test_who_is_bounded_sees_what_is_left(service):
    made = {"user": "gil", "tier": "few"}
    key = (await service.post("/admin/keys", made, key="admin-key-of-these-tests")).json["key"]

    async def told():
        limits = (await service.get("/me", key=key)).json["limits"]
        assert all(limit["scope"] == "tier few" and limit["resets_in"] is None for limit in limits)
        return [tuple(limit[field] for field in ("rule", "used", "left", "refuses", "frees_in")) for limit in limits]

    assert await told() == [("2 documents", 0, 2, False, 0), ("1,000 bytes", 0, 1000, False, 0)]
    await sent(service, {"id": "a", "text": "x" * 100}, key=key)
    assert await told() == [("2 documents", 1, 1, False, 0), ("1,000 bytes", 100, 900, False, 0)]
    await sent(service, {"id": "b", "text": "x" * 100, "collection": "other"}, key=key)
    assert await told() == [("2 documents", 2, 0, True, None), ("1,000 bytes", 200, 800, False, 0)]
    limits = (await service.get("/me", key=key)).json["limits"]
    assert [(limit["name"], limit["unit"]) for limit in limits] == [
        ("tier-few-documents", "documents"),
        ("tier-few-bytes", "bytes"),
    ]
    assert (await service.get("/me", key=ANN)).json["limits"] == []


@pytest.mark.anyio
async def test_searching_counts_as_a_request_and_a_refusal_is_written_down(service):
    assert (await sent(service, {"text": "x"}, key="key-of-eve")).status == 201
    await search(service, "x", key="key-of-eve")
    refused = await service.post(
        "/search", {"query": "x"}, key="key-of-eve", headers={"Content-Type": "application/json"}
    )
    check_error("simple", refused, 429, "rate_limited")
    row = await service.entry(refused)
    assert (row["surface"], row["principal"], row["status"]) == ("search", "eve", "refused")
    assert (await service.get("/documents", key="key-of-eve")).status == 200


@pytest.mark.anyio
async def test_a_folder_is_ingested_by_one_command_and_found_in_the_terminal(service, tmp_path):
    folder = tmp_path / "manual"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "x.md").write_text("hidden")
    (folder / "gates.md").write_text("# Gates\n\nThe keeper opens the gate at dawn.")
    (folder / "weir.pdf").write_bytes(pdf("The weir holds the water"))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    how = ("--url", f"http://127.0.0.1:{service.port}", "--key", ANN)
    first = json.loads(await command(service, "ingest", str(folder), "-c", "manual", "--json", *how))
    assert first == {"collection": "manual", "files": 2, "created": 2, "updated": 0, "unchanged": 0, "failed": {}}
    again = json.loads(await command(service, "ingest", str(folder), "-c", "manual", "--json", *how))
    assert again["unchanged"] == 2
    said = await command(service, "search", "who opens the gate?", "-c", "manual", *how)
    assert "manual/manual/gates.md:0-" in said
    (folder / "bad.pdf").write_bytes(b"no")
    code, told = await command(service, "ingest", str(folder), "-c", "manual", *how, code=True)
    assert code == 1
    assert "manual/bad.pdf: this is no PDF" in told
    assert "3 files into manual: 0 created, 0 updated, 2 unchanged, 1 failed" in told
    code, told = await command(service, "ingest", str(folder), "-c", "no such/name", *how, code=True)
    assert (code, told.count("no such/name")) == (2, 1)
    assert "no collection can be named 'no such/name'" in told


@pytest.mark.anyio
async def test_what_is_kept_is_there_after_a_restart_and_without_a_service(tmp_path):
    async with serving(tmp_path, "[access]\nanonymous = true\n") as service:
        assert (await sent(service, {"id": "a", "text": "The lock keeper's log."}, key="")).status == 201
    assert "default/a:0-" in await command(tmp_path, "search", "keeper")
    (tmp_path / "b.md").write_text("Another keeper.")
    assert "1 created" in await command(tmp_path, "ingest", "b.md")
    async with serving(tmp_path, "[access]\nanonymous = true\n") as service:
        assert {each["document_id"] for each in await search(service, "keeper", key="")} == {"a", "b.md"}


@pytest.mark.anyio
async def test_a_document_is_found_by_its_id_alone_where_one_collection_has_it(service):
    mine = "key-of-dan"
    assert (await service.get("/documents", key=mine)).json == {"documents": [], "next": None}
    for collection in ("north", "south"):
        await sent(service, {"collection": collection, "id": "both", "text": "Here."}, key=mine)
    check_error("simple", await service.get("/documents/both", key=mine), 422)
    assert (await service.call("DELETE", "/documents/both?collection=south", key=mine)).status == 200
    assert (await service.get("/documents/both", key=mine)).json["collection"] == "north"
    check_error("simple", await service.get("/documents/both", key=BOB), 404)
    assert (await service.call("DELETE", "/documents/both", key=mine)).status == 200
    check_error("simple", await service.get("/documents/both", key=mine), 404)
