"""What rotations need around them: a state directory, an internal CA that can be made to fail, clocks that stand, a proxy that swaps."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from certs.issuing.issuer import Issued, IssueFailed, Issuer, IssueRequest, RenewalWindow
from certs.keys.home import KeyHome
from certs.keys.signing_key import KeyAlgorithm
from certs.rotation.attempt import Attempt, Task
from certs.rotation.due import RenewalReason
from certs.rotation.facts import leaf_of
from certs.rotation.parts import Parts, parts_of
from certs.storage.disk import Disk
from certs.storage.served import ServedFile
from certs.storage.shelf import Shelf, StoredVersion, retirement
from config.loading.loader import accepted, read_file
from config.tables.rotation import IssuedCredential
from config.values.problems import ConfigError, Problem
from proxy.observe.events.event import Event
from proxy.rotation.clocks import Clocks
from tests.certs.authority import NOW
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, process

REFUSED = ConfigError([Problem("f", "identity", "a swap that goes wrong", "another one")])


def configuration(
    *keys: str, issuer: str = "", rotation: str = "", names: str = '"chat.test"', further: str = ""
) -> str:
    """A file whose identity chat has issued credentials with these keys."""
    credentials = "".join(
        f'[[identity.chat.credential]]\nkey = "{key}"\nissuer = "internal"\n' for key in keys or ("ec-p256@file",)
    )
    return (
        f"{MINIMAL_LISTENER}[identity.chat]\nnames = [{names}]\n{credentials}"
        f'[issuer.internal]\ntype = "internal"\n{issuer}\n[rotation]\nstate = "state"\n{rotation}\n{further}\n{MINIMAL_REST}'
    )


@dataclass
class Time:
    """Clocks that stand until they are set."""

    now: datetime = NOW
    ticks: float = 1_000.0

    @property
    def clocks(self) -> Clocks:
        """As the rotation has them."""
        return Clocks(lambda: self.now, lambda: self.ticks, lambda: 0.5)

    def passes(self, span: timedelta) -> None:
        """Both clocks go forward."""
        self.now += span
        self.ticks += span.total_seconds()


@dataclass
class Moody:
    """An `Issuer` in front of another one; `failures` are what its next answers are instead (None: the other one's)."""

    issuer: Issuer
    failures: list[IssueFailed | None] = field(default_factory=list)
    asked: list[IssueRequest] = field(default_factory=list)
    window: RenewalWindow | None = None
    windows_asked: int = 0
    revoked: list[int] = field(default_factory=list)
    revocation: IssueFailed | None = None
    chain: bytes | None = None
    """What it answers whatever it is asked for."""
    before: Callable[[], object] = lambda: None
    """Is called before each answer."""
    trusts_system: bool = False
    """Whether its chains have to end in what the system trusts."""

    @property
    def name(self) -> str:
        return self.issuer.name

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return () if self.trusts_system else self.issuer.roots

    def signs(self, algorithm: KeyAlgorithm) -> bool:
        return self.issuer.signs(algorithm)

    def issue(self, request: IssueRequest) -> Issued:
        self.asked.append(request)
        self.before()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return self.issuer.issue(request) if self.chain is None else Issued(self.chain)

    def renewal_window(self, _leaf: x509.Certificate) -> RenewalWindow | None:
        self.windows_asked += 1
        return self.window

    def revoke(self, leaf: x509.Certificate) -> None:
        if self.revocation is not None:
            raise self.revocation
        self.revoked.append(leaf.serial_number)


@dataclass
class Owner:
    """A proxy that swaps at once, and notes what it is told; `error` is what the next swap fails with."""

    swaps: list[Mapping[Path, ServedFile]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    error: ConfigError | None = None
    gate: asyncio.Event | None = None
    """Closed while the workers prepare."""

    async def swap_issued(self, files: Mapping[Path, ServedFile], decide: Callable[[], None]) -> None:
        """All workers say yes, or one does not."""
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        decide()
        self.swaps.append(files)

    def tell(self, event: Event) -> None:
        """Note the event."""
        self.events.append(event.as_json())

    def told(self, name: str) -> list[dict[str, Any]]:
        """The events of one name."""
        return [event for event in self.events if event["event"] == name]


@dataclass
class Rotations:
    """A directory with a configuration, and the parts that it makes."""

    directory: Path
    text: str = field(default_factory=configuration)
    time: Time = field(default_factory=Time)
    owner: Owner = field(default_factory=Owner)
    homes: dict[str, KeyHome] = field(default_factory=dict)
    """Beside those of the configuration."""
    disk: Disk | None = None
    workers: int = 1
    moody: Moody = field(init=False)
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        """Read the configuration."""
        self.directory.mkdir(exist_ok=True)
        self.follow(self.text)

    @property
    def file(self) -> Path:
        """The configuration."""
        return self.directory / "plexigate.toml"

    def follow(self, text: str) -> None:
        """Go on by another configuration, as after a reload."""
        self.text = text
        self.file.write_text(process(self.directory / "admin.sock", self.workers) + text)
        made = parts_of(accepted(read_file(self.file), self.file), lambda: self.time.now, self.disk)
        assert made is not None
        before = getattr(self, "moody", None)
        self.moody = (
            Moody(made.issuers["internal"]) if before is None else replace(before, issuer=made.issuers["internal"])
        )
        self.parts = replace(made, homes={**made.homes, **self.homes}, issuers={"internal": self.moody})

    def shelf(self, slot: str = "ec", identity: str = "chat") -> Shelf:
        """The shelf of a credential."""
        return self.parts.store.shelf(identity, slot)

    @property
    def asked(self) -> IssuedCredential:
        """The first credential."""
        return next(one for _, one in self.parts.credentials())

    def task(self, reason: RenewalReason = RenewalReason.COMMAND, slot: str | None = None) -> Task:
        """The rotation of the first credential, or that of this kind."""
        name, asked = next((name, one) for name, one in self.parts.credentials() if slot in {None, one.slot})
        names = self.parts.loaded.config.identity[name].names
        return Task(self.shelf(asked.slot), asked.key, names, self.moody, asked.settings.profile, reason)

    def stored(self, reason: RenewalReason = RenewalReason.FIRST, slot: str | None = None) -> StoredVersion:
        """A new version that does not serve yet."""
        attempt = Attempt(self.task(reason, slot), self.parts.homes, lambda: self.time.now)
        attempt.make_key()
        issued = attempt.issue()
        attempt.check(issued)
        return attempt.store(issued)

    def serve(self, reason: RenewalReason = RenewalReason.FIRST, slot: str | None = None) -> StoredVersion:
        """A new version that serves; the one before is retired."""
        task = self.task(reason, slot)
        version = self.stored(reason, slot)
        grace, compromised = self.parts.loaded.config.rotation.grace, reason is RenewalReason.COMPROMISED
        retired = retirement(self.time.now, grace, reason.value, is_compromised=compromised)
        task.shelf.serve(version.number, retired)
        return version

    @property
    def serial(self) -> int:
        """Of what serves."""
        version = self.shelf(self.asked.slot).current()
        assert version is not None
        return leaf_of(version).serial_number
