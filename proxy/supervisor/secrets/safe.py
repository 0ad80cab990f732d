"""What the parent keeps sealed on disk: private keys, and the secret of session tickets.

Methods that open or seal wait for the token of the sealing key, up to its deadlines. Call them in a
thread, or before the loop begins.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from certs.files.directory import make_directories
from certs.hierarchy.configured import directory_of, opened_keys, vault_of
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.errors import SealingError
from certs.sealing.files import SealedFileUnusable, read_sealed, write_sealed
from certs.sealing.master import Place, place_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.values.problems import Problem
from proxy.supervisor.secrets.audit_trail import AuditTrail
from proxy.supervisor.secrets.state_locks import StateLocks
from proxy.supervisor.secrets.ticket_record import NoTicketRecord, TicketRecord, resumed
from proxy.tls.openssl.tickets import TicketSecrets

TICKETS_FILE: Final = "tickets.sealed"
_LABEL: Final = Purpose.TICKET_KEYS.label("session tickets")
_HOUR: Final = timedelta(hours=1)


class Safe:
    """The only safe of the process. `since` is when the present secret of tickets began to seal."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """The other methods open files. `trail` gets every use of the sealing key.

        `locks` are those of the directories of state.
        """
        self._clock = clock
        self.trail: Final = AuditTrail(clock)
        self.locks: Final = StateLocks()
        self._place: Place | None = None
        self._vault: Vault | None = None
        self.since = clock()

    def open_keys(self, loaded: LoadedConfig) -> dict[Path, bytes]:
        """The content of each sealed private key, by its path. Raises `ConfigError`."""
        return opened_keys(loaded, self.vault(loaded))

    def vault(self, loaded: LoadedConfig) -> Vault | None:
        """The vault of this configuration. Raises `ConfigError`.

        It is the same object as before while the sealing key is the same.
        """
        place = place_of(loaded.file, loaded.config.sealing, loaded.config.hsm)
        if place != self._place:
            self._vault = vault_of(loaded, self._clock, self.trail.operation)
            self._place = place
        return self._vault

    def look(self, loaded: LoadedConfig) -> None:
        """Check that keys of credentials can be opened. Raises `SealingError` or `ConfigError`."""
        vault = self.vault(loaded)
        if vault is not None:
            _ = vault.sealer(Purpose.CREDENTIAL_KEY).key_id

    def tickets(self, loaded: LoadedConfig) -> tuple[TicketSecrets, list[Problem]]:
        """The ticket secrets to begin with, and why the kept ones could not be used.

        They are those of the previous process if these may live on.
        """
        now = self._clock()
        age = loaded.config.limits.tls_ticket_rotation_hours * _HOUR
        vault = self.vault(loaded)
        record = None
        try:
            if vault is not None:
                content = read_sealed(
                    directory_of(loaded.file, loaded.config.sealing) / TICKETS_FILE,
                    _LABEL,
                    vault.sealer(Purpose.TICKET_KEYS),
                )
                record = TicketRecord.parse(content)
        except FileNotFoundError:
            pass
        except (SealedFileUnusable, SealingError, NoTicketRecord) as error:
            return self._begin(TicketRecord(TicketSecrets.fresh(), now)), [_lost(loaded.file, str(error))]
        new = resumed(record, TicketSecrets.fresh().current, now, age)
        try:
            if new != record:
                self.keep(loaded, new.secrets, new.since)
        except (SealedFileUnusable, OSError) as error:
            return self._begin(new), [_lost(loaded.file, str(error))]
        return self._begin(new), []

    def keep(self, loaded: LoadedConfig, secrets: TicketSecrets, since: datetime) -> None:
        """Seal the secrets, if there is a key. Raises `SealedFileUnusable` and `OSError`."""
        vault = self.vault(loaded)
        if vault is not None:
            directory = directory_of(loaded.file, loaded.config.sealing)
            make_directories(directory)
            content = TicketRecord(secrets, since).encode()
            write_sealed(directory / TICKETS_FILE, content, _LABEL, vault.sealer(Purpose.TICKET_KEYS))

    def seconds_to_rotation(self, hours: float) -> float:
        """How long the present secret of tickets may still seal."""
        left = self.since + hours * _HOUR - self._clock()
        return min(max(left.total_seconds(), 0.0), hours * _HOUR.total_seconds())

    def _begin(self, record: TicketRecord) -> TicketSecrets:
        self.since = record.since
        return record.secrets


def _lost(file: ConfigFile, found: str) -> Problem:
    better = "a sealing key that works: session tickets do not survive this process"
    return file.warning(("sealing", "key"), found, better)


def now_in_utc() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a driver
