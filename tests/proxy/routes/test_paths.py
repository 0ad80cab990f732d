"""The path that a server gets leads where the route means, for every reader."""

import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.head import HeadLimits, MalformedMessage
from proxy.http.responses import ResponseReader
from proxy.http.routing import AmbiguousPath
from proxy.http.target import origin_form
from proxy.routes.paths import NoPath, PathChange, PrefixChange, Rewrite

FILES = Rewrite([b"u", 1, b"files", 3], [b"files", 1, 3], has_rest=True)
STRIP, ADD, BOTH = PrefixChange(b"/api", b""), PrefixChange(b"", b"/in"), PrefixChange(b"/api", b"/in")


@pytest.mark.parametrize(
    ("change", "target", "changed"),
    [
        (STRIP, b"/api/users", b"/users"),
        (STRIP, b"/api", b"/"),
        (STRIP, b"/api/", b"/"),
        (STRIP, b"/api?a=/api/b//c", b"/?a=/api/b//c"),
        (STRIP, b"/api/a%2Fb//c;d?e", b"/a%2Fb//c;d?e"),
        (ADD, b"/", b"/in/"),
        (ADD, b"/a?", b"/in/a?"),
        (BOTH, b"/api/users?x", b"/in/users?x"),
        (BOTH, b"/api", b"/in"),
        (FILES, b"/u/bob/files/a/b%2Fc?d", b"/files/bob/a/b%2Fc?d"),
        (FILES, b"/u/bob/files/", b"/files/bob/"),
        (FILES, b"/u/b%20b/files/x/", b"/files/b%20b/x/"),
        (Rewrite([b"old"], [b"new"], has_rest=False), b"/old?x", b"/new?x"),
        (Rewrite([0, 1], [1, 0], has_rest=False), b"/a/b", b"/b/a"),
        (Rewrite([b"x", 1], [1], has_rest=True), b"/x/a/b", b"/a/b"),
    ],
)
def test_path_is_changed_and_the_query_kept(change: PathChange, target: bytes, changed: bytes) -> None:
    assert change.applied(target) == changed


@pytest.mark.parametrize(
    ("change", "target"),
    [
        (STRIP, b"/api//evil.test"),
        (STRIP, b"/api/%2Fevil.test"),
        (STRIP, b"/api/%2fevil.test"),
        (STRIP, b"/api/%252Fevil.test"),
        (STRIP, b"/api/%5Cevil.test"),
        (STRIP, b"/ap%69/users"),
        (STRIP, b"/apix"),
        (STRIP, b"/api;x/users"),
        (STRIP, b"//api/users"),
        (BOTH, b"/api/%252e%252e/admin"),
        (BOTH, b"/api/a/%252E%252E/b"),
        (BOTH, b"/api/..%253Bx/admin"),
        (FILES, b"/u/a%2Fb/files/x"),
        (FILES, b"/u/a%252Fb/files/x"),
        (FILES, b"/u/a%5Cb/files/x"),
        (FILES, b"/u/a;b/files/x"),
        (FILES, b"/u/a%3Fb/files/x"),
        (FILES, b"/u/a%2500b/files/x"),
        (FILES, b"/u/bob/files/%252e%252e/x"),
        (FILES, b"/u/bob/files/..%20/x"),
        (FILES, b"/u/%20/files/alice/x"),
        (BOTH, b"/api/%C2%A0../admin"),
        (Rewrite([b"x", 1], [1], has_rest=True), b"/x/%09/evil.test"),
        (Rewrite([b"x", 1], [1], has_rest=True), b"/x//evil.test"),
        (Rewrite([b"x", 1], [1], has_rest=True), b"/x/%2F/evil.test"),
    ],
)
def test_path_that_some_reader_takes_otherwise_is_refused(change: PathChange, target: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        change.applied(target)


@pytest.mark.parametrize(
    "target",
    [
        b"/u/bob/files",
        b"/u/bob",
        b"/u//files/x",
        b"/U/bob/files/x",
        b"/%75/bob/files/x",
        b"/x/u/bob/files/x",
        b"//u/bob/files/x",
    ],
)
def test_path_of_another_form_leads_nowhere(target: bytes) -> None:
    with pytest.raises(NoPath):
        FILES.applied(target)


TARGETS = st.lists(
    st.sampled_from(
        [
            b"api",
            b"u",
            b"files",
            b"bob",
            b"/",
            b"/",
            b"%2F",
            b"%252F",
            b"%5C",
            b"..",
            b"%2e",
            b"%252e",
            b";",
            b"%3B",
            b"?",
            b"%00",
            b"%61",
            b"a",
            b"%0d%0a",
        ]
    ),
    max_size=14,
).map(lambda parts: b"".join([b"/", *parts]))


def readings(path: bytes) -> list[bytes]:
    """A path as readers have it that decode once, twice, or not at all, and take a backslash for a slash."""
    once = unquote_to_bytes(path)
    return [one.replace(b"\\", b"/") for one in (path, once, unquote_to_bytes(once))]


@pytest.mark.parametrize(
    ("change", "start", "begins"),
    [(STRIP, b"/api", b"/"), (BOTH, b"/api", b"/in"), (ADD, b"", b"/in"), (FILES, b"/u/bob/files", b"/files/bob/")],
)
@given(tail=TARGETS)
def test_whatever_a_client_sends_the_server_gets_a_valid_path_below_the_meant_one(
    change: PathChange, start: bytes, begins: bytes, tail: bytes
) -> None:
    target = start + tail
    try:
        assert origin_form(b"GET", target, b"h") == target
        changed = change.applied(target)
    except (MalformedMessage, NoPath):
        return
    assert origin_form(b"GET", changed, b"h") == changed
    assert changed.startswith(begins)
    assert not re.search(rb"[\r\n ]", changed)
    path, _, query = changed.partition(b"?")
    assert query == target.partition(b"?")[2]
    for reading in readings(path):
        assert not reading.startswith(b"//")
        clean = re.sub(rb";[^/]*", b"", reading)
        assert posixpath.normpath(clean).startswith(begins.rstrip(b"/") or b"/")
    assert path.count(b"%2F") == target.partition(b"?")[0].count(b"%2F"), "an encoded slash stays encoded"


class TestLocation:
    """A server that does not know its prefix redirects to paths without it."""

    def changed(self, location: bytes, change: PathChange = BOTH) -> bytes:
        raw = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nlocation: %b\r\nX-Location: /in/a\r\n\r\n" % location
        response = ResponseReader().read(raw, HeadLimits(100, 100, 1_000), b"GET")
        fields = dict(change.in_response(response, b"chat.test:8443").fields)
        assert fields[b"x-location"] == b"/in/a"
        return fields[b"location"]

    @pytest.mark.parametrize(
        ("location", "told"),
        [
            (b"/in/login?a=/in/b", b"/api/login?a=/in/b"),
            (b"/in", b"/api/"),
            (b"/in?x", b"/api?x"),
            (b"https://chat.test:8443/in/login", b"https://chat.test:8443/api/login"),
            (b"HTTP://Chat.test:8443/in/login", b"HTTP://Chat.test:8443/api/login"),
            (b"/api/login", b"/api/login"),
            (b"/other/login", b"/other/login"),
            (b"/inner", b"/inner"),
            (b"//evil.test/in/a", b"//evil.test/in/a"),
            (b"https://evil.test/in/a", b"https://evil.test/in/a"),
            (b"https://chat.test:8443.evil.test/in/a", b"https://chat.test:8443.evil.test/in/a"),
            (b"login", b"login"),
            (b"", b""),
        ],
    )
    def test_location_is_turned_back(self, location: bytes, told: bytes) -> None:
        assert self.changed(location) == told

    @pytest.mark.parametrize(
        ("change", "location", "told"),
        [
            (STRIP, b"/login", b"/api/login"),
            (STRIP, b"/", b"/api/"),
            (ADD, b"/in/login", b"/login"),
            (ADD, b"/in", b"/"),
            (ADD, b"/in?x", b"/?x"),
            (ADD, b"/in#x", b"/#x"),
            (FILES, b"/files/bob/x", b"/files/bob/x"),
            (BOTH, b"/in//evil.test/x/", b"/api//evil.test/x/"),
            (ADD, b"https://chat.test:8443/in//evil.test/x/", b"https://chat.test:8443//evil.test/x/"),
            *(
                (ADD, b"/in" + path, b"/in" + path)
                for path in (b"//evil.test/x/", b"/\\evil.test", b"/\t/evil.test", b"//")
            ),
        ],
    )
    def test_each_change_turns_back_what_it_did(self, change: PathChange, location: bytes, told: bytes) -> None:
        assert self.changed(location, change) == told

    def test_repeated_response_is_looked_at_for_each_host(self) -> None:
        reader, limits = ResponseReader(), HeadLimits(100, 100, 1_000)
        change = PrefixChange(b"/api", b"/in")
        for field, told in (
            (b"Location: https://chat.test/in/a", b"Location: https://chat.test/api/a"),
            (b"X-A: 1",) * 2,
        ):
            raw = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n%b\r\n\r\n" % field
            response = [reader.read(raw, limits, b"GET") for _ in range(2)][1]
            assert response.is_remembered
            for host, line in ((b"other.test", field), (b"chat.test", told), (b"chat.test", told)):
                assert change.in_response(response, host).forwarded == [line + b"\r\n"]

    def test_response_without_location_is_the_same_object(self) -> None:
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nServer: x\r\n\r\n"
        response = ResponseReader().read(raw, HeadLimits(100, 100, 1_000), b"GET")
        assert BOTH.in_response(response, b"chat.test") is response
        assert FILES.in_response(response, b"chat.test") is response


def test_a_change_says_what_it_does() -> None:
    with pytest.raises(NotImplementedError):
        PathChange().applied(b"/")
