"""What this process's OpenSSL can do: its version, the configured providers, and their groups."""

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.tls.openssl import libssl
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.groups import KNOWN, NamedGroup, classify
from proxy.tls.wire.records import ClientHelloReader, HelloError

# The first version with ML-KEM and ML-DSA of its own, and with tuples in the group list.
OLDEST_OPENSSL: Final = (3, 5)
# For our own hello. FrodoKEM-1344 has the largest key share that fits, 21 KB; Classic McEliece does
# not fit a hello at all.
_ANY_HELLO_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is really there, for start-up to check against the configuration and to report."""

    version: str
    libssl: str
    providers: tuple[str, ...]
    missing_providers: tuple[str, ...]
    groups: Mapping[str, NamedGroup]
    """By every name that OpenSSL accepts, in lower case."""
    unusable_groups: tuple[str, ...] = ()
    """Groups that a provider lists, with which no hello of TLS 1.3 can be made."""

    @property
    def has_group_tuples(self) -> bool:
        """Whether the group list has tuples. An older OpenSSL cannot move a client to a hybrid by
        HelloRetryRequest.
        """
        return ssl.OPENSSL_VERSION_INFO[:2] >= OLDEST_OPENSSL


def survey(providers: tuple[str, ...]) -> Capabilities:
    """Check the configured OpenSSL of this process. Raises `libssl.InterpreterUnsuitable`."""
    libssl.self_check()
    asked = ("default", *providers)
    available = tuple(name for name in asked if libssl.provider_is_available(name))
    groups, unusable = _groups()
    return Capabilities(
        version=ssl.OPENSSL_VERSION.split(" ")[1],
        libssl=libssl.libssl_path(),
        providers=available,
        missing_providers=tuple(name for name in asked if name not in available),
        groups=groups,
        unusable_groups=unusable,
    )


def _groups() -> tuple[dict[str, NamedGroup], tuple[str, ...]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    found: dict[str, NamedGroup] = {}
    unusable = []
    for name in libssl.implemented_groups(context):
        try:
            found[name.lower()] = KNOWN.get(name.lower()) or classify(name, _code_point(name))
        except _NoHello:
            unusable.append(name)
    # an alias of ours is accepted where the group itself is there
    present = set(found.values())
    return found | {alias: group for alias, group in KNOWN.items() if group in present}, tuple(unusable)


class _NoHello(Exception):
    """OpenSSL lists a group, but makes no hello with it."""


def _code_point(name: str) -> int:
    """Ask OpenSSL: a client that lists only this group says its number in the ClientHello.

    Raises `_NoHello`: oqs-provider lists its BIKE groups as those of TLS 1.3, and gives them a
    least version of none; a public key of Classic McEliece does not fit a hello.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    incoming = ssl.MemoryBIO()
    outgoing = ssl.MemoryBIO()
    reader = ClientHelloReader(_ANY_HELLO_BYTES, _ANY_HELLO_BYTES)
    try:
        libssl.set_groups(context, name)
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        reader.receive_data(outgoing.read())
    except (libssl.LibsslError, ssl.SSLError, HelloError) as error:
        raise _NoHello from error
    if reader.message is None:
        raise _NoHello
    return parse_client_hello(reader.message).supported_groups[0]
