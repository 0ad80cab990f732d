"""Build what each `[upstream.NAME]` runs by, as far as that can be settled before there is a loop."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from certs.credential import Credential
from config.schema import ServerAddress, UpstreamConfig
from proxy.building.foundation import Foundation
from proxy.building.requests import chunk_limits
from proxy.http.head import HeadLimits
from proxy.tls.context import UpstreamTls, build_client_context
from proxy.tls.libssl import LibsslError
from proxy.upstream.connection import ResponseLimits
from proxy.upstream.dial import DialSettings
from proxy.upstream.plan import UpstreamPlan
from proxy.upstream.pool import ServerLimits

# What we offer an upstream: hybrids first; what follows keeps servers reachable that know none (they are inside our own network).
_GROUPS: Final = "X25519MLKEM768:SecP256r1MLKEM768:SecP384r1MLKEM1024:X25519:secp256r1:secp384r1"


def upstream_plans(foundation: Foundation, credentials: Mapping[str, Credential]) -> Iterator[UpstreamPlan]:
    """Plan every upstream; `credentials` are those that the proxy proves itself with, by the name of the upstream."""
    for name, settings in foundation.loaded.config.upstream.items():
        context = None
        if any(server.scheme == "https" for server in settings.servers) and not foundation.is_faulty("upstream", name):
            context = _client_context(foundation, name, settings, credentials.get(name))
        limits = foundation.loaded.config.limits
        yield UpstreamPlan(
            name=name,
            dialling=tuple(_dialling(foundation, server, settings, context) for server in settings.servers),
            responses=ResponseLimits(
                head_bytes=limits.response_head_bytes,
                head=HeadLimits(limits.target_bytes, limits.response_header_count, limits.response_head_bytes),
                chunks=chunk_limits(limits),
                informational=limits.early_responses,
                first_byte_seconds=settings.first_byte_seconds,
                stall_seconds=settings.stall_seconds,
                idle_seconds=settings.idle_seconds,
            ),
            limits=ServerLimits(settings.connections, settings.waiting, settings.wait_seconds),
        )


def _dialling(
    foundation: Foundation, server: ServerAddress, settings: UpstreamConfig, context: ssl.SSLContext | None
) -> DialSettings:
    return DialSettings(
        address=server,
        connect_seconds=settings.connect_seconds,
        tls=context if server.scheme == "https" else None,
        server_name=settings.server_name or server.host,
        tls_limits=foundation.tls_limits,
        linger=foundation.linger,
    )


def _client_context(
    foundation: Foundation, name: str, settings: UpstreamConfig, credential: Credential | None
) -> ssl.SSLContext | None:
    tls = UpstreamTls(
        ca=None if settings.ca is None else foundation.loaded.resolve(settings.ca),
        certificate=None if credential is None else credential.certificate_path,
        key=None if credential is None else credential.key_pem_path,
        groups=_GROUPS,
    )
    try:
        return build_client_context(tls)
    except (ssl.SSLError, OSError, LibsslError) as error:
        foundation.error(("upstream", name), f"TLS settings that OpenSSL does not take: {error}", "PEM files")
        return None
