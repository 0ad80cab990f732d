"""One key of the hierarchy and its life: created, activated, retired, destroyed; never back.

The active key protects what is new. A retired key still opens what it protected. A destroyed key
leaves this record only. The states are those of NIST SP 800-57 part 1, 7.2, without the states of
a compromise: a compromised key is retired at once, and destroyed when nothing needs it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

DOMAIN: Final = "plexigate"
"""What the id of each key begins with. A file with keys of another domain is refused."""


class KeyState(StrEnum):
    CREATED = "created"
    ACTIVE = "active"
    RETIRED = "retired"
    DESTROYED = "destroyed"


class KeyTransition(StrEnum):
    """What moves a key to the next state."""

    ACTIVATE = "activate"
    RETIRE = "retire"
    DESTROY = "destroy"


_TRANSITIONS: Final[Mapping[tuple[KeyState, KeyTransition], KeyState]] = {
    (KeyState.CREATED, KeyTransition.ACTIVATE): KeyState.ACTIVE,
    (KeyState.ACTIVE, KeyTransition.RETIRE): KeyState.RETIRED,
    (KeyState.RETIRED, KeyTransition.DESTROY): KeyState.DESTROYED,
}
"""Every step that a key can take: it is retired first, so that its uses end before it does."""


class IllegalStep(Exception):
    """A key is in no state for a step."""

    def __init__(self, key_id: str, state: KeyState, step: KeyTransition) -> None:
        super().__init__(key_id, state, step)
        self.key_id = key_id
        self.state = state
        self.step = step

    def __str__(self) -> str:
        return f"key {self.key_id} is {self.state.value}: it cannot be taken to {self.step.value}"


class QuotaExhausted(Exception):
    """A key may protect no more, or is not active; `left` uses remain."""

    def __init__(self, key_id: str, asked: int, left: int) -> None:
        super().__init__(key_id, asked, left)
        self.key_id = key_id
        self.asked = asked
        self.left = left

    def __str__(self) -> str:
        return f"key {self.key_id} was to be used {self.asked} times; {self.left} are left: rotate the keys"


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """A key without its secret, which is random.

    `uses` counts what the key has protected, against `quota` (None: without bound).
    """

    purpose: str
    version: int
    created: datetime
    quota: int | None = None
    uses: int = 0
    state: KeyState = KeyState.CREATED
    activated: datetime | None = None
    retired: datetime | None = None
    destroyed: datetime | None = None

    @property
    def id(self) -> str:
        """Domain, purpose and version: `plexigate/tickets:3`."""
        return f"{DOMAIN}/{self.purpose}:{self.version}"

    @property
    def protects(self) -> bool:
        return self.state is KeyState.ACTIVE

    @property
    def opens(self) -> bool:
        """Whether it may be used for what it has protected before."""
        return self.state in (KeyState.ACTIVE, KeyState.RETIRED)

    def is_due(self, now: datetime, after: timedelta) -> bool:
        """Whether another one is to protect what is new: it is that old, or half of its quota is
        used.
        """
        # also after a clock that was far ahead was set back
        is_old = self.activated is not None and abs(now - self.activated) >= after
        return self.protects and (is_old or (self.quota is not None and 2 * self.uses >= self.quota))

    def taken(self, step: KeyTransition, now: datetime) -> "ManagedKey":
        """The key after a step; its dates stay in order. Raises `IllegalStep`."""
        state = _TRANSITIONS.get((self.state, step))
        if state is None:
            raise IllegalStep(self.id, self.state, step)
        dates = (self.created, self.activated, self.retired, now)
        at = max(date for date in dates if date is not None)
        if step is KeyTransition.ACTIVATE:
            return replace(self, state=state, activated=at)
        if step is KeyTransition.RETIRE:
            return replace(self, state=state, retired=at)
        return replace(self, state=state, destroyed=at)

    def used(self, times: int) -> "ManagedKey":
        """The key after it has protected something `times` times; raises `QuotaExhausted`."""
        left = 0 if not self.protects else times if self.quota is None else self.quota - self.uses
        if times > left:
            raise QuotaExhausted(self.id, times, left)
        return replace(self, uses=self.uses + times)
