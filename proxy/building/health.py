"""Build the active checks of a configuration, for the process that makes them."""

import ssl
from collections.abc import Mapping

from config.loading.loaded import ConfigFile
from config.schema import UpstreamConfig
from proxy.tls.openssl.context import UPSTREAM_GROUPS, UpstreamTls, build_client_context
from proxy.upstream.health.checks import HealthCheck


def health_checks(file: ConfigFile, upstreams: Mapping[str, UpstreamConfig]) -> tuple[HealthCheck, ...]:
    """One check for each server of each upstream with health checks.

    The checks use the same TLS settings as requests. Raises `ssl.SSLError`, `OSError` or
    `LibsslError` for files with which a generation cannot be built either.
    """
    return tuple(check for name, upstream in upstreams.items() for check in _checks(file, name, upstream))


def _checks(file: ConfigFile, name: str, upstream: UpstreamConfig) -> list[HealthCheck]:
    health = upstream.health
    if health is None:
        return []
    context = client_context_of(file, upstream) if upstream.has_tls else None
    return [
        HealthCheck(
            upstream=name,
            address=server.address,
            host=health.host or server.address.authority,
            path=health.path,
            interval_seconds=health.interval_seconds,
            jitter=health.jitter,
            timeout_seconds=health.timeout_seconds,
            rise=health.rise,
            fall=health.fall,
            statuses=health.statuses,
            tls=context if server.address.has_tls else None,
            server_name=upstream.server_name or server.address.host,
            http=upstream.http,
            proxy_header=upstream.send_proxy_protocol,
        )
        for server in upstream.servers
    ]


def client_context_of(file: ConfigFile, upstream: UpstreamConfig) -> ssl.SSLContext:
    """The context for connections to an upstream outside of the workers.

    Raises `ssl.SSLError`, `OSError` or `LibsslError`.
    """
    ca, certificate, key = (
        None if path is None else file.resolve(path) for path in (upstream.ca, upstream.certificate, upstream.key)
    )
    return build_client_context(UpstreamTls(ca, certificate, key, UPSTREAM_GROUPS, upstream.offered_protocols))
