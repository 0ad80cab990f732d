"""The dynamic table."""

import pytest
from hpack.exceptions import InvalidTableIndex
from hpack.table import HeaderTable as OtherTable
from hypothesis import given
from hypothesis import strategies as st

from proxy.http2.hpack.dynamic_table import HeaderTable
from proxy.http2.hpack.static_table import TableEntry
from proxy.http2.wire.errors import ConnectionFault, ErrorCode


def fields(table: HeaderTable) -> list[tuple[bytes, bytes]]:
    return [table.entry(62 + place).field for place in range(table.inserted - table.evicted)]


def test_indices_begin_with_the_static_table_and_go_on_with_the_newest() -> None:
    table = HeaderTable(4096)
    table.insert(TableEntry(b"a", b"1"))
    newest = TableEntry(b"b", b"2")
    table.insert(newest)
    assert table.entry(1).field == (b":authority", b"")
    assert table.entry(61).field == (b"www-authenticate", b"")
    assert table.entry(62) is newest
    assert table.entry(63).field == (b"a", b"1")


@pytest.mark.parametrize("index", [0, 63, 64, 1 << 28])
def test_an_index_of_no_field_is_a_fault(index: int) -> None:
    table = HeaderTable(4096)
    table.insert(TableEntry(b"a", b"1"))
    with pytest.raises(ConnectionFault, match="index of no field") as caught:
        table.entry(index)
    assert caught.value.code == ErrorCode.COMPRESSION_ERROR


def test_the_oldest_entries_make_room() -> None:
    table = HeaderTable(100)
    first, second, third = (TableEntry(name, b"") for name in (b"a", b"b", b"c"))
    assert table.insert(first) == table.insert(second) == table.insert(third) == []
    assert table.size == 99
    assert table.insert(TableEntry(b"d" * 10, b"")) == [first, second]
    assert (table.size, table.inserted, table.evicted) == (75, 4, 2)


def test_an_entry_larger_than_the_table_empties_it() -> None:
    table = HeaderTable(100)
    table.insert(TableEntry(b"a", b""))
    table.insert(TableEntry(b"b" * 69, b""))
    assert (table.size, fields(table)) == (0, [])
    table.insert(TableEntry(b"b" * 68, b""))
    assert table.size == 100
    table.clear()
    assert (table.size, fields(table)) == (0, [])


def test_a_smaller_table_keeps_the_newest_entries() -> None:
    table = HeaderTable(100)
    entries = [TableEntry(name, b"") for name in (b"a", b"b", b"c")]
    for entry in entries:
        table.insert(entry)
    assert table.resize(66) == entries[:1]
    assert table.resize(4096) == []
    assert table.resize(0) == entries[1:]


def test_every_change_is_counted() -> None:
    table = HeaderTable(100)
    table.insert(TableEntry(b"a", b""))
    table.resize(90)
    table.clear()
    assert table.changes == 3
    table.entry(1)
    assert table.changes == 3


@given(
    steps=st.lists(st.integers(0, 300) | st.tuples(st.binary(max_size=90), st.binary(max_size=90)), max_size=30),
    index=st.integers(0, 80),
)
def test_it_is_the_table_of_another(steps: list[int | tuple[bytes, bytes]], index: int) -> None:
    ours, other = HeaderTable(256), OtherTable()
    other.maxsize = 256
    for step in steps:
        if isinstance(step, int):
            ours.resize(step)
            other.maxsize = step
        else:
            ours.insert(TableEntry(*step))
            other.add(*step)
        assert fields(ours) == list(other.dynamic_entries)
        assert ours.size == sum(len(name) + len(value) + 32 for name, value in fields(ours)) <= ours.capacity
    try:
        expected = other.get_by_index(index)
    except InvalidTableIndex:
        with pytest.raises(ConnectionFault):
            ours.entry(index)
    else:
        assert ours.entry(index).field == expected
