"""Events of certificates that Plexigate issues and rotates itself. Pure."""

from dataclasses import dataclass
from datetime import datetime

from proxy.observe.events.event import Event, Level


@dataclass(frozen=True, slots=True)
class RotationBegun(Event):
    """The rotation of a credential begins: a new key and certificate are made."""

    event = "rotation"
    level = Level.INFORMATION

    identity: str
    """Name of the identity."""
    credential: str
    """Name of its credential."""
    reason: str
    """Why now."""

    def sentence(self) -> str:
        return f"rotating the {self.credential} credential of {self.identity}: {self.reason}"


@dataclass(frozen=True, slots=True)
class CredentialRotated(Event):
    """All workers serve the new certificate."""

    event = "rotated"
    level = Level.INFORMATION

    identity: str
    """Name of the identity."""
    credential: str
    """Name of its credential."""
    version: int
    """Version number of the credential in the state directory."""
    not_after: str
    """End of the certificate's validity, RFC 3339 in UTC."""

    def sentence(self) -> str:
        end = datetime.fromisoformat(self.not_after)
        return (
            f"all workers serve the new {self.credential} credential of {self.identity}, "
            f"valid until {end:%Y-%m-%d %H:%M} UTC"
        )


@dataclass(frozen=True, slots=True)
class RotationFailed(Event):
    """A rotation failed. The certificate before stays in use, and the rotation is tried again.

    If `kind` is `permanent`, correct the configuration or the account at the CA, because the same
    request will fail again. The alert `rotation_refused` goes out. Otherwise wait:
    `certificate_urgent` follows if time runs out.
    """

    event = "rotation_failed"
    level = Level.WARNING

    identity: str
    """Name of the identity."""
    credential: str
    """Name of its credential."""
    step: str
    """The step that failed."""
    kind: str
    """`temporary` (tried again soon), `permanent` (tried again seldom) or `rate_limited` (tried
    again when the CA allows it)."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return (
            f"the {self.credential} credential of {self.identity} was not rotated, the previous one stays in use "
            f"({self.step}): {self.detail}"
        )


@dataclass(frozen=True, slots=True)
class RevocationFailed(Event):
    """The CA did not revoke the certificate of a compromised key. Clients still trust it. It is
    tried again, and an alert goes out.

    Check `detail`; if the CA has another way to revoke (a web page, a telephone), use it.
    """

    event = "revocation_failed"
    level = Level.ACTION

    identity: str
    """Name of the identity."""
    credential: str
    """Name of its credential."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the {self.credential} credential of {self.identity}: {self.detail}; it is tried again"


@dataclass(frozen=True, slots=True)
class CertificateUrgent(Event):
    """A certificate should have been replaced, the attempts failed, and little time is left. An
    alert goes out. Repeated every day, every six hours if `grave`, every hour if `expired`.

    Check `detail`, correct it, then `plexigate certs rotate IDENTITY`.
    """

    event = "certificate_urgent"
    level = Level.ACTION

    identity: str
    """Name of the identity."""
    credential: str
    """Name of its credential."""
    urgency: str
    """`late` (a third of the time until the end of its validity is gone), `grave` (two thirds are
    gone) or `expired`."""
    reason: str
    """Why it has to be replaced."""
    detail: str
    """Why the latest attempt failed."""

    def sentence(self) -> str:
        return f"the {self.credential} credential of {self.identity} should have been replaced ({self.urgency}): {self.detail}"


@dataclass(frozen=True, slots=True)
class WindowUnknown(Event):
    """A CA did not say when it wants certificates renewed (ACME Renewal Information). The usual
    date applies."""

    event = "window_unknown"
    level = Level.INFORMATION

    issuer: str
    """Name of the issuer."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"{self.issuer} did not say when it wants certificates renewed: {self.detail}"


@dataclass(frozen=True, slots=True)
class RotationMemoryLost(Event):
    """`rotation.json` in the state directory could not be read or written. After a restart pauses
    between attempts start again.

    Check the permissions and the free space of `rotation.state`.
    """

    event = "rotation_memory_lost"
    level = Level.WARNING

    detail: str
    """Class and message of the error."""

    def sentence(self) -> str:
        return (
            f"rotation.json, which keeps pauses and counts across restarts, could not be read or written: {self.detail}"
        )


@dataclass(frozen=True, slots=True)
class AuthorityNotShared(Event):
    """An internal CA could not be exchanged with the fleet. The node serves as before, and tries
    again. Written once for each reason.

    Check the state directory, and the sealing key.
    """

    event = "authority_not_shared"
    level = Level.WARNING

    issuer: str
    """Issuer."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"issuer {self.issuer} could not be exchanged with the fleet: {self.detail}"


@dataclass(frozen=True, slots=True)
class KeysCleaned(Event):
    """Keys in the state directory were destroyed or retired, an interrupted rotation was undone, or
    that failed.

    Act only if `detail` says that something could not be done; it is tried again.
    """

    event = "keys"
    level = Level.INFORMATION

    detail: str
    """What was done."""

    def sentence(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class ListsPublished(Event):
    """An internal CA has signed new lists of revocations. The listener without TLS shows them."""

    event = "lists_published"
    level = Level.INFORMATION

    issuer: str
    """Name of the CA."""

    def sentence(self) -> str:
        return f"issuer {self.issuer} has renewed its revocation lists"


@dataclass(frozen=True, slots=True)
class ListsUnpublished(Event):
    """An internal CA could not sign its lists of revocations. The lists before are shown.

    It is tried again each minute. The alert `published_list_expiring` follows if time runs out.
    """

    event = "lists_not_published"
    level = Level.WARNING

    issuer: str
    """Name of the CA."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"issuer {self.issuer} could not renew its revocation lists: {self.detail}"


@dataclass(frozen=True, slots=True)
class LogNotRead(Event):
    """A log of `ct.watch` could not be read. It is tried again after `ct.watch_every`.

    Meanwhile certificates that it gets for your names are not found.
    """

    event = "log_not_read"
    level = Level.WARNING

    log: str
    """Its address."""
    detail: str
    """Reason."""

    def sentence(self) -> str:
        return f"the log {self.log} was not read: {self.detail}"


@dataclass(frozen=True, slots=True)
class AcmeProgress(Event):
    """A step with an ACME CA: registered, a challenge is shown, a name is validated, a certificate
    is issued."""

    event = "acme"
    level = Level.INFORMATION

    detail: str
    """Name of the issuer, and the step."""

    def sentence(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class ChallengeAnswered(Event):
    """A client fetched the certificate of a tls-alpn-01 challenge (RFC 8737). It is useful when a
    CA says that it cannot reach a name."""

    event = "challenge_answered"
    level = Level.INFORMATION

    client: str
    """Address of the client: normally the CA."""
    listener: str
    """Name of the listener."""
    name: str
    """The name that is to be validated."""

    def sentence(self) -> str:
        return f"{self.client} fetched the tls-alpn-01 challenge for {self.name}"
