"""Build the parts of each `[upstream.NAME]` that need no event loop."""

import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from certs.identities.credential import Credential
from config.schema import ServerAddress, UpstreamConfig
from config.tables.upstream import CookieConfig, HealthConfig
from config.values.problems import shown
from proxy.building.files import private_content
from proxy.building.foundation import Foundation
from proxy.building.request_limits import chunk_limits
from proxy.building.resources import UpstreamBudget
from proxy.http.head import HeadLimits
from proxy.tls.openssl.client_tls import client_tls
from proxy.tls.openssl.context import UPSTREAM_GROUPS, UpstreamTls
from proxy.tls.openssl.libssl import LibsslError
from proxy.upstream.plan import UpstreamPlan
from proxy.upstream.pooling.dial import DialSettings
from proxy.upstream.pooling.pools import ResponseLimits, ServerLimits
from proxy.upstream.servers.ejection import EjectionPolicy
from proxy.upstream.servers.server import ServerRules
from proxy.upstream.servers.sticky import CookieSettings
from proxy.upstream.servers.upstream import UpstreamRules

# As many as the signature has: a shorter key would be its weakest part.
_SECRET_BYTES: Final = 32


def upstream_plans(
    foundation: Foundation, credentials: Mapping[str, Credential], descriptors: int | None
) -> Iterator[UpstreamPlan]:
    """Plan every upstream. `credentials` are the proxy's own, by the name of the upstream.

    `descriptors` is the limit of the process, None without a limit.

    If the files did not change, the context is used again, and so its connections can be.
    """
    servers = UpstreamBudget.of(foundation.loaded.config, descriptors)
    for name, settings in foundation.loaded.config.all_upstreams.items():
        context = None
        is_tcp = settings.is_without_http or name in foundation.loaded.config.tcp_upstreams
        if settings.has_tls and not foundation.is_faulty("upstream", name):
            context = _client_context(foundation, name, credentials.get(name))
        limits = foundation.loaded.config.limits
        yield UpstreamPlan(
            name=name,
            dialling=tuple(
                _dialling(foundation, server.address, settings, context, is_tcp=is_tcp) for server in settings.servers
            ),
            standing=tuple(_standing(settings, server.weight) for server in settings.servers),
            responses=ResponseLimits(
                head_bytes=limits.response_head_bytes,
                head=HeadLimits(limits.target_bytes, limits.response_header_count, limits.response_head_bytes),
                chunks=chunk_limits(limits),
                informational=limits.early_responses,
                first_byte_seconds=settings.first_byte_seconds,
                stall_seconds=settings.stall_seconds,
                idle_seconds=settings.idle_seconds,
            ),
            limits=ServerLimits(servers.to_each(settings.connections), settings.waiting, settings.wait_seconds),
            rules=UpstreamRules(
                balance=settings.balance,
                hash_on=settings.hash_on,
                cookie=None if settings.cookie is None else _cookie(foundation, name, settings.cookie),
                retry_percent=settings.retry_percent,
                retries_per_second=settings.retries_per_second,
                most_ejected_percent=settings.ejection.most_percent,
                recovery_seconds=None if settings.health is None else _recovery_seconds(settings.health),
            ),
        )


def _standing(settings: UpstreamConfig, weight: int) -> ServerRules:
    ejection = settings.ejection
    policy = EjectionPolicy(
        ejection.connect_failures,
        ejection.errors,
        ejection.errors_seconds,
        ejection.base_seconds,
        ejection.max_seconds,
    )
    return ServerRules(weight, settings.slow_start_seconds, policy, settings.websockets)


def _recovery_seconds(health: HealthConfig) -> float:
    return health.interval_seconds * health.rise


def _cookie(foundation: Foundation, upstream: str, settings: CookieConfig) -> CookieSettings:
    # RFC 6265bis section 4.1.3.2: a cookie with this prefix can be set only by its own host, and
    # only over TLS
    name = settings.name or f"__Host-{upstream}"
    return CookieSettings(name, _secret(foundation, upstream, settings.secret), settings.seconds, settings.same_site)


def _secret(foundation: Foundation, upstream: str, file: str) -> bytes:
    """Read the key material of a cookie.

    After an error it returns a substitute, which is never used: the error stops the build.
    """
    place = ("upstream", upstream, "cookie", "secret")
    path = foundation.loaded.file.named(file)
    allowed = f"a file of {_SECRET_BYTES} random octets or more: openssl rand -base64 48 > {path}; chmod 600 {path}"
    content = private_content(foundation, place, file, allowed)
    if content is None:
        return b""
    secret = content.strip()
    if len(secret) < _SECRET_BYTES:
        foundation.error(place, f"{shown(file)}, which has {len(secret)} octets", allowed)
    return secret


def _dialling(
    foundation: Foundation,
    server: ServerAddress,
    settings: UpstreamConfig,
    context: ssl.SSLContext | None,
    *,
    is_tcp: bool,
) -> DialSettings:
    return DialSettings(
        address=server,
        connect_seconds=settings.connect_seconds,
        tls=context if server.has_tls else None,
        server_name=settings.server_name or server.host,
        tls_limits=foundation.tls_limits,
        linger=foundation.linger,
        http=None if is_tcp else settings.http,
        proxy_header=settings.send_proxy_protocol,
    )


def _client_context(foundation: Foundation, name: str, credential: Credential | None) -> ssl.SSLContext | None:
    settings = foundation.loaded.config.upstream[name]
    tls = UpstreamTls(
        ca=None if settings.ca is None else foundation.loaded.file.resolve(settings.ca),
        certificate=None if credential is None else credential.certificate_path,
        key=None if credential is None else credential.key_pem_path,
        groups=UPSTREAM_GROUPS,
        protocols=settings.offered_protocols,
    )
    try:
        made = client_tls(tls, foundation.before.client_tls.get(name))
    except (ssl.SSLError, OSError, LibsslError) as error:
        foundation.error(("upstream", name), f"TLS settings that OpenSSL does not take: {error}", "PEM files")
        return None
    foundation.client_tls[name] = made
    return made.context
