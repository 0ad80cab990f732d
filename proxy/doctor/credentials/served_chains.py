"""The chains of the running proxy, as its clients see them."""

import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from config.loading.loaded import LoadedConfig
from config.values.addresses import Bind, Refused, parse_bind
from proxy.api.status import ListenerRow, StatusDocument
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.credentials.chains import Chain, ConfiguredChain, chain_findings, configured_chains
from proxy.doctor.finding import Area, Finding, Judge
from proxy.doctor.side_by_side import side_by_side
from proxy.rotation.pinned import SECONDS, name_to_ask_for, offers_every_group, said, takes_only_its_kind
from proxy.tls.wire.groups import are_foreign, groups_in

_SERVED: Final = Judge("served chains")


@dataclass(frozen=True, slots=True)
class ServedChain:
    """The chain that should be shown, and an address of a running listener.

    `replicas` may be shown instead.
    """

    address: Bind
    expected: ConfiguredChain
    replicas: tuple[ConfiguredChain, ...] = ()

    @property
    def subject(self) -> str:
        return f"{self.expected.about} at {self.address}"


def served_chains(loaded: LoadedConfig, status: StatusDocument) -> Iterator[ServedChain]:
    """Each chain, at the first address of each listener that can be asked from here."""
    chains = [one for one in configured_chains(loaded) if isinstance(one, ConfiguredChain)]
    for listener in status["listeners"]:
        configured = loaded.config.listener.get(listener["name"])
        if configured is None or configured.proxy_protocol is not None or not listener["addresses"]:
            continue
        if foreign_groups(listener):
            continue
        try:
            address = parse_bind(listener["addresses"][0])
        except Refused:
            continue
        yield from (ServedChain(address, one, _replicas(one, chains)) for one in chains)


def _replicas(one: ConfiguredChain, chains: Sequence[ConfiguredChain]) -> tuple[ConfiguredChain, ...]:
    of_identity = (other for other in chains if other is not one and other.identity == one.identity)
    return tuple(other for other in of_identity if other.kind == one.kind)


def foreign_groups(listener: ListenerRow) -> str:
    """The groups of a listener in the status if only providers have them."""
    names = groups_in(listener.get("groups", ""))
    return ", ".join(names) if are_foreign(names) else ""


def shown_chain(served: ServedChain) -> Chain:
    """The chain that a client gets which accepts only this kind of key.

    Raises `OSError`, which `ssl.SSLError` is, or `LibsslError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # nothing is verified here: what was shown is judged, also if it is wrong
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    offers_every_group(context)
    takes_only_its_kind(context, served.expected.chain[0])
    host = served.address.host
    target = {4: "127.0.0.1", 6: "::1"}[host.version] if host.is_unspecified else str(host)
    with (
        socket.create_connection((target, served.address.port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=name_to_ask_for(served.expected.names)) as tls,
    ):
        return [x509.load_der_x509_certificate(der) for der in _shown(tls)]


def _shown(tls: ssl.SSLSocket) -> Sequence[bytes]:
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    import _ssl  # what 3.13 made public

    socket_before: Any = tls
    shown = socket_before._sslobj.get_unverified_chain()  # noqa: SLF001 - as above
    return [one.public_bytes(_ssl.ENCODING_DER) for one in shown]


def served_findings(served: ServedChain, answer: Chain | Exception, now: datetime) -> Iterator[Finding]:
    if isinstance(answer, Exception):
        remedy = "handshake_failed in the log of the proxy has the reason."
        yield _SERVED.failure(served.subject, f"the handshake failed: {said(answer)}", remedy)
        return
    shown = answer
    configured = next((one for one in served.replicas if one.chain[0] == shown[0]), served.expected)
    expected = configured.chain
    if shown[0] != expected[0]:
        found = f"it shows serial {shown[0].serial_number:x}, and {expected[0].serial_number:x} is in place"
        yield _SERVED.failure(served.subject, found, "The certificate was replaced: plexigate reload.")
    elif list(shown) != list(expected):
        found = f"it shows a chain of {len(shown)}, and its file has another one of {len(expected)}"
        yield _SERVED.failure(served.subject, found, "The chain file was changed: plexigate reload.")
    yield from chain_findings(_SERVED, served.subject, configured, shown, now)


def _served(examined: Examined) -> Iterator[Finding]:
    loaded = examined.loaded
    status = examined.proxy.status
    now = examined.now()
    for name, listener in loaded.config.listener.items():
        if listener.proxy_protocol is not None:
            found = "its connections begin with a PROXY header, which only a trusted peer may send"
            yield _SERVED.skipped(f"listener {name}", found)
    for listener_status in status["listeners"]:
        if foreign := foreign_groups(listener_status):
            found = f"it cannot be tried from here: only providers have its groups ({foreign})"
            yield _SERVED.skipped(f"listener {listener_status['name']}", found)
    asked = list(served_chains(loaded, status))
    for served, answer in side_by_side(asked, shown_chain, SECONDS + 1.0):
        yield from served_findings(served, answer, now)


SERVED_CHAINS: Final = (Checkup("served chains", Area.CERTIFICATES, _served, seconds=20.0),)
