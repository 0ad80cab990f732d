"""Build what identities demand of their clients."""

import ssl
from collections.abc import Mapping

from certs.identities.client_authorities import ClientAuthorities
from config.addresses import is_covered
from config.schema import ClientCertificateMode, IdentityConfig
from proxy.building.foundation import Foundation
from proxy.tls.client_trust import ClientTrust, fingerprint_of
from proxy.tls.libssl import LibsslError


def client_trusts(foundation: Foundation, authorities: Mapping[str, ClientAuthorities]) -> dict[str, ClientTrust]:
    """Build all that can be built, by the name of the identity.

    What has not changed is used again.
    """
    trusts: dict[str, ClientTrust] = {}
    for name, identity in foundation.loaded.config.identity.items():
        settings, issuing = identity.client_certificates, authorities.get(name)
        if settings is None or issuing is None:
            continue
        is_required = settings.mode is ClientCertificateMode.REQUIRE
        known = foundation.before.clients.get(name)
        if known is not None and known.fingerprint == fingerprint_of(issuing, is_required=is_required):
            trusts[name] = known
            continue
        try:
            trusts[name] = ClientTrust(issuing, is_required=is_required)
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
