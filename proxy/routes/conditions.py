"""Which of several routes for one host and path a request takes. Pure.

Theory of operation. The path is judged first, by `proxy.http.routing`. Here only the routes of that
path compete. The route with the most conditions wins among those whose conditions all hold.

The proxy forwards fields and query byte for byte, so what matters is how the server reads them.
Servers differ: some take the first value of a name and some the last, some separate parameters by
`;`, some decode twice, some fold the case of names. If a condition holds in one reading and not in
another, the proxy refuses the request (`AmbiguousCondition`). So no client gets past a stricter
route by spelling.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from proxy.http.grammar import list_elements
from proxy.http.head import Header, MalformedMessage

TargetT = TypeVar("TargetT")

Wanted = tuple[bytes, bytes | None]
"""A name, and the value that it must have; None for any value."""

_SEPARATORS: Final = re.compile(rb"[&;]")
# Where the name of a parameter ends for some readers: at NUL, and at the index of an array.
_NAME_END: Final = re.compile(rb"[\0\[].*", re.DOTALL)
# Some readers take every character of a name that is not a letter and no digit for `_` (CGI, PHP).
_FOLDED: Final = bytes(code if bytes([code]).isalnum() else ord("_") for code in range(256)).lower()
# Some frameworks take the method from one of these, mostly if the request is a POST.
_METHOD_OVERRIDES: Final = frozenset({b"x_http_method_override", b"x_http_method", b"x_method_override"})


class AmbiguousCondition(MalformedMessage):
    """Servers would read a field or a parameter in different ways: answer with 400."""

    def __init__(self) -> None:
        """The reason is fixed: it never repeats bytes of the request."""
        super().__init__(400, "ambiguous condition")


class MethodNotAllowed(Exception):
    """Only the method keeps a request from a route: answer with 405."""

    def __init__(self, allowed: bytes) -> None:
        """`allowed` is the value of Allow (RFC 9110 section 10.2.1)."""
        super().__init__(allowed)
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold beside host and path, all of it."""

    methods: frozenset[bytes] = frozenset()
    headers: tuple[Wanted, ...] = ()
    """Names in lower case. A value has no comma."""
    query: tuple[Wanted, ...] = ()
    """Names and values have only characters that no reader decodes (RFC 3986 section 2.3)."""


class Alternatives(Generic[TargetT]):
    """The routes of one host and path, each with its conditions."""

    def __init__(self, entries: Sequence[tuple[Conditions, TargetT]]) -> None:
        """The most specific ones come first. Those that are equally specific exclude each other."""
        self._entries: Final = entries
        # the names as every reader and as the loosest reader has them
        self._fields: Final = {_folded(name): name for one, _ in self._entries for name, _ in one.headers}
        self._names_methods: Final = any(one.methods for one, _ in self._entries)
        self._parameters: Final = {_loosest_name(name): name for one, _ in self._entries for name, _ in one.query}

    def read_one_of(self, names: Iterable[bytes]) -> bool:
        """Whether the choice depends on a field of one of these names."""
        folded = [_folded(name) for name in names]
        return any(name in self._fields or (self._names_methods and name in _METHOD_OVERRIDES) for name in folded)

    def match(self, method: bytes, fields: Sequence[Header], query: bytes) -> TargetT | None:
        """Find the target of a request; None if there is none.

        `fields` are those that are forwarded. Raises AmbiguousCondition or MethodNotAllowed.
        """
        headers = self._headers_of(fields) if self._fields else {}
        parameters = _Parameters(query, self._parameters)
        found = self._find(method, headers, parameters)
        if self._names_methods:
            for name, value in fields:
                if _folded(name) in _METHOD_OVERRIDES and not self._takes(found, value.upper(), headers, parameters):
                    raise AmbiguousCondition
        return found

    def _find(self, method: bytes, headers: Mapping[bytes, list[bytes]], parameters: "_Parameters") -> TargetT | None:
        allowed: set[bytes] = set()
        for conditions, target in self._entries:
            if all(_field_holds(headers.get(name), value) for name, value in conditions.headers) and all(
                parameters.holds(name, value) for name, value in conditions.query
            ):
                if not conditions.methods or method in conditions.methods:
                    return target
                allowed |= conditions.methods
        if allowed:
            raise MethodNotAllowed(b", ".join(sorted(allowed)))
        return None

    def _takes(
        self, found: TargetT | None, method: bytes, headers: Mapping[bytes, list[bytes]], parameters: "_Parameters"
    ) -> bool:
        """Whether a request with another method would have the same target."""
        try:
            return self._find(method, headers, parameters) is found
        except MethodNotAllowed:
            return False

    def _headers_of(self, fields: Iterable[Header]) -> dict[bytes, list[bytes]]:
        """The values of the fields that a condition names. Raises AmbiguousCondition."""
        found: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            wanted = self._fields.get(_folded(name))
            if wanted is not None:
                if name.lower() != wanted:  # to a CGI program, X_Version and X-Version are one field
                    raise AmbiguousCondition
                found.setdefault(wanted, []).append(value)
        return found


def _folded(name: bytes) -> bytes:
    return name.translate(_FOLDED)


def _field_holds(values: list[bytes] | None, wanted: bytes | None) -> bool:
    """Whether a field has the wanted value. Raises AmbiguousCondition."""
    if values is None:
        return False
    if wanted is None or all(value == wanted for value in values):
        return True
    # some readers take one line of several, or one element of a list (RFC 9110 section 5.3)
    if wanted in list_elements(values):
        raise AmbiguousCondition
    return False


class _Parameters:
    """Parameters that conditions name, as the strictest and the loosest reader have them."""

    def __init__(self, query: bytes, wanted: dict[bytes, bytes]) -> None:
        """`wanted` maps the loosest form of a name to the name."""
        self._strict: Final[dict[bytes, list[bytes]]] = {name: [] for name in wanted.values()}
        self._loose: Final[dict[bytes, list[bytes]]] = {name: [] for name in wanted.values()}
        if not (wanted and query):
            return
        for part in query.split(b"&"):
            name, _, value = part.partition(b"=")
            if name in self._strict:
                self._strict[name].append(value)
        for part in _SEPARATORS.split(query):
            name, _, value = part.partition(b"=")
            known = wanted.get(_loosest_name(name))
            if known is not None:
                self._loose[known].append(_loosest(value))

    def holds(self, name: bytes, wanted: bytes | None) -> bool:
        """Whether a parameter has the wanted value. Raises AmbiguousCondition."""
        strict = self._strict[name]
        loose = self._loose[name]
        if len(strict) != len(loose):
            raise AmbiguousCondition
        if not strict:
            return False
        if wanted is None or all(value == wanted for value in strict):
            return True
        if wanted in loose:
            raise AmbiguousCondition
        return False


def _loosest(text: bytes) -> bytes:
    """Decode as far as any reader does."""
    return unquote_to_bytes(unquote_to_bytes(text)).replace(b"+", b" ").partition(b"\0")[0].strip()


def _loosest_name(name: bytes) -> bytes:
    return _folded(_NAME_END.sub(b"", _loosest(name)))
