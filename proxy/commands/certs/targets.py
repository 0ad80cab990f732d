"""The target of commands about certificates: the running proxy, or a state directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from config.values.problems import ConfigError, Problem
from proxy.admin.client import AdminRefused, AdminUnreachable, connect
from proxy.api.certificates import CertificateRow, CertificatesDocument, RollbackDocument, RollbackRow, RotationLine
from proxy.commands.terminal.asking import ended
from proxy.commands.terminal.output_file import AlreadyThere

if TYPE_CHECKING:
    from proxy.admin.requests.wishes import RotationWish
    from proxy.rotation.offline import Offline


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """The target that the options of a command choose."""

    config: Path | None
    socket: Path | None
    offline: bool

    def listing(self) -> list[CertificateRow]:
        """Every issued credential. Raises `AdminUnreachable`, `AdminRefused`,
        `ConfigError`, `OSError` or `ShelfDamaged`.
        """
        if self.offline:
            return offline_of(self.config).listing()
        client = connect(self.config, self.socket)
        found: CertificatesDocument = client.agreed(client.get("/certificates"))
        return found["certificates"]

    def names(self) -> list[str]:
        """The identities that have issued credentials."""
        return list(dict.fromkeys(one["identity"] for one in self.listing()))

    def rotate(self, name: str, slot: str | None, wish: "RotationWish") -> Iterator[RotationLine]:
        """Yield the steps as they happen; the last one has `ok`."""
        if self.offline:
            yield from _rotated_offline(offline_of(self.config), name, slot, wish)
            return
        query = wish.query()
        if slot is not None:
            query["credential"] = slot
        yield from connect(self.config, self.socket).steps(f"/certificates/{quote(name, safe='')}/rotate", query)

    def roll_back(self, name: str, slot: str | None) -> list[RollbackRow]:
        if self.offline:
            offline = offline_of(self.config)
            with offline.alone():
                return offline.roll_back(_known(offline, name, slot))
        query = {} if slot is None else {"credential": slot}
        client = connect(self.config, self.socket)
        answer = client.post(f"/certificates/{quote(name, safe='')}/rollback", query)
        # a refusal has results too: they name the credentials that were not rolled back
        document: RollbackDocument = answer[1] if "results" in answer[1] else client.agreed(answer)
        return document["results"]


def offline_of(config: Path | None) -> "Offline":
    """The certificates of a configuration, without a running proxy. Raises `ConfigError`."""
    # imported here: a command that asks the running proxy does not need it
    from proxy.rotation.clocks import CLOCKS
    from proxy.rotation.offline import Offline

    if config is None:
        raise ConfigError(
            [Problem("--offline", "", "no --config", "--offline with --config FILE, which names the state directory")]
        )
    return Offline(config, CLOCKS)


def _rotated_offline(offline: "Offline", name: str, slot: str | None, wish: "RotationWish") -> Iterator[RotationLine]:
    from certs.rotation.attempt import RotationStep

    found = _known(offline, name, slot)
    if wish.is_dry_run:
        for identity, _, shelf in found:
            steps = [step.value for step in RotationStep]
            yield {"identity": identity, "credential": shelf.slot, "would": steps, "reason": wish.reason.value}
        yield {"ok": True}
        return
    is_done = True
    with offline.alone():
        for one in found:
            for step in offline.rotate(one, wish.reason):
                is_done = is_done and step.get("rotated", True)
                yield step
    yield {"ok": is_done}


def _known(offline: "Offline", name: str, slot: str | None) -> list[Any]:
    found = offline.credentials(name, slot)
    if not found:
        raise AdminRefused(404, f"identity {name} has no such certificate that rotates automatically")
    return found


@contextmanager
def said_errors() -> Iterator[None]:
    """Print an expected error as one sentence on standard error, and exit with 1."""
    try:
        yield
    except _expected() as error:
        raise ended(str(error)) from None


def _expected() -> tuple[type[Exception], ...]:
    # imported here: without a failure, a question to the running proxy needs no cryptography
    from certs.files.errors import CredentialError
    from certs.issuing.issuer import IssueFailed
    from certs.keys.home import HomeFailed
    from certs.rotation.checks import ChainUnusable
    from certs.storage.lock import StateInUse
    from certs.storage.shelf import ShelfDamaged

    return (
        *(CredentialError, IssueFailed, HomeFailed, ChainUnusable, StateInUse, ShelfDamaged),
        *(AdminRefused, AdminUnreachable, AlreadyThere, ConfigError, OSError),
    )
