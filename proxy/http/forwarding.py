"""Who the client is behind a trusted peer: the addresses in X-Forwarded-For or Forwarded. Pure.

Each proxy on the way appends the address of its own peer. So the list is read from its right end,
where the trusted peer wrote. An address counts if the hop that wrote it is trusted. The first
address that is not trusted itself is the client: it could have written everything left of it, so
nothing there is read. What anyone puts in front of the list cannot change the result.

An element that is not exactly one address ends the reading as well: "unknown", an obfuscated name,
an empty element, anything malformed. The client is then the nearest hop that was believed. A list
that is missing names no client either: a trusted peer appends to it in each request of a client.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from proxy.http.grammar import is_token


@dataclass(frozen=True, slots=True)
class Chain:
    """The believed part of a list of hops."""

    addresses: tuple[str, ...]
    """From the client to the hop before the peer, as text; empty if the peer is the client itself.

    An IPv4-mapped address is written as IPv4.
    """
    elements: bytes
    """The same hops as the trusted peer has them in Forwarded; empty if that was not read."""
    is_whole: bool
    """Whether the list names the client: the reading ended at it or at the end of the list.

    It did not end at what is broken, and there is a list.
    """


NO_CHAIN: Final = Chain((), b"", is_whole=False)
"""The trusted peer says nothing. It may speak for itself (a health check), or have lost what it
said of a client. So it passes nowhere for its own address."""

Trusts = Callable[[str], bool]
"""Whether an address is that of a trusted peer."""

_SPACE: Final = b" \t"
# Some balancers add the port of the client's connection, and then brackets around IPv6. With the
# port, each connection would count as a client of its own.
_IN_X_FORWARDED_FOR: Final = re.compile(
    rb"([0-9.]{7,15})(?::[0-9]{1,5})?|\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9A-Fa-f:.]{2,45})"
)
# RFC 7239 section 6: an IPv6 address is bracketed; a port may be a name.
_IN_FORWARDED: Final = re.compile(
    rb"([0-9.]{7,15})(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]+))?|\[([0-9A-Fa-f:.]{2,45})\](?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]+))?"
)
# RFC 9110 section 5.6.4
_QUOTED: Final = re.compile(rb'(?:[^"\\]|\\.)*', re.DOTALL)
_QUOTE, _BACKSLASH, _EQUALS, _COMMA, _SEMICOLON = b'"\\=,;'
_ENDS: Final = frozenset(b' \t",;=')


def x_forwarded_for_chain(values: Sequence[bytes], is_trusted: Trusts) -> Chain:
    """Read X-Forwarded-For; `values` are those of its field lines, in their order."""
    if not values:
        return NO_CHAIN
    addresses: list[str] = []
    for element in reversed(b",".join(values).split(b",")):
        address = _address(_IN_X_FORWARDED_FOR.fullmatch(element.strip(_SPACE)))
        if address is None:
            return Chain(tuple(addresses), b"", is_whole=False)
        addresses.insert(0, address)
        if not is_trusted(address):
            break
    return Chain(tuple(addresses), b"", is_whole=True)


def forwarded_chain(values: Sequence[bytes], is_trusted: Trusts) -> Chain:
    """Read Forwarded (RFC 7239 section 4); `values` are those of its field lines, in order."""
    if not values:
        return NO_CHAIN
    text = b", ".join(values)
    addresses: list[str] = []
    start = len(text)
    end = len(text)
    while end >= 0:
        element = _last_element(text, end)
        address = None if element is None else _address(_IN_FORWARDED.fullmatch(element.node))
        if element is None or address is None:
            return Chain(tuple(addresses), text[start:], is_whole=False)
        addresses.insert(0, address)
        start = element.start
        end = element.start - 1
        if not is_trusted(address):
            break
        while end >= 0 and text[end] != _COMMA:  # the space behind the comma
            end -= 1
    return Chain(tuple(addresses), text[start:], is_whole=True)


def _address(found: re.Match[bytes] | None) -> str | None:
    """The address in its usual form; the first group of `found` is for IPv4."""
    if found is None:
        return None
    kind = found.lastindex or 0
    text = found[kind].decode("ascii")
    try:
        if kind == 1:
            return str(IPv4Address(text))
        address = IPv6Address(text)
    except ValueError:
        return None
    return str(address.ipv4_mapped or address)


@dataclass(frozen=True, slots=True)
class _Element:
    node: bytes
    """The value of its `for`, without quotes."""
    start: int


def _last_element(text: bytes, end: int) -> _Element | None:
    """Read the element of Forwarded that ends at `end`, backwards.

    Backwards, because a quotation mark that an untrusted client left open in front of it must not
    swallow it. None for an element that is malformed, or has no `for`.
    """
    names: set[bytes] = set()
    node: bytes | None = None
    while True:
        pair = _last_pair(text, _before_space(text, end))
        if pair is None or pair.name in names:  # section 4: each parameter once
            return None
        names.add(pair.name)
        if pair.name == b"for":
            node = pair.value
        end = _before_space(text, pair.start)
        if not end or text[end - 1] == _COMMA:
            return None if node is None else _Element(node, pair.start)
        if text[end - 1] != _SEMICOLON:
            return None
        end -= 1


@dataclass(frozen=True, slots=True)
class _Pair:
    name: bytes
    """In lower case: names are case-insensitive."""
    value: bytes
    start: int


def _last_pair(text: bytes, end: int) -> _Pair | None:
    """Read the pair `token "=" (token | quoted-string)` that ends at `end`."""
    if end and text[end - 1] == _QUOTE:
        start = _opening_quote(text, end - 1)
        value = text[start + 1 : end - 1]
        is_sound = start >= 0 and _QUOTED.fullmatch(value) is not None
    else:
        start = _word_start(text, end)
        value = text[start:end]
        is_sound = is_token(value)
    if not is_sound or not start or text[start - 1] != _EQUALS:
        return None
    name_start = _word_start(text, start - 1)
    name = text[name_start : start - 1]
    return _Pair(name.lower(), value, name_start) if is_token(name) else None


def _opening_quote(text: bytes, closing: int) -> int:
    """Where the quoted string begins that ends at `closing`; -1 if it does not."""
    start = text.rfind(b'"', 0, closing)
    while start > 0 and text[start - 1] == _BACKSLASH:
        start = text.rfind(b'"', 0, start)
    return start


def _word_start(text: bytes, end: int) -> int:
    while end and text[end - 1] not in _ENDS:
        end -= 1
    return end


def _before_space(text: bytes, end: int) -> int:
    while end and text[end - 1] in _SPACE:
        end -= 1
    return end
