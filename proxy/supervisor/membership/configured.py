"""A node as `[fleet]` of a configuration has it."""

import errno
import re
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from socket import gethostname
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.backup.recoverable import RecoverySeal
from certs.hierarchy.configured import directory_of
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.master import Place, place_of
from certs.sealing.recipients import kem_of
from config.loading.loaded import LoadedConfig
from config.loading.reading import read_regular
from config.schema import Config, RatePer
from config.tables.fleet import FleetConfig
from config.values.kinds import NAME
from config.values.problems import Problem, printable
from proxy.limits.rates import FleetLimit, connections_of_fleet, rate_of_fleet
from proxy.observe.events.event import Tell
from proxy.supervisor.membership.etcd import EtcdStore, EtcdUser
from proxy.supervisor.membership.member import Member
from proxy.supervisor.membership.shared_kind import SharedKind
from proxy.supervisor.membership.state import NodeFile
from proxy.tls.openssl.context import UPSTREAM_GROUPS, UpstreamTls, build_client_context
from proxy.tls.openssl.libssl import LibsslError

_LONGEST: Final = 1_000
_LARGEST_FILE: Final = 1_048_576
_WANTED: Final = "a file with the password of the user of etcd in one line, mode 0600 (chmod 600 FILE)"
_UNNAMED: Final = "one with an empty subject: where etcd has users, its JSON gateway refuses others"
_FILES: Final = "PEM files: the certificate and key of this node, and the CA of etcd"


def fleet_problems(loaded: LoadedConfig) -> Iterator[Problem]:
    """An error for a host without a name, and for files that etcd cannot be asked with."""
    name = node_name(loaded.config.fleet)
    if not re.fullmatch(NAME, name):
        yield loaded.file.error(
            ("fleet", "name"), f"the name of the host: {name!a}", "a name, because no node is called so"
        )
    try:
        _ = _tls(loaded)
    except (ssl.SSLError, OSError, LibsslError) as error:
        yield loaded.file.error(
            ("fleet",),
            f"files that cannot be used: {error.strerror or error}" if isinstance(error, OSError) else str(error),
            _FILES,
        )
    user = _user(loaded)
    if user is None:
        return
    try:
        _ = user.password()
    except OSError as error:
        yield loaded.file.error(("fleet", "password_file"), str(error.strerror), _WANTED)
    yield from _named_certificates(loaded)


def _named_certificates(loaded: LoadedConfig) -> Iterator[Problem]:
    written = loaded.config.fleet.certificate
    if written is None:
        return
    try:
        content = read_regular(loaded.file.resolve(written), _LARGEST_FILE).content
        subject = x509.load_pem_x509_certificates(content)[0].subject
    except (OSError, ValueError):
        return  # told before
    if names := subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        found = f"a certificate with the common name {printable(str(names[0].value))}"
        yield loaded.file.error(("fleet", "certificate"), found, _UNNAMED)


def member_of(
    loaded: LoadedConfig,
    vault: Callable[[], Vault],
    kinds: Sequence[SharedKind],
    tell: Tell,
    clock: Callable[[], float],
) -> Member:
    """The membership of a configuration that `fleet_problems` has found no error in."""
    settings = loaded.config.fleet
    directory = directory_of(loaded.file, loaded.config.sealing)
    kem = kem_of(loaded.config)

    def place() -> Place:
        found = place_of(loaded.file, loaded.config.sealing, loaded.config.hsm)
        assert found is not None  # a fleet has a sealing key
        return found

    return Member(
        node_name(settings),
        store_of(loaded, settings.etcd),
        NodeFile(directory, lambda: vault().sealer(Purpose.FLEET), kem, RecoverySeal(directory, vault, place, kem)),
        kinds,
        tell,
        clock,
    )


def store_of(loaded: LoadedConfig, endpoints: Sequence[str]) -> EtcdStore:
    """The store of a fleet, by some members of etcd. Raises `ssl.SSLError`, `OSError` or
    `LibsslError` for files that `fleet_problems` finds.
    """
    return EtcdStore(endpoints, _tls(loaded), loaded.config.fleet.prefix, _user(loaded))


def node_name(settings: FleetConfig) -> str:
    """What this node is called."""
    return settings.name or gethostname().partition(".")[0]


def fleet_limits(config: Config) -> Iterator[FleetLimit]:
    """The limits that hold for all nodes together."""
    for route in config.route:
        if route.rate is not None and route.rate.per is RatePer.FLEET:
            yield FleetLimit(rate_of_fleet(route.entry_name), route.rate.requests_per_second)
    for name, listener in config.listener.items():
        connections = config.limits.for_listener(listener.limits).fleet_connections
        if connections is not None:
            yield FleetLimit(connections_of_fleet(name), connections, name)


def _tls(loaded: LoadedConfig) -> ssl.SSLContext | None:
    """Raises `ssl.SSLError`, `OSError` or `LibsslError`."""
    settings = loaded.config.fleet
    if not any(one.startswith("https://") for one in settings.etcd):
        return None
    ca, certificate, key = (
        None if path is None else loaded.file.resolve(path)
        for path in (settings.ca, settings.certificate, settings.key)
    )
    return build_client_context(UpstreamTls(ca, certificate, key, UPSTREAM_GROUPS))


def _user(loaded: LoadedConfig) -> EtcdUser | None:
    settings = loaded.config.fleet
    if settings.user is None or settings.password_file is None:
        return None
    path = loaded.file.resolve(settings.password_file)
    return EtcdUser(settings.user, lambda: _password(path))


def _password(path: Path) -> str:
    """Raises `OSError`, also for a file that other users may read."""
    read = read_regular(path, _LONGEST + 1)
    if read.mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(errno.EACCES, f"mode {read.mode:04o}", str(path))
    password = read.content.decode(errors="replace").strip()
    if not password or len(read.content) > _LONGEST:
        raise OSError(errno.EINVAL, f"{len(read.content)} bytes", str(path))
    return password
