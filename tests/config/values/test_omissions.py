"""Gaps that a faulty document leaves."""

from hypothesis import given
from hypothesis import strategies as st

from config.values.omissions import Omissions

DOCUMENT = {
    "upstream": {"chat": {"servers": ["a", "b", "c", "d"]}, "files": {"servers": []}},
    "route": [{"host": "a"}, {"host": "b"}, {"host": "c"}],
}


def test_nothing_omitted_changes_nothing() -> None:
    omissions = Omissions()
    assert not omissions
    assert omissions.without(DOCUMENT) == DOCUMENT
    assert omissions.key("route", 2, "host") == "route[2].host"
    assert not omissions.touch()


def test_keys_tables_and_entries_are_left_out() -> None:
    omissions = Omissions(
        frozenset({("upstream", "files"), ("upstream", "chat", "servers", 1), ("route", 0), ("route", 2, "host")})
    )
    assert omissions
    assert omissions.without(DOCUMENT) == {
        "upstream": {"chat": {"servers": ["a", "c", "d"]}},
        "route": [{"host": "b"}, {}],
    }


def test_keys_of_a_table_are_touched_wherever_it_stands() -> None:
    omissions = Omissions(frozenset({("route", 0), ("route", 1, "path")}))
    assert omissions.touch_any(("route", 0), ("host", "path"))
    assert not omissions.touch_any(("route", 0), ("host",))
    assert not omissions.touch_any(("route", 1), ("host", "path"))


def test_a_whole_list_can_be_left_out() -> None:
    assert Omissions(frozenset({("route",)})).without(DOCUMENT) == {"upstream": DOCUMENT["upstream"]}


def test_keys_are_those_of_the_file() -> None:
    omissions = Omissions(frozenset({("route", 0), ("route", 2), ("route", 3, "path")}))
    assert [omissions.key("route", index) for index in range(3)] == ["route[1]", "route[3]", "route[4]"]
    assert omissions.in_file(("route", 1, "path")) == ("route", 3, "path")


def test_touch_asks_for_a_place_and_everything_under_it() -> None:
    omissions = Omissions(frozenset({("identity", "chat", "names", 0)}))
    assert omissions.touch("identity")
    assert omissions.touch("identity", "chat", "names")
    assert omissions.touch("identity", "chat", "names", 0)
    assert not omissions.touch("identity", "chat", "key")
    assert not omissions.touch("identity", "chat", "names", 0, "x")


def test_names_are_those_of_whole_tables() -> None:
    omissions = Omissions(
        frozenset({("upstream", "chat"), ("upstream", "files", "ca"), ("identity", "a"), ("upstream",)})
    )
    assert omissions.names("upstream") == {"chat"}


@given(st.lists(st.integers(), max_size=8), st.sets(st.integers(0, 7)))
def test_each_entry_left_is_found_at_its_place_in_the_file(entries: list[int], omitted: set[int]) -> None:
    document = {"list": entries}
    omissions = Omissions(frozenset(("list", index) for index in omitted))
    left = omissions.without(document)["list"]
    assert isinstance(left, list)
    for index, entry in enumerate(left):
        place = omissions.in_file(("list", index))[1]
        assert isinstance(place, int)
        assert place not in omitted
        assert entries[place] == entry
