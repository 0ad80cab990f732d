"""An edition: one reading of the configuration and of everything it names.

Editions have numbers. The parent asks all workers to serve by the same one.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from certs.hierarchy.vault import Vault
from certs.identities.client_authorities import fetched_paths
from certs.identities.credential import Credential
from certs.identities.identities import examine_issued
from certs.tokens.used_keys import UsedKey, used_keys
from config.loading.files import files_of
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.loader import read_file, surveyed
from config.schema import Bind, UpstreamConfig
from config.tables.plain import PLAIN_LISTENER
from config.values.problems import ConfigError, Problem
from proxy.building.health import health_checks
from proxy.building.resources import worker_count
from proxy.net.in_thread import in_thread
from proxy.payload.keys.keyring import Keyring
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.material import Material
from proxy.processes.messages.questions import Prepare, ToldToken
from proxy.processes.privileges import ProcessAccount
from proxy.quic.availability import unavailable
from proxy.supervisor.editions.facts import credentials_of, gathered
from proxy.supervisor.editions.identities import EditionIdentities
from proxy.supervisor.editions.issued import issued_material
from proxy.supervisor.editions.judge import judge
from proxy.supervisor.secrets.payload_store import payload_keys
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.supervisor.secrets.state_locks import lock_problems
from proxy.tls.openssl.libssl import LibsslError
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.upstream.health.checks import HealthCheck


class StillShut(Exception):
    """The keys that were sealed before are all sealed still."""


_OF_SECRETS: Final = frozenset({"hsm", "sealing"})


@dataclass(frozen=True, slots=True)
class Edition:
    """Everything that the parent read. It passes this on to the workers, which build from it."""

    number: int
    content: bytes = field(repr=False)
    loaded: LoadedConfig
    material: Material
    made: Material
    """The part of the material that files do not have in this form.

    It is the keys that are sealed at rest, the credentials that the rotation has issued, and the
    revocation lists that were fetched since the reading.
    """
    tickets: TicketSecrets
    account: ProcessAccount | None
    warnings: Sequence[Problem]
    identities: EditionIdentities
    checks: Sequence[HealthCheck]
    payload: PayloadKeys
    read_at: datetime
    """The time by which certificates are judged.

    A worker that joins weeks later uses it too, and so accepts what has expired since.
    """

    @property
    def worker_count(self) -> int:
        return worker_count(self.loaded.config)

    @property
    def binds(self) -> Mapping[str, Sequence[Bind]]:
        """The addresses of each listener, also of the listener without TLS."""
        config = self.loaded.config
        bind = config.plain.bind
        plain = {PLAIN_LISTENER: bind} if bind else {}
        return {**{name: settings.bind for name, settings in config.listener.items()}, **plain}

    @property
    def with_http3(self) -> frozenset[str]:
        """The listeners that have UDP sockets as well."""
        wanting = frozenset(name for name, settings in self.loaded.config.listener.items() if settings.http3)
        return wanting if wanting and unavailable() is None else frozenset()

    @property
    def servers(self) -> Mapping[tuple[str, str], bool]:
        """Every server of every upstream, and whether it is checked."""
        return {
            (name, str(server.address)): settings.health is not None
            for name, settings in self.loaded.config.all_upstreams.items()
            for server in settings.servers
        }

    def credentials(self, identity: str) -> tuple[Credential, ...]:
        """The credentials of an identity. May take long."""
        return credentials_of(self.loaded, self.material, self.read_at).identities[identity]

    def used_keys(self) -> tuple[UsedKey, ...]:
        """The keys in tokens that it uses, and those that rotations have made. May take long."""
        config = self.loaded.config
        return used_keys(self.loaded.file, config.rotation.state, config.sealing, self.loaded.document)

    def located(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        return tuple(map(self.loaded.file.positions.located, problems))

    def with_tickets(self, number: int, tickets: TicketSecrets) -> "Edition":
        """The same files with other ticket secrets."""
        return replace(self, number=number, tickets=tickets)

    def with_issued(self, number: int, new: Material) -> "Edition":
        """The same files, with a new chain and key of a credential or several.

        Raises `ConfigError`.
        """
        with new.as_files() as files:
            # Checked here, because a reload accepts an issued credential that cannot be used and
            # continues without it: its rotation will replace it.
            paths = [files[path] for path in sorted(files)]  # as the store names them: chain, key, chain, key
            errors = [
                error
                for chain, key in zip(paths[::2], paths[1::2], strict=True)
                for error in examine_issued(self.loaded.file, self.loaded.config.hsm, chain, key, self.read_at).errors
            ]
        if errors:
            raise ConfigError(
                [self.loaded.file.error((), str(error), "a chain and a key that fit") for error in errors]
            )
        return self.with_made(number, new)

    def unsealed(self, number: int, safe: Safe) -> "Edition":
        """The same files, with the keys that can be unsealed now. May take long.

        Raises `StillShut` if no further key could be unsealed, or `ConfigError`.
        """
        issued, _ = issued_material(self.loaded, safe.vault(self.loaded))
        edition = self.with_made(number, Material({**Material.of_keys(safe.open_keys(self.loaded)), **issued}))
        if not edition.identities.shut < self.identities.shut:
            raise StillShut
        return edition

    def with_made(self, number: int, new: Material) -> "Edition":
        """The same files, with others of `made`. May take long."""
        made = Material({**self.made, **new})
        material = Material({**self.material, **new})
        credentials = credentials_of(self.loaded, made, self.read_at)
        return replace(
            self,
            number=number,
            material=material,
            made=made,
            identities=EditionIdentities.of(self.loaded, material, credentials),
        )

    def with_payload(self, number: int, payload: PayloadKeys) -> "Edition":
        """The same files with other keys of payload encryption."""
        return replace(self, number=number, payload=payload)

    def question(
        self,
        unusable_tokens: Mapping[str, ToldToken] = MappingProxyType({}),
        silent_slots: Collection[int] = (),
        *,
        has_served: bool = False,
    ) -> Prepare:
        """The question that asks a worker to prepare. The worker leaves `unusable_tokens` and
        `silent_slots` alone.

        The material goes beside the question, in a memory file.
        """
        return Prepare(
            number=self.number,
            path=str(self.loaded.file.path),
            document=self.loaded.document,
            read_at=self.read_at,
            tickets=self.tickets,
            unusable_tokens=unusable_tokens,
            silent_slots=tuple(silent_slots),
            has_served=has_served,
            payload=self.payload,
        )


def read_edition(
    path: Path,
    number: int,
    tickets: TicketSecrets,
    now: datetime,
    safe: Safe | None = None,
    rings: Mapping[str, Keyring] | None = None,
) -> Edition:
    """Read and judge a configuration with all of its files. May take long.

    `safe` unseals private keys. If it is None, the configuration must have no sealed key. `rings`
    are the rings of payload encryption that the parent knows already. Other rings are read from the
    store. Raises `ConfigError` with every problem.
    """

    def take(loaded: LoadedConfig, vault: Vault | None) -> tuple[PayloadKeys, Sequence[Problem]]:
        if safe is not None:
            safe.locks.take(loaded)
        return payload_keys(loaded, rings or {}, now.timestamp(), vault)

    return _read(path, number, tickets, now, safe, take)


def _read(
    path: Path,
    number: int,
    tickets: TicketSecrets,
    now: datetime,
    safe: Safe | None,
    take: Callable[[LoadedConfig, Vault | None], tuple[PayloadKeys, Sequence[Problem]]],
) -> Edition:
    """The same; `take` uses the state of a configuration that can be used, and reads its rings."""
    content = read_file(path)
    found = surveyed(content, path)
    loaded = found.loaded
    # with a fault in one of these tables nothing may be opened: by which key, and with which PIN?
    if loaded is None or any(one.is_error and one.key.partition(".")[0] in _OF_SECRETS for one in found.problems):
        raise ConfigError(found.problems)

    def vault() -> Vault | None:
        return None if safe is None else safe.vault(loaded)

    facts = gathered(loaded, now, vault)
    problems = judge(loaded, facts).accepted().problems
    material = Material.read([*(file.path for file in files_of(loaded)), *fetched_paths(loaded)])
    material.update(facts.made)
    payload, notes = take(loaded, vault())
    return Edition(
        number=number,
        content=content,
        loaded=loaded,
        material=material,
        tickets=tickets,
        account=facts.account,
        warnings=tuple(dict.fromkeys([*problems, *notes])),
        made=facts.made,
        identities=EditionIdentities.of(loaded, material, facts.credentials),
        checks=_checks(loaded.file, loaded.config.upstream),
        payload=payload,
        read_at=now,
    )


async def reread_edition(
    loop: asyncio.AbstractEventLoop,
    served: Edition,
    number: int,
    safe: Safe,
    begin: Callable[[], None],
    *,
    dry_run: bool = False,
) -> Edition:
    """Read the files of `served` again, in a thread, because a file may hang.

    The thread calls `begin` first. A dry run makes no file and no directory: it looks whether the
    state could be used, and rings that are not there yet live in memory alone. Raises
    `ConfigError`.
    """
    file = served.loaded.file.path
    tickets = served.tickets
    seconds = served.loaded.config.reload_seconds
    rings = served.payload.rings

    def read() -> Edition:
        begin()
        now = now_in_utc()

        def look(loaded: LoadedConfig, vault: Vault | None) -> tuple[PayloadKeys, Sequence[Problem]]:
            if problems := [*lock_problems(loaded)]:
                raise ConfigError(problems)
            return payload_keys(loaded, rings, now.timestamp(), vault, makes=False)

        try:
            if dry_run:
                edition = _read(file, number, tickets, now, safe, look)
            else:
                edition = read_edition(file, number, tickets, now, safe, rings)
        except ConfigError as error:
            raise ConfigError(_not_said_before(error.problems)) from None
        edition = replace(edition, warnings=_not_said_before(edition.warnings))
        if lost := sorted(edition.identities.shut - served.identities.shut):
            found = f"one with which keys of {', '.join(lost)} do not open, which are served by what is open now"
            allowed = "a sealing key that answers, and has sealed them"
            raise ConfigError([*edition.warnings, edition.loaded.file.error(("sealing", "key"), found, allowed)])
        return edition

    try:
        async with asyncio.timeout(seconds):
            return await in_thread(loop, read)
    except TimeoutError:
        found = f"a file that could not be read within {seconds:g} s (reload_timeout)"
        raise ConfigError(
            [Problem(str(file), "", found, "files that answer: no pipes, no dead network shares")]
        ) from None


def _not_said_before(problems: Sequence[Problem]) -> Sequence[Problem]:
    """Leave out the warning about the workers' user, which a reload cannot change."""
    return [one for one in problems if one.is_error or one.key != "user"]


def _checks(file: ConfigFile, upstreams: Mapping[str, UpstreamConfig]) -> Sequence[HealthCheck]:
    try:
        return health_checks(file, upstreams)
    except (ssl.SSLError, OSError, LibsslError) as error:
        found = f"TLS settings of an upstream that OpenSSL does not take: {error}"
        raise ConfigError([file.error(("upstream",), found, "PEM files")]) from None
