"""Which key exchange group `openssl s_client` gets of which listener, by its own account and by the proxy's."""

import json

import pytest

from tests.integration.gateway import Gateway

HYBRIDS = ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
OFFERED = {
    "standard": (*HYBRIDS, "x25519", "secp256r1", "secp384r1"),
    "high": (*HYBRIDS, "secp384r1"),
    "critical": HYBRIDS,
    "cnsa": ("SecP384r1MLKEM1024", "MLKEM1024"),
    "off": ("x25519", "secp256r1", "secp384r1"),
    "require": HYBRIDS,
    "report": (*HYBRIDS, "x25519", "secp256r1", "secp384r1"),
}
EVERY_GROUP = (*HYBRIDS, "MLKEM512", "MLKEM768", "MLKEM1024", "x25519", "x448", "secp256r1", "secp384r1", "secp521r1")
REFUSED_BY_OPENSSL = 40
"""handshake_failure: no group in common."""

each_listener = pytest.mark.parametrize("listener", OFFERED)


@each_listener
@pytest.mark.parametrize("group", EVERY_GROUP)
def test_group_that_is_offered_alone_is_taken_if_the_listener_has_it(
    gateway: Gateway, listener: str, group: str
) -> None:
    said = gateway.s_client("-groups", group, on=listener)
    if group in OFFERED[listener]:
        assert said.group == group
        assert said.server_hellos == 1
        assert said.is_established
    else:
        assert said.group is None
        assert said.alert == REFUSED_BY_OPENSSL


@pytest.mark.parametrize(
    ("listener", "hybrid", "classical"),
    [
        *[("standard", hybrid, classical) for hybrid in HYBRIDS for classical in ("x25519", "secp256r1", "secp384r1")],
        *[("high", hybrid, "secp384r1") for hybrid in HYBRIDS],
        *[(listener, hybrid, "x25519") for listener in ("critical", "require", "report") for hybrid in HYBRIDS],
        ("cnsa", "SecP384r1MLKEM1024", "secp384r1"),
        ("cnsa", "MLKEM1024", "x25519"),
    ],
)
@pytest.mark.parametrize("order", ["hybrid_first", "classical_first"])
def test_client_that_can_do_hybrid_and_sent_a_classical_share_gets_hybrid_by_a_retry(
    gateway: Gateway, listener: str, hybrid: str, classical: str, order: str
) -> None:
    groups = f"{hybrid}:*{classical}" if order == "hybrid_first" else f"*{classical}:{hybrid}"
    said = gateway.s_client("-groups", groups, on=listener)
    assert said.group == hybrid
    assert said.server_hellos == 2
    assert said.is_established


def test_share_that_was_sent_is_taken_from_a_tuple_without_a_retry(gateway: Gateway) -> None:
    said = gateway.s_client("-groups", "X25519MLKEM768:*SecP384r1MLKEM1024:x25519")
    assert said.group == "SecP384r1MLKEM1024"
    assert said.server_hellos == 1


def test_classical_client_is_not_sent_round_twice(gateway: Gateway) -> None:
    said = gateway.s_client("-groups", "x448:*secp384r1:x25519")
    assert said.group == "secp384r1"
    assert said.server_hellos == 1


def test_client_that_sent_no_share_of_ours_is_asked_for_one(gateway: Gateway) -> None:
    said = gateway.s_client("-groups", "*x448:secp384r1")
    assert said.group == "secp384r1"
    assert said.server_hellos == 2


def test_policy_off_never_negotiates_a_hybrid(gateway: Gateway) -> None:
    said = gateway.s_client("-groups", "X25519MLKEM768:x25519", on="off")
    assert said.group == "x25519"


@pytest.mark.parametrize(
    ("listener", "groups", "expected"),
    [
        ("standard", "X25519MLKEM768", "X25519MLKEM768"),
        ("standard", "X25519MLKEM768:*x25519", "X25519MLKEM768"),
        ("standard", "x25519", "X25519"),
        ("standard", "secp256r1", "secp256r1"),
        ("cnsa", "MLKEM1024", "MLKEM1024"),
    ],
)
def test_upstream_is_told_what_was_negotiated(gateway: Gateway, listener: str, groups: str, expected: str) -> None:
    said = gateway.curl("--curves", groups, "--tlsv1.3", on=listener)
    assert said.status == 0, said.errors
    assert json.loads(said.output)["group"] == [expected]


def test_browser_like_curl_gets_the_hybrid(gateway: Gateway) -> None:
    said = gateway.curl("--verbose")
    assert said.status == 0, said.errors
    assert "X25519MLKEM768" in said.errors


@pytest.mark.parametrize(
    "arguments",
    [("-maxfraglen", "512"), ("-no_middlebox",), ("-no_middlebox", "-groups", "X25519MLKEM768:*x25519"), ("-status",)],
    ids=lambda arguments: "".join(arguments),
)
def test_group_is_found_however_the_server_hello_looks(gateway: Gateway, arguments: tuple[str, ...]) -> None:
    """Cut into small records because the client asked for that, or without what only middleboxes need."""
    say = "GET / HTTP/1.1\r\nHost: chat.test\r\nConnection: close\r\n\r\n"
    said = gateway.s_client(*arguments, "-ign_eof", say=say)
    assert '"group": ["X25519MLKEM768"]' in said.output
