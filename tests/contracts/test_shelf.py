"""What every shelf does. A new one is added to the fixture."""

import threading
import time
from contextlib import ExitStack

import pytest

from contracts._shelf import ANN, HERS, HIS, draft, piece, ready
from headgate.core.faults import Forbidden, NotFound
from headgate.core.knowledge import Room, Scope
from headgate.stores.postgres import PostgresDatabase
from headgate.stores.postgres_shelf import PostgresShelf
from headgate.stores.shelf import SqliteShelf


@pytest.fixture(params=["sqlite", "postgres"])
def opening(request, tmp_path):
    """Opens the same shelf, as often as one likes."""
    made = ExitStack()
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        database = PostgresDatabase(url, tmp_path)
        database.migrate()
        database.close()

    def opened():
        if request.param == "sqlite":
            shelf = SqliteShelf(tmp_path / "knowledge")
        else:
            database = PostgresDatabase(url, tmp_path)
            made.callback(database.close)
            shelf = PostgresShelf(database)
        made.callback(shelf.close)
        return shelf

    with made:
        yield opened


@pytest.fixture
def shelf(opening):
    shelf = opening()
    shelf.create(HERS)
    shelf.create(HIS)
    return shelf


def found(shelf, scope, *words, where=(), k=10):
    hits = shelf.lexical(scope, words, k, dict(where))
    there = shelf.passages(scope, [hit.passage_id for hit in hits])
    return [there[hit.passage_id].document_id for hit in hits]


def test_a_collection_is_made_once_and_described(shelf):
    assert not shelf.create(HERS)
    shelf.put(HERS, [ready("a", "Water flows.")])
    about = shelf.collection(HERS)
    assert (about.name, about.documents, about.passages, about.size, about.model) == ("notes", 1, 1, 12, "")
    assert [each.name for each in shelf.collections("user:ann")] == ["notes"]
    assert shelf.collections("user:eve") == []


def test_what_a_tenant_does_not_have_is_not_there(shelf):
    for scope in (Scope("user:eve", "notes"), Scope("user:ann", "other"), Scope("user:ann", "' OR 1=1 --")):
        for ask in (
            shelf.collection,
            shelf.drop,
            shelf.documents,
            lambda s: shelf.lexical(s, ["water"], 1, {}),
            lambda s: shelf.put(s, [ready("a", "x")]),
        ):
            with pytest.raises(NotFound):
                ask(scope)
    for ask in (shelf.document, shelf.text, shelf.remove, shelf.retry):
        with pytest.raises(NotFound, match="no document 'nothing' in the collection 'notes'"):
            ask(HERS, "nothing")


def test_nobody_finds_what_is_another_tenants(shelf):
    shelf.put(HERS, [ready("a", "The secret sluice.")])
    shelf.put(HIS, [ready("a", "A public canal.")])
    assert found(shelf, HERS, "sluice", "canal") == ["a"]
    assert found(shelf, HIS, "sluice") == []
    hits = shelf.lexical(HERS, ["sluice"], 1, {})
    ids = [hit.passage_id for hit in hits]
    assert shelf.passages(HERS, ids)
    assert not shelf.passages(HIS, ids) or shelf.passages(HIS, ids)[ids[0]].text == "A public canal."


def test_any_of_the_words_is_enough_and_stems_are_the_same(shelf):
    shelf.put(HERS, [ready("a", "Gates are opening."), ready("b", "A gate opens water."), ready("c", "Nothing.")])
    assert set(found(shelf, HERS, "open", "water")) == {"a", "b"}
    assert found(shelf, HERS, "water", "opened")[0] == "b"
    assert found(shelf, HERS, "absent") == []


def test_a_title_weighs_more_than_the_text_and_parts_of_names_count(shelf):
    texts = [ready("a", "about a sluice and more words", "Other"), ready("b", "about and more words here", "Sluice")]
    shelf.put(HERS, [*texts, ready("c", "call getHttpReply(x) now")])
    assert found(shelf, HERS, "sluice") == ["b", "a"]
    assert found(shelf, HERS, "reply") == ["c"]


@pytest.mark.parametrize("word", ['"', '" OR *', "NEAR(", "a:b", "-x", "^", "*", "", "\0", "'; DROP", "\U0001f600"])
def test_a_word_is_never_a_query(shelf, word):
    shelf.put(HERS, [ready("a", "Water flows.")])
    assert found(shelf, HERS, word, "water") == ["a"]


def test_filters_compare_values_and_lists(shelf):
    shelf.put(
        HERS,
        [
            ready("a", "water", lang="en", year=2024, tags=["x", "y"]),
            ready("b", "water", lang="fr", year=2025.0, draft=True),
            ready("c", "water", lang="long" * 100),
        ],
    )

    def these(**where):
        return sorted(found(shelf, HERS, "water", where=where.items()))

    assert these(lang="en") == ["a"]
    assert these(lang=["en", "fr"]) == ["a", "b"]
    assert these(year=2025) == ["b"]
    assert these(year="2025") == []
    assert these(tags="y", lang="en") == ["a"]
    assert these(draft=True) == ["b"]
    assert these(draft=1) == []
    assert these(lang="long" * 100) == ["c"]
    assert these(nothing="x") == []


def test_the_same_document_again_changes_nothing_and_another_replaces_it(shelf):
    first = shelf.put(HERS, [ready("a", "Old words.", "T", lang="en")])[0]
    again = shelf.put(HERS, [ready("a", "Old words.", "T", lang="en")])[0]
    other = shelf.put(HERS, [ready("a", "New words, more of them.", "U", lang="fr")])[0]
    assert [each.result for each in (first, again, other)] == ["created", "unchanged", "updated"]
    assert found(shelf, HERS, "old") == []
    assert found(shelf, HERS, "new", where={"lang": "fr"}) == ["a"]
    assert found(shelf, HERS, "new", where={"lang": "en"}) == []
    about = shelf.collection(HERS)
    assert (about.documents, about.passages, about.size) == (1, 1, 24)
    assert (shelf.document(HERS, "a").title, shelf.text(HERS, "a")) == ("U", "New words, more of them.")


def test_twice_in_one_batch_the_last_one_stays(shelf):
    shelf.put(HERS, [ready("a", "first"), ready("a", "second"), ready("b", "third")])
    assert found(shelf, HERS, "first", "second") == ["a"]
    assert shelf.text(HERS, "a") == "second"


def test_a_queued_document_is_leased_once_and_ready_when_it_is_finished(shelf):
    kept = shelf.queue(HERS, ANN, [draft("a", "Water flows.", lang="en")])[0]
    assert (kept.result, kept.document.state) == ("created", "queued")
    jobs = shelf.lease("w1", 60, 5)
    assert [(job.draft.id, job.draft.body, job.who, job.tries) for job in jobs] == [("a", b"Water flows.", ANN, 1)]
    assert shelf.lease("w2", 60, 5) == []
    assert shelf.document(HERS, "a").state == "processing"
    assert found(shelf, HERS, "water") == []
    assert shelf.finish(jobs[0], "Water flows.", ready("a", "Water flows.")[2]) == []
    assert shelf.document(HERS, "a").state == "ready"
    assert found(shelf, HERS, "water", where={"lang": "en"}) == ["a"]
    assert shelf.collection(HERS).unfinished == 0
    assert shelf.lease("w1", 60, 5) == []


def test_a_lease_that_ran_out_is_somebody_elses(shelf, opening):
    other = opening()
    shelf.queue(HERS, ANN, [draft("a", "Water.")])
    late = shelf.lease("dead", 0.01, 1)[0]
    time.sleep(0.02)
    job = other.lease("alive", 60, 1)[0]
    assert (job.draft.id, job.tries) == ("a", 2)
    assert not shelf.renew(late, 60)
    assert shelf.finish(late, "late", [piece("x", "late")]) is None
    shelf.fail(late, "late")
    assert other.renew(job, 60)
    assert other.finish(job, "Water.", ready("a", "Water.")[2]) == []
    assert found(shelf, HERS, "water", "late") == ["a"]


def test_what_is_sent_while_the_older_is_read_wins(shelf):
    shelf.put(HERS, [ready("a", "Oldest.")])
    shelf.queue(HERS, ANN, [draft("a", "Older.")])
    job = shelf.lease("w", 60, 1)[0]
    assert found(shelf, HERS, "oldest") == ["a"]
    shelf.queue(HERS, ANN, [draft("a", "Newest.")])
    assert shelf.finish(job, "Older.", ready("a", "Older.")[2]) is None
    job = shelf.lease("w", 60, 1)[0]
    shelf.finish(job, "Newest.", ready("a", "Newest.")[2])
    assert found(shelf, HERS, "oldest", "older", "newest") == ["a"]
    assert shelf.text(HERS, "a") == "Newest."


def test_a_failed_document_is_seen_tried_again_and_forgotten(shelf):
    shelf.queue(HERS, ANN, [draft("a", "x", media="application/pdf")])
    shelf.fail(shelf.lease("w", 60, 1)[0], "this is no PDF")
    assert (shelf.document(HERS, "a").state, shelf.document(HERS, "a").error) == ("failed", "this is no PDF")
    assert [each.id for each in shelf.documents(HERS, "failed")] == ["a"]
    assert shelf.collection(HERS).failed == 1
    assert shelf.lease("w", 60, 1) == []
    assert shelf.retry(HERS, "a").state == "queued"
    job = shelf.lease("w", 60, 1)[0]
    shelf.fail(job, "come back later", 0.01)
    assert shelf.document(HERS, "a").state == "queued"
    time.sleep(0.02)
    shelf.fail(shelf.lease("w", 60, 1)[0], "no")
    assert shelf.queue(HERS, ANN, [draft("a", "x", media="application/pdf")])[0].result == "updated"
    shelf.remove(HERS, "a")
    assert shelf.lease("w", 60, 1) == []
    assert shelf.documents(HERS) == []


def test_a_removed_document_takes_everything_with_it(shelf, opening):
    shelf.put(HERS, [ready("a", "Water flows.", lang="en"), ready("b", "Water stands.")])
    gone = shelf.remove(HERS, "a")
    assert len(gone) == 1
    for each in (shelf, opening()):
        assert found(each, HERS, "water") == ["b"]
        assert each.passages(HERS, gone) == {}
        assert each.lexical(HERS, ["flows"], 5, {"lang": "en"}) == []
    assert (shelf.collection(HERS).documents, shelf.collection(HERS).passages) == (1, 1)


def test_a_removed_document_is_not_brought_back_by_who_was_reading_it(shelf):
    shelf.queue(HERS, ANN, [draft("a", "Water.")])
    job = shelf.lease("w", 60, 1)[0]
    shelf.remove(HERS, "a")
    assert shelf.finish(job, "Water.", ready("a", "Water.")[2]) is None
    assert found(shelf, HERS, "water") == []


def test_a_dropped_collection_is_gone_for_everybody(shelf, opening, tmp_path):
    other = opening()
    shelf.put(HERS, [ready("a", "Water flows.")])
    assert found(other, HERS, "water") == ["a"]
    before = len(list(tmp_path.rglob("*.db")))
    shelf.drop(HERS)
    with pytest.raises(NotFound):
        found(other, HERS, "water")
    assert len(list(tmp_path.rglob("*.db"))) == max(0, before - 1)
    other.create(HERS)
    assert found(shelf, HERS, "water") == []


def test_documents_are_listed_in_pages(shelf):
    shelf.put(HERS, [ready(f"{n:02}", "x") for n in range(5)])
    assert [each.id for each in shelf.documents(HERS, limit=2)] == ["00", "01"]
    assert [each.id for each in shelf.documents(HERS, after="01", limit=2)] == ["02", "03"]
    assert shelf.documents(HERS, "failed") == []


def test_there_is_room_for_so_much_in_all_collections_together(shelf):
    other = Scope("user:ann", "other")
    shelf.create(other)
    room = Room(2, 20)
    shelf.put(HERS, [ready("a", "12345")], room)
    shelf.queue(other, ANN, [draft("a", "12345")], room)
    with pytest.raises(Forbidden, match="2 documents"):
        shelf.put(HERS, [ready("b", "1")], room)
    with pytest.raises(Forbidden, match="20 bytes"):
        shelf.put(HERS, [ready("a", "1234567890123456")], room)
    shelf.put(HERS, [ready("a", "123456789012345")], room)
    shelf.remove(HERS, "a")
    shelf.put(HERS, [ready("b", "1")], room)
    shelf.put(HIS, [ready("b", "1")], room)


def test_there_is_room_for_so_much_however_many_ask_at_once(opening):
    opening().create(HERS)
    shelves = [opening() for _ in range(4)]

    def fill(shelf, name):
        for n in range(5):
            try:
                shelf.put(HERS, [ready(f"{name}{n}", "x")], Room(7))
            except Forbidden:
                return

    threads = [threading.Thread(target=fill, args=(shelf, name)) for shelf, name in zip(shelves, "abcd", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelves[0].collection(HERS).documents == 7


def test_coverage_weighs_rare_words_more(shelf):
    shelf.put(HERS, [ready(f"n{n}", "common filler") for n in range(20)] + [ready("r", "rare common", "Titled")])
    hits = {hit.passage_id for hit in shelf.lexical(HERS, ["common", "rare"], 30, {})}
    scores = shelf.coverage(HERS, ["common", "rare", "common"], list(hits))
    rare = shelf.lexical(HERS, ["rare"], 1, {})[0].passage_id
    assert scores[rare] == pytest.approx(1.0)
    assert all(0 < score < 0.3 for passage, score in scores.items() if passage != rare)
    assert shelf.coverage(HERS, ["titles", "unheard"], [rare])[rare] < 0.6
    assert shelf.coverage(HERS, ["unheard"], [rare]) == {rare: 0.0}


def test_vectors_are_kept_and_known_by_what_they_are_of(shelf):
    scope = Scope("user:ann", "vectors")
    shelf.create(scope, "m")
    shelf.queue(scope, ANN, [draft("a", "x")])
    one = piece("p1", "x", 3, 4)
    shelf.finish(shelf.lease("w", 60, 1)[0], "x", [one])
    assert shelf.vectors(scope, ["p1", "p2"])["p1"] == pytest.approx((0.6, 0.8), abs=0.01)
    assert shelf.known(scope, [one.digest, "other"]).keys() == {one.digest}
    assert shelf.known(HERS, [one.digest]) == {}
    assert (shelf.collection(scope).model, shelf.collection(scope).dimension) == ("m", 2)


def test_another_model_takes_the_place_of_the_first(shelf):
    scope = Scope("user:ann", "vectors")
    shelf.create(scope, "m")
    shelf.queue(scope, ANN, [draft("a", "words here", lang="en")])
    first = piece("p1", "words here", 1, 0)
    shelf.finish(shelf.lease("w", 60, 1)[0], "words here", [first])
    shelf.bind(scope, ANN, "n", 0)
    assert shelf.vectors(scope, ["p1"]) == {}
    assert found(shelf, scope, "words", where={"lang": "en"}) == ["a"]
    job = shelf.lease("w", 60, 1)[0]
    assert (job.draft.media, job.draft.body) == ("", b"")
    again = shelf.pieces(scope, "a")
    assert [(each.id, each.text) for each in again] == [("p1", "words here")]
    shelf.finish(job, "", [piece("p1", "words here", 0, 0, 1)])
    about = shelf.collection(scope)
    assert (about.model, about.dimension, about.unfinished) == ("n", 3, 0)
    assert shelf.text(scope, "a") == "words here"
    assert shelf.document(scope, "a").media == "text/markdown"
