"""What the ledger's table keeps of an entry."""

from headgate.core.entry import PASSING, Entry
from headgate.stores.ledger import COLUMNS


def test_the_table_keeps_all_fields_but_the_passing_ones_which_are_the_last():
    assert set(Entry.__struct_fields__[-len(PASSING) :]) == PASSING
    assert (*COLUMNS, *Entry.__struct_fields__[-len(PASSING) :]) == Entry.__struct_fields__
