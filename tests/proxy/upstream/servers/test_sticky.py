"""The cookie that binds a client to its server."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.tables.upstream import SameSite
from proxy.upstream.servers.sticky import CookieSettings, StickyCookie

NOW = 1_780_315_200.25
SECRET = b"0123456789abcdef0123456789abcdef"
SERVERS = ("http://10.1.2.3:8000", "unix:/run/chat.sock")


def sticky(
    upstream: str = "chat",
    secret: bytes = SECRET,
    servers: tuple[str, ...] = SERVERS,
    same_site: SameSite = SameSite.LAX,
) -> StickyCookie:
    """The cookies of an upstream, which hold for 1,000 seconds."""
    return StickyCookie(CookieSettings("__Host-chat", secret, 1_000, same_site), upstream, servers)


def value(line: bytes) -> bytes:
    """The value in a field line."""
    found = re.match(rb"Set-Cookie: __Host-chat=([!-:<-~]+); ", line)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("server", SERVERS)
def test_its_server_is_known_again_in_another_process(server: str) -> None:
    assert sticky().server(value(sticky().set_cookie(server, NOW)), NOW + 1) == (server, False)


@pytest.mark.parametrize(
    ("same_site", "name"), [(SameSite.STRICT, b"Strict"), (SameSite.LAX, b"Lax"), (SameSite.NONE, b"None")]
)
def test_attributes_keep_it_from_scripts_from_plain_connections_and_from_other_sites(
    same_site: SameSite, name: bytes
) -> None:
    line = sticky(same_site=same_site).set_cookie(SERVERS[0], NOW)
    assert line.endswith(b"; Path=/; Max-Age=1000; Secure; HttpOnly; SameSite=%b\r\n" % name)


def test_it_says_nothing_about_the_server() -> None:
    line = sticky().set_cookie(SERVERS[0], NOW)
    assert b"10" not in line.replace(b"Max-Age=1000", b"").partition(b".")[2][:0]
    assert SERVERS[0].encode() not in line
    marks = {value(sticky(secret=secret).set_cookie(SERVERS[0], NOW)).split(b".")[1] for secret in (SECRET, SECRET[1:])}
    assert len(marks) == 2, "without the secret, nobody can tell by trying addresses"


def test_it_is_renewed_when_half_of_its_time_is_over_and_ends() -> None:
    cookies = sticky()
    made = value(cookies.set_cookie(SERVERS[0], NOW))
    assert cookies.server(made, NOW + 499) == (SERVERS[0], False)
    assert cookies.server(made, NOW + 501) == (SERVERS[0], True)
    assert cookies.server(made, NOW + 999) == (SERVERS[0], True)
    assert cookies.server(made, NOW + 1_000) is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_whatever_is_changed_makes_it_worthless(at: int, change: int) -> None:
    made = bytearray(value(sticky().set_cookie(SERVERS[0], NOW)))
    made[at % len(made)] ^= change
    assert sticky().server(bytes(made), NOW) is None


@pytest.mark.parametrize("nonsense", [b"", b".", b"..", b"a.b.c", b"\xff.\xff", b"zz.AAAAAAAAAAAA", b"0" * 4_000])
def test_nonsense_is_no_cookie(nonsense: bytes) -> None:
    assert sticky().server(nonsense, NOW) is None


def test_part_of_one_is_not_part_of_another() -> None:
    one, other = (value(sticky().set_cookie(server, NOW)).split(b".") for server in SERVERS)
    assert sticky().server(b".".join([one[0], other[1], one[2]]), NOW) is None
    late = value(sticky().set_cookie(SERVERS[0], NOW + 5_000)).split(b".")
    assert sticky().server(b".".join([late[0], *one[1:]]), NOW) is None


def test_cookies_of_another_upstream_another_secret_or_a_server_that_left_do_not_count() -> None:
    made = value(sticky().set_cookie(SERVERS[0], NOW))
    assert sticky(upstream="other").server(made, NOW) is None
    assert sticky(secret=SECRET[::-1]).server(made, NOW) is None
    assert sticky(servers=SERVERS[1:]).server(made, NOW) is None


def test_secret_is_not_shown() -> None:
    assert "0123456789abcdef" not in repr(CookieSettings("a", SECRET, 1, SameSite.LAX))
