"""The path that a server gets instead of the one that was asked for. Pure.

Theory of operation. A route is chosen by the path as it was asked for, in every reading of it
(`proxy.http.routing`). A changed path has to lead where the route means in every reading too. So
what is replaced must stand in the path literally, and what is kept goes on byte for byte. The
proxy refuses the request (`AmbiguousPath`) if some reader could take the new path otherwise:

- It begins with two slashes, encoded ones among them, so that a host would follow.
- It climbs by a dot segment, also after two decodings, out of what is put in front.
- A named part of one segment is several segments, or none, for a reader that decodes it, or trims
  white space.

All work is linear in the length of the path.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.http.responses import Response
from proxy.http.routing import AmbiguousPath, climbs, trimmed

_SLASH: Final = b"/"
# What ends a segment for some reader, or begins its parameters.
_BORDERS: Final = re.compile(rb"[/\\;?#\0]")
_SLASHES: Final = b"/\\"


class NoPath(Exception):
    """The path has another form than the route rewrites: nothing is served there."""


class PathChange:
    def applied(self, target: bytes) -> bytes:
        """The target for the server. The query stays as it is.

        `target` is a valid origin-form, and so is the answer. Raises AmbiguousPath or NoPath.
        """
        path, mark, query = target.partition(b"?")
        changed = self._changed(path)
        decoded = unquote_to_bytes(unquote_to_bytes(changed))
        if decoded is not changed:  # no white space stands in a target but as an escape
            decoded = trimmed(decoded)
        if decoded[1:2] and decoded[1:2] in _SLASHES:
            raise AmbiguousPath
        if climbs(decoded):
            raise AmbiguousPath
        return changed + mark + query

    def _changed(self, path: bytes) -> bytes:
        raise NotImplementedError

    def in_response(self, response: Response, host: bytes) -> Response:
        """The response with the paths of the server in it turned back. `host` is Host as sent."""
        del host
        return response


class PrefixChange(PathChange):
    """A prefix that is taken away, then one that is put in front."""

    def __init__(self, stripped: bytes, added: bytes) -> None:
        """Both are empty, or begin with a slash and end with none."""
        self._stripped: Final = stripped
        self._added: Final = added
        # a server repeats its responses, and the reader then gives the same object: 1 µs each
        self._plain: Response | None = None

    def _changed(self, path: bytes) -> bytes:
        rest = _behind(path, self._stripped)
        if rest is None:
            raise AmbiguousPath  # the path has the prefix only for a reader that decodes it
        return self._added + rest or _SLASH

    def in_response(self, response: Response, host: bytes) -> Response:
        """Turn back Location if it leads to the server itself (RFC 9110 section 10.2.2)."""
        if response is self._plain:
            return response
        if not any(map(_is_location, response.forwarded)):
            if response.is_remembered:
                self._plain = response
            return response
        lines = [self._turned_back(line, host) for line in response.forwarded]
        return response if lines == response.forwarded else response.with_lines(lines)

    def _turned_back(self, line: bytes, host: bytes) -> bytes:
        if not _is_location(line):
            return line
        name, _, value = line[:-2].partition(b": ")
        origin = b""
        for start in (b"https://" + host, b"http://" + host):
            if value[: len(start)].lower() == start.lower():
                origin = value[: len(start)]
        path = value[len(origin) :]
        if not path.startswith(_SLASH) or path.startswith(b"//"):
            return line  # another host, or a relative reference
        if self._stripped and _behind(path, self._stripped) is not None:
            return line  # the server knows the prefix
        rest = _behind(path, self._added)
        if rest is None:
            return line  # outside of what the route shows
        turned = self._stripped + (rest or _SLASH)
        turned = turned if turned.startswith(_SLASH) else _SLASH + turned  # not "?x", of any path
        if not origin and _names_host(turned):
            return line  # as the server wrote it: the path stays on this host
        return b"%b: %b%b\r\n" % (name, origin, turned)


def _names_host(reference: bytes) -> bool:
    """Whether a browser reads the reference as `//host` (RFC 3986 section 4.2).

    The URL standard takes a backslash for a slash, and skips tabs.
    """
    start = reference.replace(b"\t", b"")[:2]
    return len(start) == 2 and start[1] in _SLASHES


def _is_location(line: bytes) -> bool:
    return line[:9].lower() == b"location:"


def _behind(path: bytes, prefix: bytes) -> bytes | None:
    """What follows a prefix of whole segments; None if the path does not begin with it."""
    rest = path[len(prefix) :]
    if not path.startswith(prefix) or (rest and rest[:1] not in b"/?#"):
        return None
    return rest


class Rewrite(PathChange):
    """A path of a certain form that becomes one of another form."""

    def __init__(self, form: Sequence[bytes | int], to: Sequence[bytes | int], *, has_rest: bool) -> None:
        """Segments of both: a text, or the number of a named part.

        With `has_rest`, the last part of the form takes all that is left of the path.
        """
        self._form: Final = tuple(form)
        self._to: Final = tuple(to)
        self._has_rest: Final = has_rest

    def _changed(self, path: bytes) -> bytes:
        form = self._form
        segments = path[1:].split(_SLASH, len(form) - 1) if self._has_rest else path[1:].split(_SLASH)
        if len(segments) != len(form):
            raise NoPath
        parts: dict[int, bytes] = {}
        for number, (segment, wanted) in enumerate(zip(segments, form, strict=True)):
            if isinstance(wanted, bytes):
                if segment != wanted:
                    raise NoPath
            elif self._has_rest and number == len(form) - 1:
                parts[wanted] = segment
            else:
                parts[wanted] = _one_segment(segment)
        return b"".join([_SLASH + (one if isinstance(one, bytes) else parts[one]) for one in self._to])


def _one_segment(segment: bytes) -> bytes:
    """A segment that is one for every reader. Raises AmbiguousPath or NoPath."""
    if not segment:
        raise NoPath
    decoded = unquote_to_bytes(unquote_to_bytes(segment))
    if _BORDERS.search(decoded) or not trimmed(decoded):
        raise AmbiguousPath
    return segment
