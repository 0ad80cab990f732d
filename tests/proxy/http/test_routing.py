"""Routing: which route wins, and that no spelling of a path leads to another one."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.http.routing import AmbiguousPath, Route, RouteTable

HOST = b"chat.example.org"


def table(*paths: str, host: str = "chat.example.org") -> RouteTable[str]:
    """Make a table of one host whose payloads are the paths."""
    return RouteTable(Route(host, path, path) for path in paths)


def found(routes: RouteTable[str], target: bytes, host: bytes = HOST) -> str | None:
    """Return the payload of the route that matches."""
    route = routes.match(host, target)
    return None if route is None else route.payload


class TestHost:
    """The most specific host decides, and its paths decide alone."""

    routes = RouteTable(
        Route(host, path, host + path)
        for host, path in (
            ("example.org", "/"),
            ("chat.example.org", "/api"),
            ("*.example.org", "/"),
            ("*.chat.example.org", "/"),
            ("*.org", "/"),
        )
    )

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            (b"example.org", "example.org/"),
            (b"chat.example.org", "chat.example.org/api"),
            (b"www.example.org", "*.example.org/"),
            (b"a.b.example.org", "*.example.org/"),
            (b"a.chat.example.org", "*.chat.example.org/"),
            (b"a.b.c.chat.example.org", "*.chat.example.org/"),
            (b"xchat.example.org", "*.example.org/"),
            (b"xexample.org", "*.org/"),
            (b"org", None),
            (b"example.com", None),
            (b"", None),
        ],
    )
    def test_an_exact_name_goes_before_the_longest_suffix(self, host: bytes, expected: str | None) -> None:
        assert found(self.routes, b"/api", host) == expected

    def test_a_less_specific_host_does_not_stand_in_for_a_path(self) -> None:
        assert found(self.routes, b"/other") is None

    def test_a_suffix_needs_a_label_before_it(self) -> None:
        assert found(table("/", host="*.example.org"), b"/", b"example.org") is None

    def test_a_table_without_suffixes_knows_its_names_only(self) -> None:
        assert found(table("/"), b"/", b"a.chat.example.org") is None

    def test_no_route_matches_in_an_empty_table(self) -> None:
        assert found(RouteTable[str]([]), b"/") is None


class TestPath:
    """The longest prefix on segment borders."""

    routes = table("/", "/api", "/api/", "/api/v1/admin", "/static/")

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            (b"/", "/"),
            (b"/x/y", "/"),
            (b"/api", "/api"),
            (b"/api/", "/api/"),
            (b"/api/x", "/api/"),
            (b"/apix", "/"),
            (b"/api/v1", "/api/"),
            (b"/api/v1/", "/api/"),
            (b"/api/v1/admin", "/api/v1/admin"),
            (b"/api/v1/admin/", "/api/v1/admin"),
            (b"/api/v1/admin/x/y/z", "/api/v1/admin"),
            (b"/api/v1/adminx", "/api/"),
            (b"/static", "/"),
            (b"/static/", "/static/"),
            (b"/static/x/y/z", "/static/"),
            (b"/API", "/"),
        ],
    )
    def test_the_longest_prefix_wins(self, target: bytes, expected: str) -> None:
        assert found(self.routes, target) == expected

    def test_the_query_is_not_looked_at(self) -> None:
        assert found(self.routes, b"/api?/../%2f//;") == "/api"
        assert found(self.routes, b"/apix?/api") == "/"

    def test_a_path_outside_every_prefix_has_no_route(self) -> None:
        assert found(table("/api"), b"/") is None
        assert found(table("/api/"), b"/api") is None

    def test_the_order_of_the_routes_does_not_matter(self) -> None:
        for paths in (("/a/b", "/a", "/"), ("/", "/a", "/a/b"), ("/a", "/a/b", "/")):
            assert [found(table(*paths), path) for path in (b"/a/b/c", b"/a/c", b"/c")] == ["/a/b", "/a", "/"]


class TestSpelling:
    """What upstreams read differently."""

    routes = table("/", "/api", "/api/admin", "/files", "/@me")

    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            (b"/%61pi/x", "/api"),
            (b"/api/%61%64min", "/api/admin"),
            (b"/%40me", "/@me"),
            (b"/files/a%20b;c=d%2Fe//f\\g%5C", "/files"),
            (b"/files/%252ex", "/files"),
            (b"/files%2Fx", None),
            (b"/files/100%25", "/files"),
            (b"/%D0%BF%D1%80/x%2Fy;z", "/"),
            (b"/apix;y%2Fz/admin", "/"),
            (b"/x/y/z%20/", "/"),
            (b"/files/%20a%20/report%20", "/files"),
            (b"/files/a%20b", "/files"),
            (b"/api%C3%A0", "/"),
            (b"/api%20s", "/"),
            (b"/%E3%81%82/api", "/"),
            (b"/%2561pi", None),
            (b"/api//x", "/api"),
            (b"/api/", "/api"),
            (b"/.well-known/x", "/"),
            (b"/x/.y/..z/...", "/"),
            (b"/other//", "/"),
            (b"//", "/"),
            (b"//index.html", "/"),
        ],
    )
    def test_a_path_that_all_read_alike_has_its_route(self, target: bytes, expected: str | None) -> None:
        if expected is None:
            with pytest.raises(AmbiguousPath):
                self.routes.match(HOST, target)
        else:
            assert found(self.routes, target) == expected

    @pytest.mark.parametrize(
        "target",
        [
            b"/api%2Fadmin",
            b"/api%2fadmin/x",
            b"/api%5Cadmin",
            b"/api\\admin",
            b"/api//admin",
            b"//api",
            b"/;x/api",
            b"/api;x/admin",
            b"/api;x",
            b"/api%3Bx/admin",
            b"/api/;x/admin",
            b"/api/admin;x=y",
            b"/api/admin%3fx",
            b"/api/admin%23x",
            b"/api/admin%00x",
            b"/api/%2561dmin",
            b"/api%252Fadmin",
            b"/api/%25%36%31dmin",
            b"/api;%2Fy/admin",
            b"//x/api",
            b"/\\x/api",
            b"/%2Fx/api",
            b"//x%2F/api",
            b"//x%3Fy/api",
            b"/a%25;b",
            b"/files/../api",
            b"/files/./x",
            b"/files/..",
            b"/files/%2e%2E/api",
            b"/files/%252e./api",
            b"/files/x%2f../api",
            b"/files/x\\..\\api",
            b"/files/..;/api",
            b"/files/..%3b/api",
            b"/files/..%00",
            b"/api%20",
            b"/%09api",
            b"/api/%20%09admin%0d/x",
            b"/api%C2%A0/admin",
            b"/api%A0",
            b"/%EF%BB%BFapi",
            b"/api%E3%80%80",
            b"/api%1f",
            b"/api%2520",
            b"/%20/api",
            b"/%20/x/api",
            b"/api%20;x",
            b"/api%20%2Fadmin",
            b"/files/..%20/api",
            b"/files/%C2%A0.%2e%09/api",
        ],
    )
    def test_a_path_that_could_lead_to_a_stricter_route_is_refused(self, target: bytes) -> None:
        with pytest.raises(AmbiguousPath) as caught:
            self.routes.match(HOST, target)
        assert (caught.value.status, str(caught.value)) == (400, "ambiguous path (400)")

    @pytest.mark.parametrize("border", [b"\\", b"%2F", b"%5C", b"%3F", b"%23", b"%00", b"%252F"])
    def test_parameters_beside_another_border_are_refused(self, border: bytes) -> None:
        """Dropped first, they take the border with them, and the path is `/a/x`; else it is not."""
        with pytest.raises(AmbiguousPath):
            found(table("/", "/a/x"), b"/a;" + border + b"y/x")

    def test_with_a_single_route_every_spelling_leads_there(self) -> None:
        for target in (b"/a/../b", b"//x", b"/%252e%252e/;\\", b"/%2F"):
            assert found(table("/"), target) == "/"


@pytest.mark.parametrize("path", ["", "api", "/a;b", "/a%2F", "//", "/a//b", "/a/../b", "/.", "/a?b", "/ä", "/a\\b"])
def test_a_prefix_that_some_reader_would_change_is_no_prefix(path: str) -> None:
    with pytest.raises(ValueError, match="not a path to route by"):
        table(path)


def test_two_routes_of_the_same_host_and_path_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two routes for chat\.example\.org/api"):
        table("/api", "/", "/api")


# What follows models the upstreams: every order in which one of them could undo what the spelling hides.

PIECES = re.split(
    " ",
    "/ / / a b %61 %62 %2F %2f %5C \\ ; %3B %25 %32 %66 %3F %23 %252F %253B %2561 %20 %C3 %C2%A0 . .. %2e %00 2F x=1",
)
PATHS = st.lists(st.sampled_from(PIECES), max_size=9).map(lambda pieces: ("/" + "".join(pieces)).encode())
PREFIXES = st.sets(st.sampled_from(["/", "/a", "/a/", "/a/b", "/b/", "/ab", "/a/b/a", "/2F"]), min_size=1)


def longest_prefix(prefixes: set[str], path: bytes) -> str | None:
    """Find the longest prefix in the simplest way."""
    fits = [
        prefix for prefix in prefixes if path == prefix.encode() or path.startswith(prefix.rstrip("/").encode() + b"/")
    ]
    return max(fits, key=len, default=None)


def keep_borders(path: bytes) -> bytes:
    """Decode what nobody takes for a border."""
    return re.sub(
        rb"%([0-9A-Fa-f]{2})",
        lambda escape: escape[0] if bytes.fromhex(escape[1].decode()) in b"\0#%/;?\\" else unquote_to_bytes(escape[0]),
        path,
    )


def resolve_dots(path: bytes) -> bytes:
    """Apply RFC 3986 5.2.4."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def readings(path: bytes) -> set[tuple[bytes, int]]:
    """Return every reading, each with the number of times that it was decoded."""
    known = {(keep_borders(path), 0)}
    waiting = list(known)
    while waiting:
        current, decodings = waiting.pop()
        for new in _next_readings(current, decodings):
            if new not in known:
                known.add(new)
                waiting.append(new)
    return known


def _next_readings(path: bytes, decodings: int) -> Iterator[tuple[bytes, int]]:
    if decodings < 2:
        yield unquote_to_bytes(path), decodings + 1
        yield keep_borders(path), decodings + 1
    yield path.replace(b"\\", b"/"), decodings
    yield re.sub(rb";[^/]*", b"", path), decodings
    yield re.sub(rb"//+", b"/", path), decodings
    yield re.split(rb"[?#\0]", path)[0], decodings
    yield re.sub(rb"(?<=/)(?: |\xc2\xa0)+|(?: |\xc2\xa0)+(?=/|\Z)", b"", path), decodings
    yield resolve_dots(path), decodings


@given(PREFIXES, PATHS)
def test_whatever_has_a_route_has_it_under_every_reading(prefixes: set[str], path: bytes) -> None:
    routes = table(*prefixes)
    try:
        route = found(routes, path)
    except AmbiguousPath:
        return
    assert {longest_prefix(prefixes, reading) for reading, _ in readings(path)} <= {route}


@given(PREFIXES, PATHS)
def test_what_all_read_alike_is_not_refused(prefixes: set[str], path: bytes) -> None:
    everything = readings(path)
    assume(not any(re.search(rb"/\.\.?(?:[/?#\0]|\Z)", reading) for reading, _ in everything))
    assume(not any(b";" in reading or reading.startswith(b"//") for reading, _ in everything))
    found_by_readers = {longest_prefix(prefixes, reading) for reading, _ in everything}
    if len(found_by_readers) > 1:
        with pytest.raises(AmbiguousPath):
            found(table(*prefixes), path)
    else:
        assert {found(table(*prefixes), path)} == found_by_readers


@given(PREFIXES, st.lists(st.sampled_from(["a", "b", "ab", "", "x", "2F"]), max_size=6))
def test_a_plain_path_has_the_longest_prefix(prefixes: set[str], segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    assume("//" not in path)
    assert found(table(*prefixes), path.encode()) == longest_prefix(prefixes, path.encode())
