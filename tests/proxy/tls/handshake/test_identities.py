"""Which identity answers for a server name."""

import ssl

import pytest

from proxy.tls.handshake.identities import IdentityTable, ServerIdentity
from proxy.tls.openssl.context import ServerContext

CONTEXT = ServerContext(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def identity(name: str, *names: str) -> ServerIdentity:
    return ServerIdentity(name, frozenset(names), CONTEXT)


CHAT = identity("chat", "chat.example.org", "*.chat.example.org", "192.0.2.1")
FILES = identity("files", "files.chat.example.org", "*.example.org")
SINGLE = identity("single", "localhost", "2001:db8::1")


class TestResolve:
    @pytest.mark.parametrize(
        ("server_name", "expected"),
        [
            ("chat.example.org", CHAT),
            ("a.chat.example.org", CHAT),
            ("files.chat.example.org", FILES),  # exact before wildcard
            ("www.example.org", FILES),
            ("localhost", SINGLE),
            ("a.b.chat.example.org", None),  # a wildcard is one label
            ("example.org", None),  # and not none
            (".example.org", FILES),  # no host name, refused by the parser; one label, though empty
            ("example", None),
            ("org", None),
            ("*", None),
            ("*.chat.example.org", CHAT),  # no host name either
            ("chat.example.org.evil.test", None),
            ("xchat.example.org", FILES),
            ("", None),
            (None, None),
        ],
    )
    def test_exact_then_wildcard_of_one_label(self, server_name: str | None, expected: ServerIdentity | None) -> None:
        assert IdentityTable([CHAT, FILES, SINGLE], None).resolve(server_name) is expected

    @pytest.mark.parametrize("server_name", [None, "", "unknown.test", "a.b.chat.example.org"])
    def test_default_answers_for_what_nobody_covers(self, server_name: str | None) -> None:
        assert IdentityTable([CHAT, SINGLE], SINGLE).resolve(server_name) is SINGLE

    def test_default_does_not_stand_in_for_a_known_name(self) -> None:
        assert IdentityTable([CHAT, SINGLE], SINGLE).resolve("chat.example.org") is CHAT

    def test_table_may_be_empty(self) -> None:
        assert IdentityTable([], None).resolve("chat.example.org") is None
        assert IdentityTable([], CHAT).resolve(None) is CHAT

    def test_names_that_the_listener_has_nothing_for_are_unknown(self) -> None:
        table = IdentityTable([CHAT], CHAT, frozenset({"chat.example.org"}))
        assert table.resolve("chat.example.org") is CHAT
        assert [table.resolve(name) for name in ("a.chat.example.org", None)] == [None, None]


class TestCovers:
    @pytest.mark.parametrize("host", ["chat.example.org", "a.chat.example.org", "192.0.2.1"])
    def test_own_names(self, host: str) -> None:
        assert CHAT.covers(host)

    @pytest.mark.parametrize(
        "host", ["", "example.org", "a.b.chat.example.org", "files.example.org", "192.0.2.2", "chat.example.org:443"]
    )
    def test_names_of_others(self, host: str) -> None:
        assert not CHAT.covers(host)

    def test_addresses_of_both_families(self) -> None:
        assert SINGLE.covers("2001:db8::1")
        assert not SINGLE.covers("2001:db8::2")


def test_a_wildcard_does_not_cover_what_is_reserved() -> None:
    wide = ServerIdentity(
        "wide", frozenset({"*.test", "admin.test"}), CONTEXT, reserved=frozenset({"members.test", "admin.test"})
    )
    assert [wide.covers(host) for host in ("x.test", "members.test", "admin.test")] == [True, False, True]
