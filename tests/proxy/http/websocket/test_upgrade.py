"""A WebSocket handshake is taken only without a flaw, and a 101 is believed only with its proof."""

import pytest

from proxy.http.head import MalformedMessage
from proxy.http.websocket.upgrade import WebSocketOffer, accept_value, check_acceptance, websocket_offer

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OPTIONS = frozenset({b"upgrade", b"keep-alive"})

Special = dict[bytes, list[bytes]]


def handshake(**changes: list[bytes] | None) -> Special:
    special: dict[bytes, list[bytes] | None] = {
        b"upgrade": [b"websocket"],
        b"sec-websocket-version": [b"13"],
        b"sec-websocket-key": [KEY],
    }
    special |= {name.replace("_", "-").encode(): values for name, values in changes.items()}
    return {name: values for name, values in special.items() if values is not None}


def refused(special: Special, method: bytes = b"GET", options: frozenset[bytes] = OPTIONS) -> int:
    with pytest.raises(MalformedMessage) as caught:
        websocket_offer(method, special, options)
    return caught.value.status


def test_accept_value_is_that_of_the_rfc() -> None:
    assert accept_value(KEY) == ACCEPT


@pytest.mark.parametrize("token", [b"websocket", b"WebSocket", b"WEBSOCKET"])
def test_valid_handshake_is_an_offer(token: bytes) -> None:
    assert websocket_offer(b"GET", handshake(upgrade=[token]), OPTIONS) == WebSocketOffer(KEY, (), b"")


def test_offer_holds_subprotocols_and_extensions_of_all_field_lines() -> None:
    special = handshake(
        sec_websocket_protocol=[b"chat, superchat", b"v2"],
        sec_websocket_extensions=[b"permessage-deflate; client_max_window_bits", b"x-foo"],
    )
    assert websocket_offer(b"GET", special, OPTIONS) == WebSocketOffer(
        KEY, (b"chat", b"superchat", b"v2"), b"permessage-deflate; client_max_window_bits, x-foo"
    )


@pytest.mark.parametrize(
    "token", [b"h2c", b"foo", b"TLS/1.0", b"websocket, h2c", b"h2c, websocket", b"websocket/13", b"", b"websockets"]
)
def test_upgrade_to_anything_else_is_no_offer(token: bytes) -> None:
    assert websocket_offer(b"POST", handshake(upgrade=[token]), OPTIONS) is None


def test_several_upgrade_fields_are_refused() -> None:
    assert refused(handshake(upgrade=[b"websocket", b"websocket"])) == 400
    assert refused(handshake(upgrade=[b"h2c", b"websocket"])) == 400


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"OPTIONS"])
def test_handshake_with_another_method_is_refused(method: bytes) -> None:
    assert refused(handshake(), method) == 400


def test_handshake_without_the_connection_option_is_refused() -> None:
    assert refused(handshake(), options=frozenset({b"keep-alive"})) == 400


@pytest.mark.parametrize("version", [b"8", b"1337", b"013", b"13, 8", b"+13", b""])
def test_other_version_is_answered_with_the_right_one(version: bytes) -> None:
    assert refused(handshake(sec_websocket_version=[version])) == 426


@pytest.mark.parametrize(
    "changes",
    [
        {"sec_websocket_version": None},
        {"sec_websocket_version": [b"13", b"13"]},
        {"sec_websocket_key": None},
        {"sec_websocket_key": [KEY, KEY]},
        {"sec_websocket_key": [b""]},
        {"sec_websocket_key": [KEY[:-1]]},
        {"sec_websocket_key": [KEY + b"="]},
        {"sec_websocket_key": [b"dGhlIHNhbXBsZSBub25jZR=="]},
        {"sec_websocket_key": [b"dGhlIHNhbXBsZSBub25j!Q=="]},
        {"sec_websocket_key": [b"dGhlIHNhbXBsZSBub25jZQAA"]},
        {"sec_websocket_key": [KEY + b"\n"]},
        {"sec_websocket_protocol": [b"a b"]},
        {"sec_websocket_protocol": [b"a, b/c"]},
    ],
)
def test_flawed_handshake_is_refused(changes: dict[str, list[bytes] | None]) -> None:
    assert refused(handshake(**changes)) == 400


OFFER = WebSocketOffer(KEY, (b"chat", b"v2"), b"permessage-deflate; client_max_window_bits, x-foo")


def acceptance(**changes: list[bytes] | None) -> Special:
    special: dict[bytes, list[bytes] | None] = {b"upgrade": [b"websocket"], b"sec-websocket-accept": [ACCEPT]}
    special |= {name.replace("_", "-").encode(): values for name, values in changes.items()}
    return {name: values for name, values in special.items() if values is not None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upgrade": [b"WebSocket"]},
        {"sec_websocket_protocol": [b"v2"]},
        {"sec_websocket_extensions": [b"permessage-deflate; server_no_context_takeover"]},
        {"sec_websocket_extensions": [b"Permessage-Deflate ;x=1", b"x-foo"]},
    ],
)
def test_acceptance_of_what_was_offered_is_believed(changes: dict[str, list[bytes] | None]) -> None:
    check_acceptance(OFFER, acceptance(**changes), OPTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": None},
        {"upgrade": [b"h2c"]},
        {"upgrade": [b"websocket", b"websocket"]},
        {"upgrade": [b"websocket, h2c"]},
        {"sec_websocket_accept": None},
        {"sec_websocket_accept": [b""]},
        {"sec_websocket_accept": [ACCEPT.lower()]},
        {"sec_websocket_accept": [ACCEPT, ACCEPT]},
        {"sec_websocket_accept": [KEY]},
        {"sec_websocket_protocol": [b"v3"]},
        {"sec_websocket_protocol": [b"chat, v2"]},
        {"sec_websocket_protocol": [b"chat", b"v2"]},
        {"sec_websocket_protocol": [b""]},
        {"sec_websocket_extensions": [b"x-bar"]},
        {"sec_websocket_extensions": [b"x-foo, x-bar"]},
    ],
)
def test_flawed_acceptance_is_refused(changes: dict[str, list[bytes] | None]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        check_acceptance(OFFER, acceptance(**changes), OPTIONS)
    assert caught.value.status == 502


def test_acceptance_without_the_connection_option_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        check_acceptance(OFFER, acceptance(), frozenset())


def test_acceptance_of_what_was_not_offered_is_refused() -> None:
    bare = WebSocketOffer(KEY, (), b"")
    check_acceptance(bare, acceptance(), OPTIONS)
    for changes in ({"sec_websocket_protocol": [b"chat"]}, {"sec_websocket_extensions": [b"permessage-deflate"]}):
        with pytest.raises(MalformedMessage):
            check_acceptance(bare, acceptance(**changes), OPTIONS)
