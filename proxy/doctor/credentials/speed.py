"""How fast this machine does what handshakes are made of, in a short measurement.

The figure of a handshake is the time of the server's flight: the key exchange by X25519MLKEM768 and
the signature, in the OpenSSL that the proxy uses, on one core. The operations of `plexigate hsm
test` are held against its table.
"""

import ssl
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certs.hsm import software_measures
from certs.hsm.targets import Measured
from certs.keys.generating import ALGORITHMS, digest_for, generate, private_pem
from certs.keys.signing_key import KeyAlgorithm
from proxy.doctor.checkup import Checkup, Examined
from proxy.doctor.credentials.chains import ConfiguredChain, configured_chains
from proxy.doctor.finding import Area, Finding, Judge
from proxy.tls.openssl.libssl import LibsslError, set_groups
from proxy.tls.tokens.probe import BadSignature, signing_seconds

_HANDSHAKES: Final = Judge("handshake speed")
_CRYPTO: Final = Judge("crypto speed")
_GROUP: Final = "X25519MLKEM768"
_USUAL: Final = ALGORITHMS["ec-p256"]
_SECONDS: Final = 0.4
_COUNT: Final = 200
_SLOW: Final = 200.0
"""Handshakes a second on one core: a chat that restarts has thousands of clients that return."""


def algorithms_of(examined: Examined) -> Sequence[KeyAlgorithm]:
    """The kinds of keys that the identities have, as far as they can be made here."""
    if examined.configured is None:
        return [_USUAL]
    chains = [one for one in configured_chains(examined.configured) if isinstance(one, ConfiguredChain)]
    found = dict.fromkeys(one.algorithm for one in chains)
    return [one for one in found if one in ALGORITHMS.values() and one is not None] or [_USUAL]


def flight_seconds(algorithm: KeyAlgorithm, now: datetime, seconds: float = _SECONDS) -> float:
    """The median time of a server's flight with a fresh key of this kind.

    Raises `ssl.SSLError` or `LibsslError` if OpenSSL has no such key or no hybrid group.
    """
    context = _context(algorithm, now)
    taken: list[float] = []
    end = time.monotonic() + seconds
    while len(taken) < _COUNT and (not taken or time.monotonic() < end):
        taken.append(signing_seconds(context))
    return statistics.median(taken)


def _context(algorithm: KeyAlgorithm, now: datetime) -> ssl.SSLContext:
    key = generate(algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plexigate doctor")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    certificate = builder.not_valid_after(now + timedelta(days=1)).sign(key, digest_for(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    set_groups(context, _GROUP)
    with tempfile.NamedTemporaryFile() as file:
        file.write(private_pem(key) + certificate.public_bytes(Encoding.PEM))
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context


def handshake_finding(algorithm: KeyAlgorithm, seconds: float) -> Finding:
    subject = f"{_GROUP} with {algorithm}"
    rate = 1 / seconds
    found = f"{seconds * 1e3:.2f} ms of a core: {rate:.0f} full handshakes a second for each core"
    if rate < _SLOW:
        remedy = "Use ec-p256 keys, which are the fastest, and more cores; look for other load on this machine."
        return _HANDSHAKES.warning(subject, found, remedy)
    return _HANDSHAKES.ok(subject, found)


def _handshakes(examined: Examined) -> Iterator[Finding]:
    for algorithm in algorithms_of(examined):
        try:
            seconds = flight_seconds(algorithm, examined.now())
        except (ssl.SSLError, LibsslError, BadSignature) as error:
            remedy = "The findings of openssl say what is missing."
            yield _HANDSHAKES.failure(f"{_GROUP} with {algorithm}", f"OpenSSL cannot do it: {error}", remedy)
            continue
        yield handshake_finding(algorithm, seconds)


def _measures(examined: Examined) -> Iterator[Callable[[], Measured]]:
    """What the configuration uses. Without one, everything."""
    config = None if examined.configured is None else examined.configured.config
    yield lambda: software_measures.encapsulation(_COUNT, _SECONDS)[0]
    if config is None or ALGORITHMS["mldsa-87"] in algorithms_of(examined):
        yield lambda: software_measures.mldsa_signing(_COUNT, _SECONDS, "")[0]
    if config is None or config.payload.ring:
        yield lambda: software_measures.hybrid_encryption(_COUNT, _SECONDS)[0]
    if config is None or config.sealing.key is not None:
        yield lambda: software_measures.sealing(_COUNT, _SECONDS, "")[0]


def measured_finding(measured: Measured) -> Finding:
    """Hold a measurement against the table of `plexigate hsm test`."""
    found = f"median {measured.median * 1e3:.3f} ms, {measured.per_second:.0f} a second"
    if measured.is_met is False:
        most = measured.target.most_seconds
        least = measured.target.least_per_second
        parts = [f"less than {most * 1e3:g} ms"] if most is not None else []
        parts += [f"more than {least:g} a second"] if least is not None else []
        wanted = f"; the table of plexigate hsm test wants {' and '.join(parts)}"
        return _CRYPTO.warning(measured.target.value, f"{found}{wanted}", "Look for other load on this machine.")
    return _CRYPTO.ok(measured.target.value, found)


def _crypto(examined: Examined) -> Iterator[Finding]:
    yield from (measured_finding(measure()) for measure in _measures(examined))


SPEED: Final = (
    Checkup("handshake speed", Area.SPEED, _handshakes, is_alone=True),
    Checkup("crypto speed", Area.SPEED, _crypto, is_alone=True),
)
