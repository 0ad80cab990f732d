"""Which listeners are visited, where, and with what."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from config.schema import Config
from config.tables.listener import PqPolicy
from proxy.doctor.handshakes.offers import Groups
from proxy.doctor.handshakes.visits import (
    Entrance,
    NotVisited,
    VisitedListener,
    addresses_by_listener,
    listeners_to_visit,
    mldsa_by_identity,
    names_passed_on,
)
from proxy.proxy_protocol.version2 import SIGNATURE

IDENTITY = '[identity.chat]\nnames = ["chat.test", "*.chat.test", "127.0.0.1"]\ncertificate = "c.pem"\nkey = "k.pem"\n'


def visits(
    listener: str, *, running: Mapping[str, Sequence[str]] | None = None, rest: str = IDENTITY
) -> list[VisitedListener | NotVisited]:
    config = Config.model_validate(tomllib.loads(f"[listener.public]\n{listener}\n{rest}"))
    return list(listeners_to_visit(config, running or {}, lambda name: "frodo" not in name))


def visited(
    listener: str, *, running: Mapping[str, Sequence[str]] | None = None, rest: str = IDENTITY
) -> VisitedListener:
    (one,) = visits(listener, running=running, rest=rest)
    assert isinstance(one, VisitedListener), one
    return one


def reason(listener: str, rest: str = IDENTITY) -> str:
    (one,) = visits(listener, rest=rest)
    assert isinstance(one, NotVisited), one
    assert one.name == "public"
    return one.reason


def test_listener_of_groups_that_the_doctor_lacks_cannot_be_tried() -> None:
    found = reason('bind = "127.0.0.1:443"\ngroups = [["x25519_frodo640aes"], ["frodo640aes"]]')
    assert found.startswith("it cannot be tried from here: ")
    assert found.endswith("x25519_frodo640aes and no frodo640aes")
    assert visited('bind = "127.0.0.1:443"\ngroups = [["x25519_frodo640aes"], ["X25519"]]').groups.classical == "X25519"


class TestDoors:
    def test_addresses_of_the_file(self) -> None:
        assert visited('bind = ["127.0.0.2:443", "[::1]:443"]').doors == (
            Entrance("127.0.0.2", 443),
            Entrance("::1", 443),
        )

    def test_wildcards_are_visited_by_loopback(self) -> None:
        assert [str(one) for one in visited('bind = ["0.0.0.0:443", "[::]:8443"]').doors] == [
            "127.0.0.1:443",
            "[::1]:8443",
        ]

    def test_running_proxy_knows_its_ports_better(self) -> None:
        one = visited('bind = "127.0.0.1:0"', running={"public": ["127.0.0.1:40123", "unix:/x"]})
        assert one.doors == (Entrance("127.0.0.1", 40_123),)

    def test_free_port_is_unknown_without_it(self) -> None:
        assert "port 0" in reason('bind = "127.0.0.1:0"')

    def test_proxy_header_goes_ahead_where_we_are_trusted(self) -> None:
        one = visited('bind = "127.0.0.1:443"\nproxy_protocol = "require"\ntrusted_peers = ["127.0.0.0/8"]')
        assert one.doors[0].ahead.startswith(SIGNATURE)

    def test_listener_that_does_not_trust_us_is_left_out(self) -> None:
        assert "not from this machine" in reason(
            'bind = "127.0.0.1:443"\nproxy_protocol = "require"\ntrusted_peers = ["10.0.0.1"]'
        )


class TestPolicy:
    @pytest.mark.parametrize(
        ("listener", "pq", "groups"),
        [
            ("", PqPolicy.PREFER, Groups("X25519MLKEM768", "X25519")),
            ('pq = "require"', PqPolicy.REQUIRE, Groups("X25519MLKEM768", "X25519")),
            ('level = "critical"', PqPolicy.REQUIRE, Groups("X25519MLKEM768", "X25519")),
            ('level = "quantum-safe"', PqPolicy.REQUIRE, Groups("SecP384r1MLKEM1024", "X25519")),
            ('level = "high"', PqPolicy.PREFER, Groups("X25519MLKEM768", "secp384r1")),
            ('pq = "off"', PqPolicy.OFF, Groups("X25519MLKEM768", "X25519")),
            ('groups = ["x25519_frodo640aes", "MLKEM1024", "X448"]', PqPolicy.PREFER, Groups("MLKEM1024", "X448")),
            ('groups = [["p384_hqc3"], ["X25519"]]', PqPolicy.PREFER, Groups("p384_hqc3", "X25519")),
        ],
    )
    def test_groups_of_the_offers_are_those_of_the_listener(self, listener: str, pq: PqPolicy, groups: Groups) -> None:
        one = visited(f'bind = "127.0.0.1:443"\n{listener}')
        assert (one.pq, one.groups) == (pq, groups)

    def test_policy_that_contradicts_itself_is_said(self) -> None:
        assert "pq = off leaves no group" in reason('bind = "127.0.0.1:443"\npq = "off"\nlevel = "critical"')


class TestSpoken:
    def test_http(self) -> None:
        one = visited('bind = "127.0.0.1:443"')
        assert one.speaks_http
        assert one.alpn == ("h2", "http/1.1")

    def test_tcp(self) -> None:
        one = visited('bind = "127.0.0.1:443"\nprotocol = "tcp"\nupstream = "irc"\nalpn = ["irc"]')
        assert not one.speaks_http
        assert one.alpn == ("irc",)

    def test_listener_that_opens_no_tls_is_left_out(self) -> None:
        passed = '[listener.public.passthrough]\n"turn.test" = "tcp://127.0.0.1:5349"\n'
        assert "passes every connection on" in reason(
            'bind = "127.0.0.1:443"\nprotocol = "tcp"', rest=passed + IDENTITY
        )


class TestNames:
    def test_wildcard_stands_for_a_label_and_addresses_are_no_server_names(self) -> None:
        names = visited('bind = "127.0.0.1:443"').names
        assert [(one.name, one.identity) for one in names] == [
            ("chat.test", "chat"),
            ("plexigate-doctor.chat.test", "chat"),
        ]
        assert not names[0].demands_certificate

    @pytest.mark.parametrize(("mode", "demands"), [("require", True), ("optional", False)])
    def test_identity_that_demands_certificates(self, mode: str, demands: bool) -> None:  # noqa: FBT001 - a parameter
        clients = f'[identity.chat.client_certificates]\nca = "ca.pem"\nmode = "{mode}"\n'
        assert visited('bind = "127.0.0.1:443"', rest=IDENTITY + clients).names[0].demands_certificate is demands

    def test_names_that_are_passed_on_are_no_names_of_ours(self) -> None:
        passed = '[listener.public.passthrough]\n"chat.test" = "tcp://127.0.0.1:5349"\n'
        names = visited('bind = "127.0.0.1:443"', rest=passed + IDENTITY).names
        assert [one.name for one in names] == ["plexigate-doctor.chat.test"]

    def test_no_name_to_ask_for(self) -> None:
        assert "no identity has a DNS name" in reason('bind = "127.0.0.1:443"', rest="")


class TestPauses:
    def test_usual_limits_need_none(self) -> None:
        assert visited('bind = "127.0.0.1:443"').pause == 0.0

    def test_tight_limits_want_patience(self) -> None:
        limits = "[listener.public.limits]\nhandshakes_per_second_per_address = 20\nhandshake_burst_per_address = 2\n"
        assert visited('bind = "127.0.0.1:443"', rest=limits + IDENTITY).pause == 0.05

    def test_exempt_networks_need_none(self) -> None:
        limits = "[listener.public.limits]\nhandshakes_per_second_per_address = 1\nhandshake_burst_per_address = 2\n"
        assert visited('bind = "127.0.0.1:443"\nexempt = ["127.0.0.1"]', rest=limits + IDENTITY).pause == 0.0

    def test_limits_that_leave_nothing(self) -> None:
        limits = "[listener.public.limits]\nhandshakes_per_second_per_address = 1\nhandshake_burst_per_address = 2\n"
        assert "limits on the handshakes" in reason('bind = "127.0.0.1:443"', rest=limits + IDENTITY)


def test_names_that_are_passed_on() -> None:
    text = (
        '[listener.public]\nbind = "127.0.0.1:443"\n'
        '[listener.public.passthrough]\n"turn.test" = "tcp://127.0.0.1:5349"\n"*.files.test" = "unix:/run/files.sock"\n'
        '[listener.free]\nbind = "127.0.0.1:0"\n[listener.free.passthrough]\n"a.test" = "tcp://127.0.0.1:1"\n'
    )
    config = Config.model_validate(tomllib.loads(text))
    assert [(one.listener, one.name, one.server, str(one.door)) for one in names_passed_on(config, {})] == [
        ("public", "turn.test", "tcp://127.0.0.1:5349", "127.0.0.1:443"),
        ("public", "plexigate-doctor.files.test", "unix:/run/files.sock", "127.0.0.1:443"),
    ]


def test_what_the_status_says() -> None:
    status: Any = {
        "listeners": [{"name": "public", "addresses": ["127.0.0.1:443"]}],
        "certificates": [
            {"identity": "chat", "algorithm": "mldsa-65"},
            {"identity": "chat", "algorithm": "ecdsa-p256"},
            {"identity": "files", "algorithm": "rsa-3072"},
        ],
    }
    assert addresses_by_listener(status) == {"public": ["127.0.0.1:443"]}
    assert mldsa_by_identity(status) == {"chat": True, "files": False}
    assert addresses_by_listener(None) == {}
    assert mldsa_by_identity(None) == {}
