"""The shape of the house is held by figures; `python -m tests.house` prints them."""

import ast

import pytest

from hatch_build import compiled_modules
from tests import house, syntax

MOST_FILES = 16
MOST_FLOORS = 6


@pytest.mark.parametrize("package", ["proxy", "certs"])
def test_rooms_have_no_circle_and_no_file_lies_loose(package: str) -> None:
    assert house.circle(house.rooms(house.imports(), package)) == []
    assert house.loose(package) == []


def test_few_rooms_on_few_floors() -> None:
    arrows = house.rooms(house.imports(), "proxy")
    assert len(arrows) <= 25
    assert house.height(arrows) <= 12


def test_a_room_in_a_room_has_few_files_on_few_floors_and_no_circle() -> None:
    contents = house.inside(house.imports(), house.parsed())
    nested = {name: arrows for name, arrows in contents.items() if name not in {"proxy", "certs"}}
    assert {name: found for name, arrows in nested.items() if (found := house.circle(arrows))} == {}
    files = {name: house.files(arrows, contents) for name, arrows in nested.items()}
    assert {name: count for name, count in files.items() if count > MOST_FILES} == {}
    floors = {name: house.height(arrows) for name, arrows in nested.items()}
    assert {name: count for name, count in floors.items() if count > MOST_FLOORS} == {}


def test_a_class_name_means_one_thing() -> None:
    assert house.twins(house.parsed()) == {}


def test_each_public_name_has_a_caller_in_the_product() -> None:
    assert house.uncalled(house.parsed()) == []


def test_compiled_modules_search_bytes_by_numbers_and_tables() -> None:
    """An octet is searched for by its number, more octets by `find`, and classes of octets by a table."""
    found = {
        path: slow
        for path in compiled_modules()
        if (slow := list(house.slow_in_compiled_code(syntax.tree(house.ROOT / path))))
    }
    assert found == {}


def test_pure_modules_reach_no_io_and_no_clock() -> None:
    assert house.impure(house.imports(with_annotations=False)) == {}


def test_pure_modules_are_listed_once_and_exist() -> None:
    pure = house.pure_modules()
    assert pure == sorted(set(pure))
    assert set(pure) <= house.parsed().keys()


class TestMeasuring:
    """The measure itself: it finds what it is for."""

    def test_circle_is_found(self) -> None:
        assert set(house.circle({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a")})) == {"a", "b", "c"}

    def test_floors_are_counted(self) -> None:
        assert house.height({"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}) == 3

    def test_rooms_in_rooms_are_measured(self) -> None:
        product = {
            "a.b.c.one": {"a.b.two", "os"},
            "a.b.c.other": {"a.b.c.one"},
            "a.b.two": {"a.d.three"},
            "a.d.three": {"a.b.c.one"},
        }
        graph = {module: frozenset(imported) for module, imported in product.items()}
        contents = house.inside(graph, [*product, "a.b.__init__"])
        assert contents["a.b.c"] == {"a.b.c.one": frozenset(), "a.b.c.other": {"a.b.c.one"}}
        assert contents["a.b"] == {"a.b.c": {"a.b.two"}, "a.b.two": frozenset()}
        assert house.circle(contents["a"])
        assert house.files(contents["a.b"], contents) == 1

    def test_names_without_a_caller_are_found(self) -> None:
        product = {
            "one": ast.parse(
                "def used(): ...\ndef dead(): used()\nclass Shown:\n    def gone(self): ...\n    def seen(self): ..."
            ),
            "two": ast.parse("from one import Shown\nShown().seen()\n"),
        }
        assert house.uncalled(product) == ["one:2 dead", "one:4 gone"]

    def test_names_of_a_package_need_callers_when_its_door_is_in_use_outside(self) -> None:
        parts = {
            "proxy.http2.session.server_session": ast.parse("class Session: ..."),
            "proxy.http2.wire.errors": ast.parse(
                "from proxy.http2.session.server_session import Session\nclass Fault: ..."
            ),
        }
        assert house.uncalled(parts) == []
        outside = {"proxy.downstream.driver": ast.parse("from proxy.http2.session.server_session import Session")}
        assert house.uncalled(parts | outside) == ["proxy.http2.wire.errors:2 Fault"]

    def test_slow_searches_are_found(self) -> None:
        tree = ast.parse(
            "_DOT: Final = b'.'\n_DATE = b'date'\n_CR: Final = 13\n"
            "def f(): return b':' in x or b'ab:' not in x or _DOT in x or x.translate(None, y)\n"
            "def g(): return b'date' in x or b'GET' in x or _DATE in x or _CR in x or x.translate(y) or b'x-1' in x\n"
        )
        assert list(house.slow_in_compiled_code(tree)) == [
            (4, "b':' in ..."),
            (4, "b'ab:' in ..."),
            (4, "b'.' in ..."),
            (4, "translate(None, ...)"),
        ]

    def test_twins_are_found(self) -> None:
        product = {"one": ast.parse("class A: ...\nclass B: ..."), "two": ast.parse("class A: ...")}
        assert house.twins(product) == {"A": ["one:1", "two:1"]}

    def test_disguises_are_found_and_what_is_meant_to_be_subclassed_is_none(self) -> None:
        product = {
            "one": ast.parse(
                "class Role(Protocol[T]): ...\nclass Real(Role): ...\nclass Failed(OSError): ...\nclass Worse(Failed): ...\n"
                "class Table(BaseModel): ...\nclass Row(Table): ...\n"
                "@mypyc_attr(allow_interpreted_subclasses=True)\nclass Base: ...\n@mypyc_attr(native_class=False)\nclass Shut: ..."
            )
        }
        honest = "class A(Role): ...\nclass B(Worse): ...\nclass C(Row): ...\nclass D(Real.Inner): ...\nclass Real: ...\nclass G(Base): ..."
        tests = {
            "good": ast.parse(f"from proxy.one import Base, Role, Worse, Row\nfrom typing import Any\n{honest}"),
            "own": ast.parse("class Real: ...\nclass Other(Real): ..."),
            "bad": ast.parse(
                "from typing import cast\nfrom proxy.one import Real as It, Shut\nfrom proxy import one\nimport typing\n"
                "class E(It): ...\nclass F(one.Real): ...\ntyping.cast('Real', None)\nclass H(Shut): ..."
            ),
        }
        assert house.disguises(tests, product) == [
            "bad:1 cast",
            "bad:5 E(Real)",
            "bad:6 F(Real)",
            "bad:7 cast",
            "bad:8 H(Shut)",
        ]

    def test_a_way_to_io_is_found_through_other_modules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(house, "pure_modules", lambda: ["one", "three"])
        graph = {"one": frozenset({"two"}), "two": frozenset({"os"}), "three": frozenset({"re"})}
        assert house.impure(graph) == {"one": "one -> two -> os"}
