"""One reading of the configuration and of everything it names, numbered: what all workers are asked to serve by."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from certs.credential import examine
from certs.identities import LoadedCredentials, load_credentials
from config.files import files_of
from config.loaded import LoadedConfig
from config.loader import accepted, read_file
from config.problems import ConfigError, Problem
from config.schema import Bind
from proxy.building.health import health_checks
from proxy.building.resources import worker_count
from proxy.observe.scrape import CertificateFacts
from proxy.supervisor.issued import issued_material, with_files
from proxy.supervisor.material import Material
from proxy.supervisor.privileges import Account, account_of
from proxy.supervisor.questions import tickets_as_json
from proxy.tls.libssl import LibsslError
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.health import HealthCheck


@dataclass(frozen=True, slots=True)
class Edition:
    """Everything that the parent read; it hands this on and builds nothing of it."""

    number: int
    content: bytes = field(repr=False)
    loaded: LoadedConfig
    material: Material
    tickets: TicketSecrets
    account: Account | None
    warnings: Sequence[Problem]
    certificates: Sequence[CertificateFacts]
    checks: Sequence[HealthCheck]
    issued: Material
    """The part of the material that comes from the store of issued credentials."""
    read_at: datetime
    """When it was judged: a worker that is replaced weeks later must not refuse what has expired meanwhile."""

    @property
    def worker_count(self) -> int:
        """How many workers serve by it."""
        return worker_count(self.loaded.config)

    @property
    def binds(self) -> Mapping[str, Sequence[Bind]]:
        """The addresses of each listener."""
        return {name: settings.bind for name, settings in self.loaded.config.listener.items()}

    @property
    def servers(self) -> Mapping[tuple[str, str], bool]:
        """Every server of every upstream, and whether it is checked."""
        return {
            (name, str(server.address)): settings.health is not None
            for name, settings in self.loaded.config.upstream.items()
            for server in settings.servers
        }

    def with_tickets(self, number: int, tickets: TicketSecrets) -> "Edition":
        """The same files under other ticket secrets."""
        return replace(self, number=number, tickets=tickets)

    def with_issued(self, number: int, new: Material) -> "Edition":
        """The same files, and another version of one issued credential: its chain and its key. Raises `ConfigError`."""
        issued = Material({**self.issued, **new})
        with new.as_files() as files:
            # here, because a reload lets an issued credential be missing that cannot be used: its rotation is to mend that
            chain, key = (files[path] for path in sorted(files))  # as the store names them
            errors = examine(chain, key, None).errors
        if errors:
            raise ConfigError([self.loaded.error((), str(error), "a chain and a key that fit") for error in errors])
        credentials = _credentials(self.loaded, issued, self.read_at)
        return replace(
            self,
            number=number,
            material=Material({**self.material, **new}),
            issued=issued,
            certificates=_facts(credentials),
        )

    def question(self) -> dict[str, Any]:
        """The body of a worker's `prepare`; the material goes beside it, in a memory file."""
        return {
            "number": self.number,
            "path": str(self.loaded.path),
            "content": self.content.decode(),
            "read_at": self.read_at.isoformat(),
            "tickets": tickets_as_json(self.tickets),
        }


def read_edition(path: Path, number: int, tickets: TicketSecrets, now: datetime) -> Edition:
    """Read and judge a configuration with all of its files; may take long. Raises `ConfigError` with every problem."""
    content = read_file(path)
    loaded = accepted(content, path)
    issued, faults = issued_material(loaded)
    credentials = _credentials(loaded, issued, now)
    account, doubts = account_of(loaded)
    problems = [*loaded.warnings, *faults, *credentials.problems, *doubts]
    if any(problem.is_error for problem in problems):
        raise ConfigError(problems)
    material = Material.read(file.path for file in files_of(loaded))
    material.update(issued)
    return Edition(
        number=number,
        content=content,
        loaded=loaded,
        material=material,
        tickets=tickets,
        account=account,
        warnings=problems,
        certificates=_facts(credentials),
        issued=issued,
        checks=_checks(loaded),
        read_at=now,
    )


def _credentials(loaded: LoadedConfig, issued: Material, now: datetime) -> LoadedCredentials:
    with issued.as_files() as files:
        return load_credentials(with_files(loaded, files), now)


def _facts(credentials: LoadedCredentials) -> list[CertificateFacts]:
    return [
        CertificateFacts(name, str(one.algorithm), one.names, one.not_after.timestamp())
        for name, of_identity in credentials.identities.items()
        for one in of_identity
    ]


def _checks(loaded: LoadedConfig) -> Sequence[HealthCheck]:
    try:
        return health_checks(loaded)
    except (ssl.SSLError, OSError, LibsslError) as error:
        found = f"TLS settings of an upstream that OpenSSL does not take: {error}"
        raise ConfigError([loaded.error(("upstream",), found, "PEM files")]) from None
