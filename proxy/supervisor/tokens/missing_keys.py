"""The keys that workers or the parent miss in tokens. The log says each once for all. Pure.

A token that has lost one of its keys still works with the others. So neither the breakers nor the
finding of the parent show the loss.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from certs.tokens.token_use import KeyPlace, NamedKey, TokenUse
from proxy.observe.events.event import Tell
from proxy.observe.events.tokens import TokenKeyChanged

PARENT: Final = 0
"""Stands for the parent instead of a worker's process id."""


class MissingKeys:
    """The missing keys in the tokens of the served edition."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.changed: Callable[[Collection[KeyPlace]], None] | None = None
        """Gets all missing keys when they have changed."""
        self._keys: dict[KeyPlace, NamedKey] = {}
        self._said: dict[tuple[int, str], frozenset[str]] = {}
        """Missing keys by process and token. A process without an entry has not reported."""
        self._told: set[KeyPlace] = set()
        self._reported: set[KeyPlace] = set()
        """What `changed` got last."""

    def follow(self, uses: Sequence[TokenUse]) -> None:
        """Follow exactly the keys of these tokens from now on."""
        self._keys = {KeyPlace(use.name, one.location): one for use in uses for one in use.named}
        tokens = {use.name for use in uses}
        self._said = {(pid, token): keys for (pid, token), keys in self._said.items() if token in tokens}
        self._told &= self._keys.keys()
        self._tell_changes()

    def says(self, pid: int, token: str, missing: Collection[str]) -> None:
        """A process misses exactly these keys (URIs) in a token."""
        self._said[pid, token] = frozenset(missing)
        self._tell_changes()

    def forget(self, pid: int, token: str) -> None:
        """Forget which keys a process misses in a token."""
        self._said.pop((pid, token), None)
        self._tell_changes()

    def worker_gone(self, pid: int) -> None:
        self._said = {one: keys for one, keys in self._said.items() if one[0] != pid}
        self._tell_changes()

    def is_missing(self, pid: int, key: KeyPlace) -> bool:
        return key.location in self._said.get((pid, key.token), ())

    def of_token(self, token: str) -> dict[str, tuple[str, ...]]:
        """The keys (URIs) that any process misses in a token, with the identities that use them."""
        return {key.location: self._keys[key].identities for key in sorted(self._told) if key.token == token}

    def _tell_changes(self) -> None:
        said = {KeyPlace(token, location) for (_, token), keys in self._said.items() for location in keys}
        missing = said & self._keys.keys()
        # the key stays missing until a worker could have found it
        known = {token for pid, token in self._said if pid != PARENT}
        found = {key for key in self._told - missing if key.token in known}
        for key in sorted(missing - self._told):
            self._say(key, "missing")
        for key in sorted(found):
            self._say(key, "found")
        self._told = (self._told | missing) - found
        if self._told != self._reported and self.changed is not None:
            self._reported = set(self._told)
            self.changed(self._reported)

    def _say(self, key: KeyPlace, state: str) -> None:
        self._tell(TokenKeyChanged(key.token, key.location, list(self._keys[key].identities), state))
