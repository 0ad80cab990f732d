"""Build what identities demand of their clients."""

import ssl
from collections.abc import Mapping

from certs.identities.client_authorities import ClientAuthorities
from config.schema import ClientCertificateMode, IdentityConfig
from config.values.addresses import is_covered
from proxy.building.carried import ClientTrusts
from proxy.building.foundation import Foundation
from proxy.tls.openssl.client_trust import ClientTrust, Demand, fingerprint_of
from proxy.tls.openssl.libssl import LibsslError


def client_trusts(foundation: Foundation, authorities: Mapping[str, ClientAuthorities]) -> ClientTrusts:
    """Build all that can be built, for each kind of listener; what is unchanged is kept."""
    trusts: dict[tuple[str, bool], ClientTrust] = {}
    config = foundation.loaded.config
    kinds = sorted({listener.binds_signatures for listener in config.listener.values()})
    for name, identity in config.identity.items():
        settings = identity.client_certificates
        issuing = authorities.get(name)
        if settings is None or issuing is None:
            continue
        try:
            for is_bound in kinds:
                demand = Demand(settings.mode is ClientCertificateMode.REQUIRE, is_bound)
                known = foundation.before.clients.get((name, is_bound))
                is_same = known is not None and known.fingerprint == fingerprint_of(issuing, demand)
                trusts[name, is_bound] = known if known is not None and is_same else ClientTrust(issuing, demand)
        except (ssl.SSLError, OSError, LibsslError) as error:
            place = ("identity", name, "client_certificates")
            foundation.error(place, f"files that OpenSSL does not take: {error}", "PEM files of authorities")
    return trusts


def reserved_names(identities: Mapping[str, IdentityConfig], name: str) -> frozenset[str]:
    """Names that a wildcard of an identity covers, and that are those of another one which asks for
    certificates.

    A connection made under the wildcard has shown none to the other identity.
    """
    own = frozenset(identities[name].names)
    return frozenset(
        one
        for other, settings in identities.items()
        if other != name and settings.client_certificates is not None
        for one in settings.names
        if is_covered(one, own)
    )
