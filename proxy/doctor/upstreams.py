"""The servers of the upstreams: whether each resolves, connects, proves itself and is healthy."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from certs.acme.client.deadline import Overdue
from config.loading.loaded import LoadedConfig
from config.schema import HttpProtocol, UpstreamConfig
from config.values.addresses import ServerAddress
from proxy.api.status import StatusDocument
from proxy.building.health import client_context_of, health_checks
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.side_by_side import side_by_side
from proxy.rotation.pinned import said
from proxy.tls.openssl.libssl import LibsslError
from proxy.upstream.health.checks import HealthCheck, ask
from proxy.upstream.pooling.statistics import ServerState

_UPSTREAMS: Final = Judge("upstreams")
_HEALTH: Final = Judge("upstream health")
_SECONDS: Final = 6.0
_HANDSHAKE_SECONDS: Final = 5.0
_GOOD: Final = frozenset({ServerState.UP, ServerState.SLOW_START})
_START_IT: Final = "Start the server, or correct upstream.{}.servers."


@dataclass(frozen=True, slots=True)
class ServerTrial:
    """One server to try. `context` is None without TLS."""

    upstream: str
    address: ServerAddress
    context: ssl.SSLContext | None
    server_name: str
    wants_h2: bool

    @property
    def subject(self) -> str:
        return f"{self.upstream} {self.address}"


def trials_of(loaded: LoadedConfig) -> Iterator[ServerTrial | Finding]:
    """Each server once; a finding for an upstream whose TLS settings cannot be used."""
    for name, upstream in loaded.config.all_upstreams.items():
        try:
            context = client_context_of(loaded.file, upstream) if upstream.has_tls else None
        except (OSError, LibsslError) as error:  # also ssl.SSLError
            yield _UPSTREAMS.failure(name, f"its TLS files cannot be used: {error}", f"Correct upstream.{name}.ca.")
            continue
        yield from (_trial(name, upstream, server.address, context) for server in upstream.servers)


def _trial(name: str, upstream: UpstreamConfig, address: ServerAddress, context: ssl.SSLContext | None) -> ServerTrial:
    wants_h2 = upstream.http is HttpProtocol.HTTP_2 and not upstream.is_without_http
    tls = context if address.has_tls else None
    return ServerTrial(name, address, tls, upstream.server_name or address.host, wants_h2)


def try_server(trial: ServerTrial) -> str:
    """Connect, and verify the server if there is TLS. Says what was seen. Raises `OSError`."""
    with _connected(trial.address) as plain:
        if trial.context is None:
            return "connects"
        with trial.context.wrap_socket(plain, server_hostname=trial.server_name) as tls:
            protocol = tls.selected_alpn_protocol()
            if trial.wants_h2 and protocol != HttpProtocol.HTTP_2:
                raise ConnectionError(f"it chose {protocol or 'nothing'} by ALPN, and http is h2")
            return f"connects, verified as {trial.server_name} ({tls.version()})"


def _connected(address: ServerAddress) -> socket.socket:
    if address.scheme != "unix":
        return socket.create_connection((address.host, address.port), timeout=_HANDSHAKE_SECONDS)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_HANDSHAKE_SECONDS)
        sock.connect(address.path)
    except BaseException:
        sock.close()
        raise
    return sock


def server_finding(trial: ServerTrial, answer: str | Exception) -> Finding:
    start_it = _START_IT.format(trial.upstream)
    match answer:
        case str():
            return _UPSTREAMS.ok(trial.subject, answer)
        case socket.gaierror():
            remedy = f"Add the name to DNS or /etc/hosts, or correct upstream.{trial.upstream}.servers."
            return _UPSTREAMS.failure(trial.subject, f"the name {trial.address.host} does not resolve", remedy)
        case ssl.SSLCertVerificationError():
            remedy = f"Set upstream.{trial.upstream}.ca to the authority of the server, or server_name to its name."
            found = f"its certificate is not accepted: {answer.verify_message}"
            return _UPSTREAMS.failure(trial.subject, found, remedy)
        case ssl.SSLError():
            remedy = "Does the server speak TLS there? An http:// server needs http:// in servers."
            return _UPSTREAMS.failure(trial.subject, f"the TLS handshake failed: {said(answer)}", remedy)
        case Overdue() | TimeoutError():
            remedy = f"A firewall that drops packets, or a wrong address. {start_it}"
            return _UPSTREAMS.failure(trial.subject, "no answer to a connection in time", remedy)
        case OSError():
            return _UPSTREAMS.failure(trial.subject, f"{answer.strerror or answer}", start_it)
        case _:
            return _UPSTREAMS.unknown(trial.subject, f"an internal error: {type(answer).__name__}")


def _upstreams(examined: Examined) -> Iterator[Finding]:
    found = list(trials_of(examined.loaded))
    yield from (one for one in found if isinstance(one, Finding))
    trials = [one for one in found if isinstance(one, ServerTrial)]
    for trial, answer in side_by_side(trials, try_server, _SECONDS):
        yield server_finding(trial, answer)


def health_finding(check: HealthCheck, *, answer: bool | Exception) -> Finding:
    subject = f"{check.upstream} {check.server}"
    if answer is True:
        return _HEALTH.ok(subject, f"{check.path or 'a connection'} is answered as expected")
    if answer is False:
        least, most = check.statuses
        wanted = f"{check.path} with a status from {least} to {most}" if check.path else "a connection"
        found = f"the health check fails: it wants {wanted} within {check.timeout_seconds:g} s"
        remedy = f"Check the server's own log, or correct upstream.{check.upstream}.health."
        return _HEALTH.failure(subject, found, remedy)
    return _HEALTH.unknown(subject, f"the check could not be made: {answer}")


def _health(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    try:
        checks = health_checks(loaded.file, loaded.config.all_upstreams)
    except (OSError, LibsslError) as error:
        yield _HEALTH.skipped("health checks", f"TLS files of an upstream cannot be used: {error}")
        return
    if not checks:
        yield _HEALTH.skipped("health checks", "no upstream has health checks configured")

    def asked(check: HealthCheck) -> bool:
        return asyncio.run(ask(check))

    longest = max((one.timeout_seconds for one in checks), default=0.0)
    for check, answer in side_by_side(checks, asked, min(longest + 1.0, 10.0)):
        yield health_finding(check, answer=answer)
    if examined.status is not None:
        yield from seen_findings(examined.status)


def seen_findings(status: StatusDocument) -> Iterator[Finding]:
    """Judge how the workers of the running proxy see the servers."""
    for upstream in status["upstreams"]:
        for server in upstream["servers"]:
            bad = {state: count for state, count in server["states"].items() if state not in _GOOD and count}
            subject = f"{upstream['name']} {server['server']}"
            if bad:
                told = ", ".join(f"{state} (workers: {count})" for state, count in bad.items())
                remedy = "plexigate status shows its requests; plexigate undrain returns a drained server."
                yield _HEALTH.warning(subject, f"the running proxy sees it {told}", remedy)
            elif server["states"]:
                yield _HEALTH.ok(subject, "up, as the running proxy sees it")


UPSTREAMS: Final = (
    Checkup("upstreams", Area.UPSTREAMS, _upstreams, seconds=20.0),
    Checkup("upstream health", Area.UPSTREAMS, _health, seconds=20.0),
)
