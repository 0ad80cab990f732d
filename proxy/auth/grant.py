"""What a server learns about a client that may pass, and what no client may say itself. Pure.

Gateway interfaces of the CGI family read `X_User` and `X.User` as `X-User` (see `http.fields`). So
each twin of such a name is removed from what the client sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from proxy.http.fields import Fields, own_line, plain_name
from proxy.http.head import Header


@dataclass(frozen=True, slots=True)
class Grant:
    """The fields of a request that authorization decides on."""

    removed: frozenset[bytes]
    """Names in the form of `plain_name`. The client's fields of these names never pass."""
    added: tuple[Header, ...] = ()
    """What the server gets instead."""

    def changes(self, fields: Fields) -> bool:
        return bool(self.added) or any(
            plain_name(name) in self.removed for part in (fields.forwarded, fields.claims) for name, _ in part
        )

    def beside(self, other: "Grant") -> "Grant":
        """This one, which also removes what the other one removes."""
        return Grant(self.removed | other.removed, self.added)

    def applied(self, fields: Fields) -> Fields:
        """The fields of the request, with those of the grant in place of the client's."""
        kept = [line for line in fields.sent if plain_name(line.header[0]) not in self.removed]
        return Fields(kept + [own_line(header) for header in self.added], fields.special)


def copied(lines: Iterable[Header], names: frozenset[bytes]) -> Grant:
    """Grant a request with the fields of these names of the authorization server's answer."""
    return Grant(names, tuple(header for header in lines if plain_name(header[0]) in names))
