"""The static table."""

from hpack.table import HeaderTable as OtherTable

from proxy.http2.hpack.static_table import STATIC_COUNT, STATIC_ENTRIES, TableEntry


def test_the_static_table_is_that_of_the_standard() -> None:
    assert [entry.field for entry in STATIC_ENTRIES] == list(OtherTable.STATIC_TABLE)
    assert len(STATIC_ENTRIES) == STATIC_COUNT


def test_an_entry_knows_what_it_costs() -> None:
    entry = TableEntry(b"cookie", b"a=1")
    assert (entry.name, entry.field, entry.octets, entry.is_crumb) == (b"cookie", (b"cookie", b"a=1"), 9, True)
    assert not any(TableEntry(name, b"").is_crumb for name in (b"", b"Cookie", b"cookie2", b"origin"))
