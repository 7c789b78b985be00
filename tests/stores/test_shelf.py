"""What a process that died left between two files is found by the next one that starts."""

from contextlib import closing

from contracts._shelf import ANN, HERS, draft
from headgate.stores.shelf import SqliteShelf


def test_a_draft_whose_process_died_before_it_asked_for_a_reader_is_read_after_the_next_start(tmp_path):
    with closing(SqliteShelf(tmp_path)) as died:
        died.create(HERS)
        with died.file(HERS) as file:
            file.queue(ANN, [draft("a", "some words")])  # and here it dies: the catalogue has not heard of it
        assert died.lease("somebody", 5.0, 1) == []
    with closing(SqliteShelf(tmp_path)) as shelf:
        assert [job.draft.id for job in shelf.lease("somebody", 5.0, 1)] == ["a"]


def test_a_start_with_nothing_left_over_finds_nothing_to_do(tmp_path):
    with closing(SqliteShelf(tmp_path)) as shelf:
        shelf.create(HERS)
    with closing(SqliteShelf(tmp_path)) as shelf:
        assert shelf.lease("somebody", 5.0, 1) == []
        assert shelf._catalogue.rows("SELECT 1 FROM collections WHERE asked > done") == []
