"""Which hosts have certificates that browsers trust without being told to."""

import ssl
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.identities.chain import Chain
from certs.identities.credential import Credential
from config.schema import Config
from config.values.addresses import name_matches

_END: Final = b"-----END CERTIFICATE-----\n"


def publicly_trusted(
    config: Config, credentials: Mapping[str, Sequence[Credential]], now: datetime, store: Path | None = None
) -> frozenset[str]:
    """The hosts of routes that ask for it, all of whose certificates the system's store trusts.

    A browser that was asked to come by TLS only lets its user pass no warning. So this must not be
    said on a name whose certificate it may not trust. `store` is a file of roots; None for that of
    the system, which is read only if a route asks.
    """
    hosts = {route.host for route in config.route if route.security_headers and route.hsts is None}
    if not hosts:
        return frozenset()
    paths = ssl.get_default_verify_paths()
    roots = _roots(store or Path(paths.cafile or paths.openssl_cafile))
    if not roots:
        return frozenset()  # no certificate is known to be trusted
    builder = PolicyBuilder().time(now).store(Store(roots))
    trusted = {
        name: bool(of_identity) and all(_is_trusted(one.chain, builder) for one in of_identity)
        for name, of_identity in credentials.items()
    }
    names = [(name, trusted.get(identity, False)) for identity, one in config.identity.items() for name in one.names]
    return frozenset(host for host in hosts if _is_safe(host, names))


def _roots(file: Path) -> list[x509.Certificate]:
    """The roots in a file. Systems have some that are too old to be read, which are left out."""
    roots = []
    try:
        blocks = file.read_bytes().split(_END)[:-1]
    except OSError:
        return []
    for block in blocks:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            with suppress(ValueError, CryptographyDeprecationWarning):
                roots.append(x509.load_pem_x509_certificate(block + _END))
    return roots


def _is_safe(host: str, names: Sequence[tuple[str, bool]]) -> bool:
    """Whether all certificates that a client of the host may get are trusted."""
    if host.startswith("*."):  # in a route, the wildcard stands for one label or more
        verdicts = [is_trusted for name, is_trusted in names if name.endswith(host[1:])]
    else:
        verdicts = [is_trusted for name, is_trusted in names if name_matches(name, host)]
    return bool(verdicts) and all(verdicts)


def _is_trusted(chain: Chain, builder: PolicyBuilder) -> bool:
    """Whether the chain leads to a root, for the first name of its certificate."""
    leaf, *others = chain
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        name = names.get_values_for_type(x509.DNSName)[0].replace("*", "any")
        builder.build_server_verifier(x509.DNSName(name)).verify(leaf, others)
    except (VerificationError, x509.ExtensionNotFound, IndexError, ValueError):
        return False
    return True
