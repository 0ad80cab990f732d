"""The opening handshake of a WebSocket, seen by a proxy (RFC 6455 section 4).

The proxy opens a tunnel only after a 101 which proves that the upstream understood. It strips an
upgrade to a protocol that it does not speak. It refuses a WebSocket handshake with a flaw: another
server might take it for one that succeeded.
"""

import base64
import hashlib
import re
from typing import Final, NamedTuple

from proxy.http.grammar import WHITESPACE, is_token, list_elements
from proxy.http.head import MalformedMessage

# RFC 6455 section 1.3.
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# RFC 6455 4.1: base64 of 16 bytes; the last character before the padding holds two bits.
_KEY: Final = re.compile(rb"[0-9A-Za-z+/]{21}[AQgw]==")


class WebSocketOffer(NamedTuple):
    """What a client offered in a valid opening handshake."""

    key: bytes
    protocols: tuple[bytes, ...]
    extensions: bytes
    """All Sec-WebSocket-Extensions lines as one, empty if there was none."""


def websocket_offer(
    method: bytes, special: dict[bytes, list[bytes]], options: frozenset[bytes]
) -> WebSocketOffer | None:
    """Return the offer of an HTTP/1.1 request with an Upgrade field; None for other protocols.

    `special` are the special fields, `options` those of Connection. Raises MalformedMessage: 400,
    or 426 if the version is not 13. The answer 426 carries `Sec-WebSocket-Version: 13` (RFC 6455
    4.4).
    """
    upgrade = special[b"upgrade"]
    if len(upgrade) != 1:
        raise MalformedMessage(400, "several Upgrade fields")
    if upgrade[0].lower() != b"websocket":
        return None
    if method != b"GET":
        raise MalformedMessage(400, "WebSocket handshake with a method other than GET")
    if b"upgrade" not in options:
        raise MalformedMessage(400, "WebSocket handshake without the connection option upgrade")
    if _only(special, b"sec-websocket-version") != b"13":
        raise MalformedMessage(426, "WebSocket version is not 13")
    key = _only(special, b"sec-websocket-key")
    if not _KEY.fullmatch(key):
        raise MalformedMessage(400, "invalid Sec-WebSocket-Key")
    protocols = tuple(list_elements(special.get(b"sec-websocket-protocol", [])))
    if not all(map(is_token, protocols)):
        raise MalformedMessage(400, "invalid Sec-WebSocket-Protocol")
    return WebSocketOffer(key, protocols, b", ".join(special.get(b"sec-websocket-extensions", [])))


def _only(special: dict[bytes, list[bytes]], name: bytes) -> bytes:
    values = special.get(name, [])
    if len(values) != 1:
        raise MalformedMessage(400, "WebSocket handshake without exactly one key and one version")
    return values[0]


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers `key` (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def check_acceptance(offer: WebSocketOffer, special: dict[bytes, list[bytes]], options: frozenset[bytes]) -> None:
    """Check the fields of a 101 against the offer (RFC 6455 4.1). Raises MalformedMessage (502)."""
    if [value.lower() for value in special.get(b"upgrade", [])] != [b"websocket"] or b"upgrade" not in options:
        raise MalformedMessage(502, "101 without upgrade to websocket")
    if special.get(b"sec-websocket-accept") != [accept_value(offer.key)]:
        raise MalformedMessage(502, "101 with a wrong Sec-WebSocket-Accept")
    protocols = special.get(b"sec-websocket-protocol", [])
    if len(protocols) > 1 or not set(protocols) <= set(offer.protocols):
        raise MalformedMessage(502, "101 with a subprotocol that was not offered")
    extensions = special.get(b"sec-websocket-extensions", [])
    if not _extension_names(extensions) <= _extension_names([offer.extensions]):
        raise MalformedMessage(502, "101 with an extension that was not offered")


def _extension_names(values: list[bytes]) -> set[bytes]:
    """Return the names before the parameters.

    A quoted parameter must be a token (RFC 6455 9.1), so it has no comma.
    """
    return {element.partition(b";")[0].rstrip(WHITESPACE).lower() for element in list_elements(values)}
