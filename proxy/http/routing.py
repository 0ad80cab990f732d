"""Which route a request takes: the host first, then the longest path prefix on segment borders.

Theory of operation. The proxy forwards the target byte for byte. So what matters is how the
upstream reads a path, not how *we* do. Upstreams differ: some decode `%2F`, some take `\\` for `/`,
merge `//`, drop `;params`, trim white space around segments, or decode twice. If such readers would
put a path under different routes, the proxy refuses it (`AmbiguousPath`). So no client gets past a
stricter route by spelling.

Two readings are enough to find that out. Decoding, merging, dropping and trimming only lead deeper.
The prefix of a route contains nothing that these steps change, so a path that begins with it still
does afterwards. The *least* reading decodes only what no reader takes for a border. The *fullest*
reading does everything. The routes that any reader could find lie between the routes of these two.
If the two find the same route, all readers do.

Two cases break that order: dot segments, which lead back up, and `;` beside an encoded border,
where the order of the steps matters. The proxy refuses them if such a path could still reach
another route.
"""

import re
from collections.abc import Iterable
from typing import Final, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from proxy.http.grammar import all_but
from proxy.http.head import MalformedMessage

PayloadT = TypeVar("PayloadT")

_SLASH: Final = b"/"
_DOT: Final = 0x2E
_SEMICOLON: Final = 0x3B
_QUESTION_MARK: Final = 0x3F
_BACKSLASH: Final = 0x5C
# What sends a path to `find_carefully` by itself.
_NOT_CAREFUL: Final = all_but(bytes(code for code in range(256) if code not in b"%;\\"))

# What some reader trims: Java all up to the space, others all white space of Unicode, JavaScript
# the byte order mark too. Two octets are white space in Latin-1 alone; as they are no UTF-8 by
# themselves, `trimmed` has them as surrogates.
_BLANKS: Final = (
    "".join(map(chr, range(0x21)))
    + "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
    + "\u3000\ufeff"
    + chr(0xDC85)  # mypyc has no literals of surrogates
    + chr(0xDCA0)
)
_BLANK: Final = (
    rb"(?:[\x01-\x20\x85\xa0]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f"
    rb"|\xe3\x80\x80|\xef\xbb\xbf)"
)

# Octets that readers may read differently. An escape of an octet above 7F never becomes a part of a
# prefix, because a prefix is ASCII; but it may begin a blank, which is trimmed.
_READ_DIFFERENTLY: Final = re.compile(rb"[;\\]|%(?:(?![89A-Fa-f][0-9A-Fa-f])|85|[Aa]0|[Cc]2|[Ee][1-3Ff])|(?<=/)/")
# Escapes that the least reading keeps: NUL and `#%/;?\` are borders for some readers.
_BORDER_ESCAPE: Final = re.compile(rb"%(?=00|2[35Ff]|3[BbFf]|5[Cc])")

# For a path that was decoded as far as any reader does. Behind `;` some readers see parameters, and
# some cut off the rest.
_DOT_SEGMENT: Final = re.compile(rb"[/\\]%b*+\.{1,2}%b*+(?![^/\\;?#\0])" % (_BLANK, _BLANK))
_CUT_OFF: Final = re.compile(rb"[?#\0].*", re.DOTALL)
_PARAMETERS: Final = re.compile(rb";[^/]*")
_SLASHES: Final = re.compile(rb"/+")
# A leading `//` begins an authority for readers that parse the target as a URL reference
# (RFC 3986 4.2).
_AUTHORITY: Final = re.compile(rb"//[^/]*")

# A prefix has only characters that no reader changes (RFC 3986 3.3). The configuration reports
# errors in more detail.
_PREFIX: Final = re.compile(r"/|(?:/[A-Za-z0-9._~!$&'()*+,=:@-]+)+/?")


def path_of(target: bytes) -> bytes:
    """The path of a target in origin-form: all before its query."""
    return target.partition(b"?")[0] if _QUESTION_MARK in target else target


def is_path_of(path: bytes, target: bytes) -> bool:
    """Whether a target has this path, and another query perhaps."""
    length = len(path)
    return target.startswith(path) and (len(target) == length or target[length] == _QUESTION_MARK)


class AmbiguousPath(MalformedMessage):
    """Upstreams would read this path as leading to different routes: answer with 400."""

    def __init__(self) -> None:
        """The reason is fixed: it never repeats bytes of the request."""
        super().__init__(400, "ambiguous path")


class Route(Generic[PayloadT]):
    """A host, a path prefix, and the payload that a request gets if it matches both.

    It is not a dataclass: mypyc cannot compile one that is generic.
    """

    def __init__(self, host: str, path: str, payload: PayloadT) -> None:
        """Take the parts as they are; `RouteTable` checks the path."""
        self.host: Final = host
        """A name, or `*.suffix` for one or more labels before the suffix; lower-case A-labels."""
        self.path: Final = path
        """Begins with `/`. `/api` is `/api` and everything below, `/api/` only what is below."""
        self.payload: Final = payload


class RouteTable(Generic[PayloadT]):
    def __init__(self, routes: Iterable[Route[PayloadT]]) -> None:
        """Raise ValueError on two routes of one host and path, or a path that readers change."""
        self._exact: dict[bytes, _PathTree[PayloadT]] = {}
        self._suffixes: dict[bytes, _PathTree[PayloadT]] = {}
        seen: set[tuple[str, str]] = set()
        for route in sorted(routes, key=lambda route: len(route.path)):
            if not _PREFIX.fullmatch(route.path) or _DOT_SEGMENT.search(route.path.encode("ascii")):
                raise ValueError(f"not a path to route by: {route.path!r}")
            if (route.host, route.path) in seen:
                raise ValueError(f"two routes for {route.host}{route.path}")
            seen.add((route.host, route.path))
            self._tree(route.host).add(route)

    def _tree(self, host: str) -> "_PathTree[PayloadT]":
        name = host.encode("ascii")
        if name.startswith(b"*."):
            return self._suffixes.setdefault(name[2:], _PathTree())
        return self._exact.setdefault(name, _PathTree())

    def match(self, host: bytes, target: bytes) -> Route[PayloadT] | None:
        """Find the route of a request, None if there is none.

        `host` is in lower case, without port and final dot. `target` is in origin-form; its query
        plays no part. An exact host goes before `*.suffix`, a longer suffix before a shorter one.
        Only the paths of the first host that fits decide. Raises AmbiguousPath.
        """
        tree = self._exact.get(host) or self._of_suffix(host)
        if tree is None:
            return None
        path = path_of(target)
        # a table and searches: one pattern costs three times as much
        is_doubtful = path.translate(_NOT_CAREFUL) != path or path.find(b"//") >= 0
        if is_doubtful or (_DOT in path and path.find(b"/.") >= 0):
            return tree.find_carefully(path)
        return tree.find(path)

    def _of_suffix(self, host: bytes) -> "_PathTree[PayloadT] | None":
        while self._suffixes and host:
            host = host.partition(b".")[2]
            if host in self._suffixes:
                return self._suffixes[host]
        return None


class _Node(Generic[PayloadT]):
    """A path of whole segments. It inherits from the path above what it does not say itself."""

    def __init__(self, inherited: Route[PayloadT] | None) -> None:
        self.children: dict[bytes, _Node[PayloadT]] = {}
        self.here = inherited
        """For the path itself."""
        self.below = inherited
        """For paths that continue with a slash."""

    def child(self, segment: bytes) -> "_Node[PayloadT]":
        return self.children.setdefault(segment, _Node(self.below))


class _PathTree(Generic[PayloadT]):
    def __init__(self) -> None:
        # For the part before the first slash: it is empty, and no route.
        self._start: _Node[PayloadT] = _Node(None)
        self._root = self._start.child(b"")
        # One more than the parts of the longest prefix: the rest of a path need not be split.
        self._pieces = 0

    def add(self, route: Route[PayloadT]) -> None:
        """Add a route; those of shorter paths must be there already."""
        *segments, last = route.path.encode("ascii").split(_SLASH)
        self._pieces = max(self._pieces, len(segments) + 1)
        node = self._start
        for segment in segments:
            node = node.child(segment)
        if last:
            node = node.child(last)
            node.here = route
        node.below = route

    def find(self, path: bytes) -> Route[PayloadT] | None:
        node = self._start
        for segment in path.split(_SLASH, self._pieces):
            child = node.children.get(segment)
            if child is None:
                return node.below
            node = child
        return node.here

    def find_carefully(self, path: bytes) -> Route[PayloadT] | None:
        if not self._root.children:
            return self._root.below
        decoded = unquote_to_bytes(unquote_to_bytes(path))
        if climbs(decoded):
            raise AmbiguousPath
        doubt = _READ_DIFFERENTLY.search(path)
        if doubt is None or not self._leads_on(path[: doubt.start()]):
            return self.find(path)
        if _SEMICOLON in decoded and (_BACKSLASH in path or _BORDER_ESCAPE.search(path)):
            raise AmbiguousPath
        # A double escape is still an escape after one decoding.
        least = unquote_to_bytes(_BORDER_ESCAPE.sub(b"%25", path))
        found = self.find(least)
        # An empty path is that of the root (RFC 9110 4.2.3).
        if any(self.find(reading or _SLASH) is not found for reading in _other_readings(least, decoded)):
            raise AmbiguousPath
        return found

    def _leads_on(self, start: bytes) -> bool:
        """Say whether a path with this beginning can still reach another route.

        The beginning may end within a segment.
        """
        *segments, last = start.split(_SLASH, self._pieces)
        node: _Node[PayloadT] | None = self._start
        for segment in segments:
            node = node.children.get(segment) if node is not None else None
        return node is not None and any(segment.startswith(last) for segment in node.children)


def climbs(decoded: bytes) -> bool:
    """Say whether a path that is decoded as far as any reader does has a dot segment."""
    return _DOT_SEGMENT.search(decoded) is not None


def _other_readings(least: bytes, decoded: bytes) -> Iterable[bytes]:
    """Read a path as fully as any reader does, and as if it had an authority."""
    cut = trimmed(_CUT_OFF.sub(b"", decoded.replace(b"\\", _SLASH)))
    yield _merged(cut)
    if cut.startswith(b"//"):
        yield _merged(_AUTHORITY.sub(b"", cut, count=1))
    if least.startswith(b"//"):
        yield _AUTHORITY.sub(b"", least, count=1)


def _merged(path: bytes) -> bytes:
    return _SLASHES.sub(_SLASH, trimmed(_PARAMETERS.sub(b"", path)))


def trimmed(path: bytes) -> bytes:
    """Take away the white space around each segment."""
    segments = path.decode("utf-8", "surrogateescape").split("/")
    return "/".join([segment.strip(_BLANKS) for segment in segments]).encode("utf-8", "surrogateescape")
