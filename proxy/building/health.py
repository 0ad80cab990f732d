"""Build the active checks of a configuration, for the process that makes them."""

from config.loaded import LoadedConfig
from config.schema import UpstreamConfig
from proxy.tls.context import UPSTREAM_GROUPS, UpstreamTls, build_client_context
from proxy.upstream.health import HealthCheck


def health_checks(loaded: LoadedConfig) -> tuple[HealthCheck, ...]:
    """One check for each server of each upstream that asks for them.

    Servers are verified, and the proxy proves itself, as for requests. Raises `ssl.SSLError`, `OSError` or `LibsslError` for files
    that a generation cannot be built with either.
    """
    return tuple(
        check for name, upstream in loaded.config.upstream.items() for check in _checks(loaded, name, upstream)
    )


def _checks(loaded: LoadedConfig, name: str, upstream: UpstreamConfig) -> list[HealthCheck]:
    health = upstream.health
    if health is None:
        return []
    context = build_client_context(_tls(loaded, upstream)) if upstream.has_tls else None
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
            tls=context if server.address.scheme == "https" else None,
            server_name=upstream.server_name or server.address.host,
        )
        for server in upstream.servers
    ]


def _tls(loaded: LoadedConfig, upstream: UpstreamConfig) -> UpstreamTls:
    ca, certificate, key = (
        None if path is None else loaded.file.resolve(path)
        for path in (upstream.ca, upstream.certificate, upstream.key)
    )
    return UpstreamTls(ca, certificate, key, UPSTREAM_GROUPS)
