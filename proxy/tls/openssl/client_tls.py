"""The context for connections to the servers of an upstream, kept until its files change.

A connection that one context made is no good for another. So without this each reload would close
every connection to an https server.
"""

import ssl
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from config.loading.reading import read_regular
from proxy.tls.openssl.context import UpstreamTls, build_client_context


@dataclass(frozen=True, slots=True)
class ClientTls:
    """A context, and the fingerprint of everything that it was made of."""

    context: ssl.SSLContext
    fingerprint: bytes = field(repr=False)


def client_tls(settings: UpstreamTls, known: ClientTls | None) -> ClientTls:
    """Build the context, or answer the `known` one if the files still have the same content."""
    fingerprint = _fingerprint(settings)
    if known is not None and known.fingerprint == fingerprint:
        return known
    return ClientTls(build_client_context(settings), fingerprint)


def _fingerprint(settings: UpstreamTls) -> bytes:
    digest = sha256(",".join([settings.groups, *settings.protocols]).encode())
    for path in (settings.ca, settings.certificate, settings.key):
        digest.update(b"-" if path is None else sha256(read_regular(path).content).digest())
    if settings.ca is None:
        # a few hundred certificates: when they were last changed says enough
        places = ssl.get_default_verify_paths()
        for place in (places.cafile, places.capath):
            if place is not None and Path(place).exists():
                digest.update(b"%d," % Path(place).stat().st_mtime_ns)
    return digest.digest()
