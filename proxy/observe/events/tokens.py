"""Events of PKCS#11 tokens. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class TokenBreaker(Event):
    """The circuit breaker of a token changed its state in a worker.

    Check the token if it stays `open`: `plexigate hsm list`. Other keys of the identity sign
    meanwhile, if there are any.
    """

    event = "token"
    level = Level.WARNING

    token: str
    """Name of the token."""
    state: str
    """`closed` (in use), `slow` (used if nothing better is there), `open` (not used), `half_open`
    (one probe is in progress), `proved` (the probe succeeded; the parent has to confirm it) or
    `stopped` (the PIN was refused)."""

    def sentence(self) -> str:
        return f"token {self.token}: breaker {self.state}"


@dataclass(frozen=True, slots=True)
class TokenCondition(Event):
    """The parent probed a token, and its condition has changed.

    If `condition` is `pin_refused`, correct the PIN and reload, or run `plexigate hsm unlatch
    TOKEN` to try the same PIN again. No process logs in before that, so that the token does not
    lock itself. In the other conditions, look at the device; the parent repeats the probe.
    """

    event = "token_condition"
    level = Level.ACTION

    token: str
    """Name of the token."""
    condition: str
    """`well`, `unwell` (it fails or does not answer), `absent` (it or its module is missing) or
    `pin_refused`."""
    pin_source: str | None = None
    """Where the PIN came from. Only with `pin_refused`."""
    detail: str | None = None
    """Reason. Not with `well`."""

    def sentence(self) -> str:
        if self.pin_source is not None:
            remedy = "no process tries it again before you correct it and reload"
            return f"token {self.token}, PIN from the {self.pin_source}: {self.detail}; {remedy}"
        if self.detail is not None:
            return f"token {self.token}: a probe by the parent failed, it is repeated: {self.detail}"
        return f"token {self.token}: a probe by the parent succeeded"


@dataclass(frozen=True, slots=True)
class TokenKeyChanged(Event):
    """A token works, but one of its keys is missing, or is there again. Written once for all
    processes.

    If `state` is `missing`, look for the key with `plexigate hsm list`, and restore it or configure
    another one.
    """

    event = "token_key"
    level = Level.ACTION

    token: str
    """Name of the token."""
    key: str
    """PKCS#11 URI of the key."""
    identities: Sequence[str]
    """Identities that sign with it."""
    state: str
    """`missing` or `found`."""

    def sentence(self) -> str:
        found = "has it again" if self.state == "found" else "has no such key, or the key cannot sign"
        return f"key {self.key} of {', '.join(self.identities)}: token {self.token} {found}"


@dataclass(frozen=True, slots=True)
class ModuleSkipped(Event):
    """A token does not answer, and so no worker became ready. The workers start without its PKCS#11
    module. Identities with keys only in this module are refused.

    Check the token; once a probe succeeds the workers load the module.
    """

    event = "module_skipped"
    level = Level.ACTION

    token: str
    """Name of the token."""

    def sentence(self) -> str:
        return (
            f"token {self.token} does not answer, and no worker became ready: the workers start without its module, "
            "and load it once a probe of a token of this module succeeds"
        )
