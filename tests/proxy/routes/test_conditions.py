"""Which of the routes of one path takes a request: all readings of it must agree."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.head import Header
from proxy.routes.conditions import Alternatives, AmbiguousCondition, Conditions, MethodNotAllowed

VERSION: tuple[tuple[bytes, bytes | None], ...] = ((b"x-version", b"2"),)
TOKEN: tuple[tuple[bytes, bytes | None], ...] = ((b"token", None),)


def match(
    *conditions: Conditions, method: bytes = b"GET", fields: list[Header] | None = None, query: bytes = b""
) -> int | None:
    """The number of the one that matches."""
    table = Alternatives([(one, number) for number, one in enumerate(conditions)])
    return table.match(method, fields or [], query)


class TestMethods:
    """405 says that only the method is wrong."""

    def test_method_that_is_named_is_taken(self) -> None:
        routes = Conditions(frozenset({b"POST"})), Conditions(frozenset({b"GET", b"HEAD"}))
        assert match(*routes, method=b"POST") == 0
        assert match(*routes, method=b"HEAD") == 1

    def test_route_without_methods_takes_the_others(self) -> None:
        assert match(Conditions(frozenset({b"POST"})), Conditions()) == 1

    def test_others_are_told_what_all_routes_take(self) -> None:
        routes = Conditions(frozenset({b"POST"})), Conditions(frozenset({b"GET", b"HEAD"}))
        with pytest.raises(MethodNotAllowed) as refused:
            match(*routes, method=b"DELETE")
        assert refused.value.allowed == b"GET, HEAD, POST"

    def test_methods_of_a_route_whose_other_conditions_fail_are_not_told(self) -> None:
        assert match(Conditions(frozenset({b"POST"}), query=TOKEN)) is None
        with pytest.raises(MethodNotAllowed) as refused:
            match(Conditions(frozenset({b"POST"}), query=TOKEN), Conditions(frozenset({b"PUT"})))
        assert refused.value.allowed == b"PUT"


class TestMethodOverrides:
    """Some frameworks take the method from a field."""

    POST = Conditions(frozenset({b"POST", b"PATCH"}))
    NAMES = (b"X-HTTP-Method-Override", b"x-http-method", b"X_Method_Override")

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [b"DELETE", b"delete", b"brew", b""])
    def test_method_that_leads_elsewhere_is_refused(self, name: bytes, value: bytes) -> None:
        fields = [(b"Accept", b"*/*"), (name, value)]
        with pytest.raises(AmbiguousCondition):
            match(self.POST, method=b"POST", fields=fields)
        with pytest.raises(AmbiguousCondition):
            match(self.POST, Conditions(), method=b"POST", fields=fields)
        with pytest.raises(MethodNotAllowed):
            match(self.POST, method=b"GET", fields=fields)

    @pytest.mark.parametrize("name", NAMES)
    def test_they_are_read_where_a_condition_names_methods(self, name: bytes) -> None:
        assert Alternatives([(self.POST, 0)]).read_one_of([name.lower()])
        assert not Alternatives([(Conditions(query=TOKEN), 0)]).read_one_of([name.lower()])

    @pytest.mark.parametrize("name", NAMES)
    def test_method_that_leads_to_the_same_route_is_taken(self, name: bytes) -> None:
        assert match(self.POST, Conditions(), method=b"POST", fields=[(name, b"patch")]) == 0
        assert match(self.POST, Conditions(), method=b"PUT", fields=[(name, b"DELETE")]) == 1
        assert match(Conditions(query=TOKEN), Conditions(), fields=[(name, b"DELETE")]) == 1


class TestFields:
    """A field has the wanted value in every line, or in none."""

    @pytest.mark.parametrize("name", [b"X-Version", b"x-version", b"X-VERSION"])
    def test_name_is_compared_without_case(self, name: bytes) -> None:
        assert match(Conditions(headers=VERSION), fields=[(b"Accept", b"*/*"), (name, b"2")]) == 0

    @pytest.mark.parametrize("values", [[], [b"1"], [b"1", b"3"], [b""], [b"22"], [b"2.0"]])
    def test_other_values_do_not_match(self, values: list[bytes]) -> None:
        assert match(Conditions(headers=VERSION), fields=[(b"x-version", value) for value in values]) is None

    @pytest.mark.parametrize("values", [[b"1", b"2"], [b"2", b"1"], [b"1, 2"], [b"2,2"], [b"2", b""]])
    def test_several_values_of_which_one_fits_are_refused(self, values: list[bytes]) -> None:
        with pytest.raises(AmbiguousCondition):
            match(Conditions(headers=VERSION), fields=[(b"x-version", value) for value in values])

    def test_equal_lines_agree(self) -> None:
        assert match(Conditions(headers=VERSION), fields=[(b"x-version", b"2")] * 2) == 0

    @pytest.mark.parametrize("values", [[b""], [b"1"], [b"1", b"2"]])
    def test_any_value_may_be_wanted(self, values: list[bytes]) -> None:
        wanted = Conditions(headers=((b"x-version", None),))
        assert match(wanted, fields=[(b"x-version", value) for value in values]) == 0
        assert match(wanted) is None

    @pytest.mark.parametrize("name", [b"X_Version", b"x.version", b"X-version_"[:-1].replace(b"-", b"~")])
    def test_twin_for_gateway_interfaces_is_refused(self, name: bytes) -> None:
        with pytest.raises(AmbiguousCondition):
            match(Conditions(headers=VERSION), Conditions(), fields=[(name, b"2")])


class TestQuery:
    """A parameter is found by the strictest and by the loosest reader, or by neither."""

    @pytest.mark.parametrize(
        "query", [b"token=", b"token", b"token=a&b=c", b"a&token=%26%3B", b"token=a&token=b", b"&&token=1&"]
    )
    def test_parameter_that_is_there_matches(self, query: bytes) -> None:
        assert match(Conditions(query=TOKEN), query=query) == 0

    @pytest.mark.parametrize(
        "query", [b"", b"tokens=1", b"a=token", b"a=%26token=1", b"next=/x%3Ftoken%3D1%26token=", b"a=b=token"]
    )
    def test_others_do_not(self, query: bytes) -> None:
        assert match(Conditions(query=TOKEN), query=query) is None

    @pytest.mark.parametrize(
        "query",
        [
            b"%74oken=1",
            b"%2574oken=1",
            b"Token=1",
            b"token[]=1",
            b"token%5B0%5D=1",
            b"+token=1",
            b"token+=1",
            b"token%00x=1",
            b"a;token=1",
            b"a=1;token",
            b"token=1&TOKEN=2",
        ],
    )
    def test_spelling_that_some_reader_takes_for_the_name_is_refused(self, query: bytes) -> None:
        with pytest.raises(AmbiguousCondition):
            match(Conditions(query=TOKEN), Conditions(), query=query)

    def test_separators_of_a_name_are_one_character_to_some_readers(self) -> None:
        with pytest.raises(AmbiguousCondition):
            match(Conditions(query=((b"a_b", None),)), query=b"a.b=1")

    @pytest.mark.parametrize("query", [b"v=1&v=2", b"v=2&v=1", b"v=%32", b"v=%2532", b"v=2+", b"v=2%00"])
    def test_value_that_some_reader_sees_is_refused(self, query: bytes) -> None:
        with pytest.raises(AmbiguousCondition):
            match(Conditions(query=((b"v", b"2"),)), query=query)

    @pytest.mark.parametrize(("query", "found"), [(b"v=2", 0), (b"v=2&v=2", 0), (b"v=1", None), (b"v=1&v=3", None)])
    def test_value_is_compared_as_it_stands(self, query: bytes, found: int | None) -> None:
        assert match(Conditions(query=((b"v", b"2"),)), query=query) == found

    def test_what_cannot_hold_anyway_is_not_read(self) -> None:
        assert match(Conditions(headers=VERSION, query=TOKEN), Conditions(), query=b"%74oken=1") == 1


@given(
    st.lists(
        st.sampled_from(
            [b"token", b"Token", b"%74oken", b"=", b"&", b";", b"1", b"2", b"+", b"%26", b"[", b"%00", b"x"]
        ),
        max_size=12,
    ).map(b"".join)
)
def test_what_matches_matches_for_a_reader_of_the_standard_library(query: bytes) -> None:
    """If the route is taken, `parse_qsl` finds the value; if not, it finds it nowhere, with either separator."""
    try:
        found = match(Conditions(query=((b"token", b"1"),)), query=query)
    except AmbiguousCondition:
        return
    for separator in ("&", ";"):
        pairs = parse_qsl(query.decode(), keep_blank_values=True, separator=separator)
        if found is None:
            assert ("token", "1") not in pairs
        elif separator == "&":
            assert {value for name, value in pairs if name == "token"} == {"1"}
