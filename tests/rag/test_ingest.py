"""Taking documents in and finding them, with an embedding model that counts letters."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from contracts._shelf import ANN, HERS, draft
from headgate.core.faults import InvalidField, NotFound, RateLimited, UpstreamRejected
from headgate.core.knowledge import Search
from headgate.rag.embedder import unit
from headgate.rag.ingest import Ingester
from headgate.rag.search import Searcher
from headgate.stores.shelf import SqliteShelf
from headgate.stores.vectors import MatrixIndex


class Letters:
    """Texts are near each other if they have the same letters. `faults` are raised before anything is made."""

    def __init__(self, model="letters", letters="abcdefgh", faults=()):
        self.model = model
        self._letters = letters
        self.faults = list(faults)
        self.asked = []

    async def embed(self, who, texts, purpose, origin):
        if self.faults:
            raise self.faults.pop(0)
        self.asked.append((purpose, list(texts), who))
        return [unit([text.count(letter) + 0.01 for letter in self._letters]) for text in texts]

    @property
    def made(self):
        return [text for purpose, texts, _ in self.asked for text in texts if purpose == "document"]


class Library:
    """Everything that there is, over one shelf."""

    def __init__(self, shelf, embedder):
        index = MatrixIndex(shelf)
        self.shelf = shelf
        self.ingester = Ingester(shelf, index, embedder, lease=5)
        self.searcher = Searcher(shelf, index, embedder)

    async def take(self, *drafts):
        kept = await self.ingester.take(ANN, HERS, drafts)
        return [await self.ingester.settled(HERS, each.document.id, 10) for each in kept]

    async def find(self, text, **how):
        how = {"collections": ("notes",), **how}
        return (await self.searcher.search(ANN, Search(text=text, **how))).found


@asynccontextmanager
async def library(folder, embedder=None):
    shelf = SqliteShelf(folder / "knowledge")
    made = Library(shelf, embedder)
    working = asyncio.create_task(made.ingester.work())
    try:
        yield made
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        shelf.close()


@pytest.mark.anyio
async def test_words_find_a_passage_and_its_place(tmp_path):
    async with library(tmp_path) as books:
        documents = await books.take(draft("a", "# Gates\n\nA gate opens.", lang="en"), draft("b", "Water."))
        assert [(each.state, each.chunks, each.title) for each in documents] == [
            ("ready", 1, "Gates"),
            ("ready", 1, ""),
        ]
        found = (await books.find("opening the gates"))[0]
        assert (found.passage.document_id, found.passage.path, found.kind) == ("a", ("Gates",), "coverage")
        assert books.shelf.text(HERS, "a")[found.passage.start : found.passage.end] == found.passage.text
        assert found.similarity == pytest.approx(1.0)
        assert found.scores.dense is None
        assert not await books.find("opening the gates", min_similarity=1.0, filter={"lang": "fr"})
        assert not await books.find("something unheard of")


@pytest.mark.anyio
async def test_meaning_finds_what_words_do_not(tmp_path):
    async with library(tmp_path, Letters()) as books:
        await books.take(draft("a", "aaa bbb"), draft("b", "fff ggg"))
        found = await books.find("ab ba")
        assert [each.passage.document_id for each in found] == ["a", "b"]
        assert found[0].kind == "cosine"
        assert found[0].similarity > 0.9 > found[1].similarity
        assert not await books.find("ab ba", mode="lexical")
        assert [each.passage.document_id for each in await books.find("ggg", mode="dense", k=1)] == ["b"]


@pytest.mark.anyio
async def test_what_has_not_changed_is_not_embedded_again(tmp_path):
    model = Letters()
    part = "Words of this part. " * 30
    text = "\n".join(f"## Part {n}\n{part}{n}" for n in range(4))
    async with library(tmp_path, model) as books:
        await books.take(draft("a", text))
        assert len(model.made) == 4
        await books.take(draft("a", text))
        assert len(model.made) == 4
        await books.take(draft("a", text.replace(f"{part}2", f"{part}two")))
        assert len(model.made) == 5
        await books.take(draft("moved", text))
        assert len(model.made) == 6
        await books.take(draft("a", text, lang="en"))
        assert len(model.made) == 6
        assert (await books.find("words", filter={"lang": "en"}))[0].passage.document_id == "a"


@pytest.mark.anyio
async def test_a_limit_makes_a_document_wait_and_a_refusal_makes_it_fail(tmp_path):
    model = Letters(faults=[RateLimited("too many tokens", retry_after=0.05)])
    async with library(tmp_path, model) as books:
        assert (await books.take(draft("a", "aaa")))[0].state == "ready"
        model.faults.append(UpstreamRejected("no such thing"))
        failed = (await books.take(draft("b", "bbb")))[0]
        assert (failed.state, failed.error) == ("failed", "no such thing")
        books.shelf.retry(HERS, "b")
        books.ingester.call()
        assert (await books.ingester.settled(HERS, "b", 10)).state == "ready"
        assert all(who == ANN for _, _, who in model.asked)


@pytest.mark.anyio
async def test_a_document_that_never_fits_a_limit_fails_with_that_reason(tmp_path):
    model = Letters(faults=[RateLimited("This request may take more than the limit.")])
    async with library(tmp_path, model) as books:
        failed = (await books.take(draft("a", "aaa")))[0]
        assert (failed.state, failed.error) == ("failed", "This request may take more than the limit.")


@pytest.mark.anyio
async def test_a_bug_fails_the_document_and_the_next_one_is_read(tmp_path, caplog):
    async with library(tmp_path, Letters(faults=[ZeroDivisionError()])) as books:
        first = (await books.take(draft("a", "aaa")))[0]
        assert (first.state, first.error) == ("failed", "something went wrong inside Headgate")
        assert (await books.take(draft("b", "bbb")))[0].state == "ready"


@pytest.mark.anyio
async def test_another_model_is_refused_by_both_names_until_the_vectors_are_made_anew(tmp_path):
    async with library(tmp_path, Letters()) as books:
        await books.take(draft("a", "aaa"), draft("b", "bbb"))
    other = Letters("newer", "abcd")
    async with library(tmp_path, other) as books:
        with pytest.raises(InvalidField, match=r"letters.*newer"):
            await books.find("a")
        assert await books.find("aaa", mode="lexical")
        failed = (await books.take(draft("c", "ccc")))[0]
        assert failed.state == "failed"
        await books.ingester.embed_anew(ANN, HERS)
        for name in "ab":
            assert (await books.ingester.settled(HERS, name, 10)).state == "ready"
        assert (await books.find("a", k=1))[0].passage.document_id == "a"
        assert books.shelf.collection(HERS).dimension == 4
        assert books.shelf.text(HERS, "a") == "aaa"


@pytest.mark.anyio
async def test_a_collection_without_vectors_is_searched_by_words_whatever_is_configured(tmp_path):
    async with library(tmp_path) as books:
        await books.take(draft("a", "aaa"))
        with pytest.raises(InvalidField, match="no vectors"):
            await books.find("aaa", mode="dense")
    async with library(tmp_path, Letters()) as books:
        found = await books.searcher.search(ANN, Search(text="aaa"))
        assert (found.mode, [each.kind for each in found.found]) == ("lexical", ["coverage"])


@pytest.mark.anyio
async def test_collections_with_and_without_vectors_take_turns(tmp_path):
    words, vectors = (type(HERS)(HERS.tenant, name) for name in ("words", "vectors"))
    texts = ("abba abba", "abba cab", "abba bad face")
    drafts = [draft(str(at), text) for at, text in enumerate(texts)]
    async with library(tmp_path) as books:
        await books.ingester.take(ANN, words, drafts)
    async with library(tmp_path, Letters()) as books:
        await books.ingester.take(ANN, vectors, drafts)
        for each in drafts:
            assert (await books.ingester.settled(vectors, each.id, 10)).state == "ready"
        for names in (("words", "vectors"), ("vectors", "words")):
            found = await books.find("abba", collections=names)
            assert [each.collection for each in found] == [*names] * 3
            assert {each.kind for each in found} == {"coverage", "cosine"}
            assert [each.passage.document_id for each in found[:2]] == ["0", "0"]
        few = await books.find("abba", collections=("words", "vectors"), min_similarity=0.999, k=4)
        assert [(each.collection, each.passage.document_id) for each in few][:2] == [("words", "0"), ("vectors", "0")]


@pytest.mark.anyio
async def test_several_collections_are_merged_by_similarity(tmp_path):
    async with library(tmp_path) as books:
        for name, text in (("one", "gates and water"), ("two", "gates and sluices"), ("three", "gates")):
            scope = type(HERS)(HERS.tenant, name)
            await books.ingester.take(ANN, scope, [draft("d", text)])
        found = await books.find("gates sluices water", collections=("one", "two", "three"))
        assert {each.collection for each in found} == {"one", "two", "three"}
        assert [each.similarity for each in found] == sorted((each.similarity for each in found), reverse=True)
        assert len(await books.find("gates", collections=())) == 3
        with pytest.raises(NotFound, match="four"):
            await books.find("gates", collections=("one", "four"))
