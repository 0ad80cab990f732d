"""An issuer in front of a CA of our own, with a clock that the test moves and a solver that remembers what it showed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from certs.acme.challenges.proofs import PresentingFailed, Proof
from certs.acme.challenges.silences import Silences
from certs.acme.client.accounts import FileAccountStore
from certs.acme.client.session import Binding
from certs.acme.client.sign_in import Membership
from certs.acme.issuer import AcmeIssuer, AcmeSettings, Surroundings
from certs.acme.timeouts import AcmeClocks, AcmeTimeouts
from config.tables.issuers import AcmeChallenge
from tests.acme_directory import NOW, AcmeDirectory, acme_directory

PATIENCE = AcmeTimeouts(call=20.0, validation=60.0, issuance=60.0, least_pause=1.0, longest_pause=30.0)


@dataclass
class FakeTime:
    """Passes only when somebody waits."""

    passed: float = 0.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """UTC."""
        return NOW + timedelta(seconds=self.passed)

    def wait(self, seconds: float) -> None:
        """Let some pass."""
        assert seconds > 0
        self.waits.append(seconds)
        self.passed += seconds

    @property
    def clocks(self) -> AcmeClocks:
        """For those who take them."""
        return AcmeClocks(self.now, lambda: self.passed, self.wait)


@dataclass
class RememberingSolver:
    """Shows proofs to the test; `shown` are those that a CA would find now."""

    shown: dict[str, Proof] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    fails_for: set[str] = field(default_factory=set)
    keeps: set[str] = field(default_factory=set)

    def present(self, proof: Proof) -> None:
        """Show it."""
        if proof.name in self.fails_for:
            raise PresentingFailed("nobody is there to show it")
        self.log.append(("present", proof.name))
        self.shown[proof.token] = proof

    def withdraw(self, proof: Proof) -> None:
        """Take it back."""
        self.log.append(("withdraw", proof.name))
        if self.shown.pop(proof.token, None) is None:
            raise PresentingFailed("it was not shown")
        if proof.name in self.keeps:
            raise PresentingFailed("it stays")

    def look(self, kind: str, name: str, authorization: str) -> dict[str, Any] | None:
        """What a CA finds."""
        proof = self.shown.get(authorization.partition(".")[0])
        if proof is None or (proof.kind, proof.name, proof.key_authorization) != (kind, name, authorization):
            return {"type": "urn:ietf:params:acme:error:incorrectResponse", "detail": "not what was expected"}
        return None


@dataclass
class Scene:
    """A CA and how we come to it."""

    ca: AcmeDirectory
    directory: Path
    time: FakeTime = field(default_factory=FakeTime)
    solver: RememberingSolver = field(default_factory=RememberingSolver)
    told: list[str] = field(default_factory=list)
    silences: Silences = field(default_factory=Silences)
    binding: Binding | None = None
    kind: AcmeChallenge = AcmeChallenge.TLS_ALPN_01
    profile: str | None = None
    patience: AcmeTimeouts = PATIENCE

    @property
    def membership(self) -> Membership:
        """Who we are."""
        return Membership(self.ca.url, ("ops@example.org",), lambda: self.binding)

    @property
    def store(self) -> FileAccountStore:
        """Where accounts rest."""
        return FileAccountStore(self.directory / "accounts")

    def issuer(self, name: str = "ca") -> AcmeIssuer:
        """A new one, as after a reload."""
        settings = AcmeSettings(self.membership, self.kind, self.profile, self.ca.trust)
        around = Surroundings(self.store, self.solver, self.told.append, self.silences, self.time.clocks, self.patience)
        return AcmeIssuer(name, settings, around)


@contextmanager
def scene(directory: Path, **settings: Any) -> Iterator[Scene]:
    """Run a CA that looks at what our solver shows."""
    with acme_directory(directory, **settings) as ca:
        made = Scene(ca, directory)
        ca.look = made.solver.look
        yield made
    assert made.solver.shown == {}, "a proof was left behind"
