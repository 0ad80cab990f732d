"""An edition: one reading of the configuration and of everything it names.

Editions have numbers. The parent asks all workers to serve by the same one.
"""

import asyncio
import ssl
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.hashes import SHA256

from certs.hierarchy.configured import key_in_file_warnings
from certs.identities.chain import signature_name
from certs.identities.credential import Credential
from certs.identities.identities import LoadedCredentials, examine_issued, load_credentials
from certs.keys.pkcs11 import Pkcs11Key
from certs.keys.signing_key import KeyFamily
from certs.tokens.token_use import KeyPlace, TokenUse, identities_in_tokens, token_uses
from certs.tokens.used_keys import UsedKey, used_keys
from config.files import files_of
from config.loaded import ConfigFile, LoadedConfig
from config.loader import accepted, read_file
from config.plain import PLAIN_LISTENER
from config.problems import ConfigError, Problem
from config.schema import Bind, CredentialConfig, IdentityConfig, UpstreamConfig
from proxy.admin.listening import socket_problems
from proxy.building.health import health_checks
from proxy.building.places import place_problems
from proxy.building.resources import worker_count
from proxy.net.in_thread import in_thread
from proxy.observe.scrape import CertificateFacts, RevocationFacts
from proxy.payload.keyring import Keyring
from proxy.payload.keys import PayloadKeys
from proxy.processes.material import Material
from proxy.processes.messages.questions import Prepare, ToldToken
from proxy.processes.privileges import ProcessAccount, account_of
from proxy.supervisor.alerts.settings import program_problems
from proxy.supervisor.editions.issued import issued_material, shut_identities, with_files
from proxy.supervisor.secrets.payload_store import payload_keys, store_problems
from proxy.supervisor.secrets.safe import Safe, now_in_utc
from proxy.tls.libssl import LibsslError
from proxy.tls.tickets import TicketSecrets
from proxy.upstream.health import HealthCheck


class StillShut(Exception):
    """The keys that were sealed before are all sealed still."""


@dataclass(frozen=True, slots=True)
class Edition:
    """Everything that the parent read. It passes this on to the workers, which build from it."""

    number: int
    content: bytes = field(repr=False)
    loaded: LoadedConfig
    material: Material
    made: Material
    """The part of the material that files do not have in this form.

    It is the keys that are sealed at rest, and the credentials that the rotation has issued.
    """
    tickets: TicketSecrets
    account: ProcessAccount | None
    warnings: Sequence[Problem]
    certificates: Sequence[CertificateFacts]
    checks: Sequence[HealthCheck]
    tokens: Sequence[TokenUse]
    identities_in_tokens: Mapping[str, frozenset[KeyPlace]]
    """The identities without a key in a file, and the keys in tokens that sign for them."""
    payload: PayloadKeys
    read_at: datetime
    """The time by which certificates are judged.

    A worker that joins weeks later uses it too, and so accepts what has expired since.
    """
    shut: frozenset[str] = frozenset()
    """Identities with a key that is still sealed, because the sealing key is away."""
    revocations: Sequence[RevocationFacts] = ()
    """The lists by which identities judge their clients."""
    dark: frozenset[str] = frozenset()
    """The identities of `shut` that have no other credential which a usual client accepts."""

    @property
    def worker_count(self) -> int:
        """How many workers serve by this edition."""
        return worker_count(self.loaded.config)

    @property
    def binds(self) -> Mapping[str, Sequence[Bind]]:
        """The addresses of each listener, also of the listener without TLS."""
        config = self.loaded.config
        bind = config.plain_listener.bind
        plain = {PLAIN_LISTENER: bind} if bind else {}
        return {**{name: settings.bind for name, settings in config.listener.items()}, **plain}

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
        with self.material.as_files() as files:
            return load_credentials(with_files(self.loaded, files), self.read_at).identities[identity]

    def used_keys(self) -> tuple[UsedKey, ...]:
        """The keys in tokens that it uses, and those that rotations have made. May take long."""
        config = self.loaded.config
        return used_keys(self.loaded.file, config.rotation.state, config.sealing, tomllib.loads(self.content.decode()))

    def with_tickets(self, number: int, tickets: TicketSecrets) -> "Edition":
        """The same files with other ticket secrets."""
        return replace(self, number=number, tickets=tickets)

    def with_issued(self, number: int, new: Material) -> "Edition":
        """The same files, with a new chain and key of one credential. Raises `ConfigError`."""
        with new.as_files() as files:
            # Checked here, because a reload accepts an issued credential that cannot be used and
            # goes on without it: its rotation will replace it.
            chain, key = (files[path] for path in sorted(files))  # as the store names them
            errors = examine_issued(self.loaded.file, self.loaded.config.hsm, chain, key, self.read_at).errors
        if errors:
            raise ConfigError(
                [self.loaded.file.error((), str(error), "a chain and a key that fit") for error in errors]
            )
        return self._with_made(number, new)

    def unsealed(self, number: int, safe: Safe) -> "Edition":
        """The same files, with the keys that can be unsealed now. May take long.

        Raises `StillShut` if no further key could be unsealed, or `ConfigError`.
        """
        issued, _ = issued_material(self.loaded, safe.vault(self.loaded))
        edition = self._with_made(number, Material({**Material.of_keys(safe.open_keys(self.loaded)), **issued}))
        if not edition.shut < self.shut:
            raise StillShut
        return edition

    def _with_made(self, number: int, new: Material) -> "Edition":
        made, material = Material({**self.made, **new}), Material({**self.material, **new})
        credentials = _credentials(self.loaded, made, self.read_at)
        shut = shut_identities(self.loaded, material)
        return replace(
            self,
            number=number,
            material=material,
            made=made,
            certificates=_facts(self.loaded.file, self.loaded.config.identity, credentials),
            tokens=token_uses(self.loaded.file, self.loaded.config.hsm, credentials.identities, credentials.pins),
            identities_in_tokens=identities_in_tokens(credentials.identities),
            shut=shut,
            dark=_dark(shut, credentials),
        )

    def with_payload(self, number: int, payload: PayloadKeys) -> "Edition":
        """The same files with other keys of payload encryption."""
        return replace(self, number=number, payload=payload)

    def question(
        self, closed_tokens: Mapping[str, ToldToken] = MappingProxyType({}), *, has_served: bool = False
    ) -> Prepare:
        """The question that asks a worker to prepare. The worker leaves `closed_tokens` alone.

        The material goes beside the question, in a memory file.
        """
        return Prepare(
            number=self.number,
            path=str(self.loaded.file.path),
            content=self.content.decode(),
            read_at=self.read_at,
            tickets=self.tickets,
            closed_tokens=closed_tokens,
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
    content = read_file(path)
    loaded = accepted(content, path)
    issued, faults = issued_material(loaded, None if safe is None else safe.vault(loaded))
    opened = Material() if safe is None else Material.of_keys(safe.open_keys(loaded))
    made = Material({**opened, **issued})
    credentials = _credentials(loaded, made, now)
    account, doubts = account_of(loaded)
    doubts = [*doubts, *place_problems(loaded, account), *socket_problems(loaded)]
    doubts += program_problems(loaded)
    problems = [
        *loaded.warnings,
        *key_in_file_warnings(loaded.file, loaded.config.sealing),
        *faults,
        *credentials.problems,
        *doubts,
    ]
    if rings is not None:  # they are not read again here, but the next start must be able to
        vault = None if safe is None else safe.vault(loaded)
        problems += [one for one in store_problems(loaded, vault) if one.is_error]
    if any(problem.is_error for problem in problems):
        raise ConfigError(problems)
    material = Material.read(file.path for file in files_of(loaded))
    material.update(made)
    shut = shut_identities(loaded, material)
    if safe is not None:
        safe.locks.take(loaded)
    payload, notes = payload_keys(loaded, rings or {}, now.timestamp(), None if safe is None else safe.vault(loaded))
    return Edition(
        number=number,
        content=content,
        loaded=loaded,
        material=material,
        tickets=tickets,
        account=account,
        warnings=[*problems, *notes],
        made=made,
        certificates=_facts(loaded.file, loaded.config.identity, credentials),
        revocations=_revocations(credentials),
        checks=_checks(loaded.file, loaded.config.upstream),
        tokens=token_uses(loaded.file, loaded.config.hsm, credentials.identities, credentials.pins),
        identities_in_tokens=identities_in_tokens(credentials.identities),
        payload=payload,
        read_at=now,
        shut=shut,
        dark=_dark(shut, credentials),
    )


async def reread_edition(
    loop: asyncio.AbstractEventLoop, served: Edition, number: int, safe: Safe, begin: Callable[[], None]
) -> Edition:
    """Read the files of `served` again, in a thread, because a file may hang.

    The thread calls `begin` first. Raises `ConfigError`.
    """
    file, tickets = served.loaded.file.path, served.tickets
    seconds = served.loaded.config.reload_seconds

    def read() -> Edition:
        begin()
        try:
            edition = read_edition(file, number, tickets, now_in_utc(), safe, served.payload.rings)
        except ConfigError as error:
            raise ConfigError(_not_said_before(error.problems)) from None
        edition = replace(edition, warnings=_not_said_before(edition.warnings))
        if lost := sorted(edition.shut - served.shut):
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
    """Leave out the warning about the user of the workers.

    The start has given it, and a reload cannot change the user.
    """
    return [one for one in problems if one.is_error or one.key != "user"]


def _credentials(loaded: LoadedConfig, material: Material, now: datetime) -> LoadedCredentials:
    with material.as_files() as files:
        return load_credentials(with_files(loaded, files), now)


def _dark(shut: frozenset[str], credentials: LoadedCredentials) -> frozenset[str]:
    # ML-DSA alone does not count, see `identities_in_tokens`
    families = {name: {one.algorithm.family for one in credentials.identities[name]} for name in shut}
    return frozenset(name for name, found in families.items() if found <= {KeyFamily.MLDSA})


def _facts(
    file: ConfigFile, identities: Mapping[str, IdentityConfig], credentials: LoadedCredentials
) -> list[CertificateFacts]:
    return [
        CertificateFacts(
            name,
            str(one.algorithm),
            one.names,
            one.not_after.timestamp(),
            _key_places(file, name, identities[name], one),
            one.leaf.fingerprint(SHA256()).hex(),
            one.leaf.not_valid_before_utc.timestamp(),
            is_issued=_configured(file, identities[name], one) is None,
            signatures=tuple(map(signature_name, one.chain)),
        )
        for name, of_identity in credentials.identities.items()
        for one in of_identity
    ]


def _revocations(credentials: LoadedCredentials) -> list[RevocationFacts]:
    spans = {name: one.currency for name, one in credentials.clients.items()}
    return [RevocationFacts(name, *(end.timestamp() for end in span)) for name, span in spans.items() if span]


def _key_places(file: ConfigFile, identity: str, settings: IdentityConfig, credential: Credential) -> tuple[str, ...]:
    """The places of a credential's keys as the configuration names them.

    This process may have read their content from elsewhere.
    """
    configured = _configured(file, settings, credential)
    if configured is not None:
        return tuple(str(key) for key in configured.key)
    issued = tuple(key.location for key in credential.keys if isinstance(key, Pkcs11Key))
    return issued or (f"{identity} {credential.algorithm}",)


def _configured(file: ConfigFile, settings: IdentityConfig, credential: Credential) -> CredentialConfig | None:
    """The table of a credential from files. None for one that was issued."""
    for one in settings.credentials:
        if isinstance(one, CredentialConfig) and credential.certificate_path == file.resolve(one.certificate):
            return one
    return None


def _checks(file: ConfigFile, upstreams: Mapping[str, UpstreamConfig]) -> Sequence[HealthCheck]:
    try:
        return health_checks(file, upstreams)
    except (ssl.SSLError, OSError, LibsslError) as error:
        found = f"TLS settings of an upstream that OpenSSL does not take: {error}"
        raise ConfigError([file.error(("upstream",), found, "PEM files")]) from None
