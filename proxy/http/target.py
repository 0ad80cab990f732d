"""The destination of a request: Host and request target (RFC 9112 section 3).

The checks let through only what an upstream can understand in one way: ours. Browsers never send
fragments, dot segments, broken escapes and raw octets, and readers disagree about them: the proxy
refuses them and repairs nothing.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from proxy.http.grammar import all_but
from proxy.http.head import MalformedMessage

HTTPS_PORT: Final = 443

# RFC 1035 2.3.4: 253 characters of name; a port of five digits and the final dot fit as well.
_AUTHORITY_BYTES: Final = 260

# RFC 9110 7.2 with the reg-name of RFC 3986 3.2.2, narrowed to host names: labels of letters,
# digits, hyphens inside, and the underscore that some intranets use.
_LABEL: Final = rb"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
_AUTHORITY: Final = re.compile(
    rb"(?:(?P<name>"
    + _LABEL
    + rb"(?:\."
    + _LABEL
    + rb")*)\.?|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
# To every URL parser a name that ends in a number is an IPv4 address; to some resolvers also in
# octal and hexadecimal.
_NUMBER: Final = re.compile(rb"[0-9]+|0[xX][0-9A-Fa-f]*")

_ABSOLUTE_FORM: Final = re.compile(rb"([A-Za-z][0-9A-Za-z+.-]*)://([^/?#]*)(.*)")

_DOT: Final = 0x2E
_VISIBLE: Final = bytes(range(0x21, 0x7F))
# RFC 3986 3.3 has fewer. Browsers send `|`, `[` and `]` unescaped in paths, and no reader takes
# them for borders.
_PATH_CHARS: Final = bytes(code for code in _VISIBLE if code not in b'"#<>\\^`{}')
_QUERY_CHARS: Final = bytes(code for code in _VISIBLE if code not in b"#")
_NOT_IN_PATHS: Final = all_but(_PATH_CHARS)
_NOT_IN_QUERIES: Final = all_but(_QUERY_CHARS)
_NOT_PLAIN: Final = all_but(_PATH_CHARS.replace(b"%", b"") + b"?")

# A `%` without two hexadecimal digits, and an encoded NUL, which ends the string in some upstreams.
_BAD_ESCAPE: Final = re.compile(rb"%(?:00|(?![0-9A-Fa-f]{2}))")
# `.` and its separators `/` and `\` may be encoded: some upstreams decode first and resolve dot
# segments then. For some upstreams a segment ends at its `;` parameters.
_DOT_SEGMENT: Final = re.compile(rb"(?:/|%2[Ff]|%5[Cc])(?:\.|%2[Ee]){1,2}(?=/|;|%2[Ff]|%5[Cc]|%3[Bb]|\Z)")


class Authority(NamedTuple):
    """A host and the port that was written with it."""

    host: bytes
    """Lower-case, without final dot; an IP address in its canonical form, IPv6 without brackets."""
    port: int | None


# Clients repeat a few hosts. _AUTHORITY_BYTES bounds an entry, and so the cache to below 1 MB.
@lru_cache(maxsize=1024)
def parse_authority(value: bytes) -> Authority:
    """Parse `host [ ":" port ]` (RFC 9110 7.2).

    Refuses user information, an empty host and white space with 400.
    """
    match = _AUTHORITY.fullmatch(value) if len(value) <= _AUTHORITY_BYTES else None
    if match is None:
        raise MalformedMessage(400, "invalid host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        raise MalformedMessage(400, "invalid port")
    try:
        host = _canonical_address(match["ipv6"]) if match["ipv6"] else _canonical_name(match["name"])
    except AddressValueError as error:
        raise MalformedMessage(400, "invalid address as host") from error
    return Authority(host, port)


def _canonical_address(ipv6: bytes) -> bytes:
    return str(IPv6Address(ipv6.decode("ascii"))).encode("ascii")


def _canonical_name(name: bytes) -> bytes:
    if _NUMBER.fullmatch(name.rpartition(b".")[2]):
        return str(IPv4Address(name.decode("ascii"))).encode("ascii")
    return name.lower()


def origin_form(method: bytes, target: bytes, host_field: bytes) -> bytes:
    """Return the target in origin-form, otherwise byte for byte as it was sent.

    `host_field` is the value of Host. Raises MalformedMessage: 400, 421 for an `http` URI, 501 for
    `OPTIONS *`.
    """
    if not target.startswith(b"/"):
        target = _without_authority(method, target, parse_authority(host_field))
    # Nearly every target has only characters that are safe on both sides of the first `?`: one
    # check is enough. To search for one octet costs a quarter of a search for two.
    if (_DOT in target and target.find(b"/.") >= 0) or target.translate(_NOT_PLAIN) != target:
        _check_path_and_query(target)
    return target


def _check_path_and_query(target: bytes) -> None:
    path, _, query = target.partition(b"?")
    if path.translate(_NOT_IN_PATHS) != path:
        raise MalformedMessage(400, "character not allowed in the path")
    if query.translate(_NOT_IN_QUERIES) != query:
        raise MalformedMessage(400, "character not allowed in the query")
    if _BAD_ESCAPE.search(path):
        raise MalformedMessage(400, "invalid percent-encoding in the path")
    if _DOT_SEGMENT.search(path):
        raise MalformedMessage(400, "dot segment in the path")


def _without_authority(method: bytes, target: bytes, authority: Authority) -> bytes:
    """Turn absolute-form (RFC 9112 3.2.2) into origin-form; the proxy serves no other forms."""
    # RFC 9112 3.2.4: `*` means the server as a whole, and no route leads there. Absolute-form
    # without a path means the same.
    if target == b"*" and method == b"OPTIONS":
        raise MalformedMessage(501, "OPTIONS * is not served")
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise MalformedMessage(400, "invalid request target")
    scheme, named, rest = match.groups()
    check_scheme(scheme)
    check_agreement(authority, parse_authority(named))
    if not rest and method == b"OPTIONS":
        raise MalformedMessage(501, "OPTIONS * is not served")
    return rest if rest.startswith(b"/") else b"/" + rest


def check_scheme(scheme: bytes) -> None:
    """Refuse a request for another scheme than https. Raises MalformedMessage (400, 421)."""
    if scheme.lower() == b"http":
        # RFC 9110 7.4: the request is for another scheme than that of this origin.
        raise MalformedMessage(421, "http URI over TLS")
    if scheme.lower() != b"https":
        raise MalformedMessage(400, "scheme of the request target is not https")


def check_agreement(host: Authority, named: Authority) -> None:
    """Refuse a request whose Host and whose target name two servers. Raises MalformedMessage (400).

    RFC 9112 3.2.2 lets the target override Host. Readers route by the one or by the other.
    """
    if _with_port(named) != _with_port(host):
        raise MalformedMessage(400, "request target and Host differ")


def _with_port(authority: Authority) -> tuple[bytes, int]:
    return authority.host, authority.port or HTTPS_PORT
