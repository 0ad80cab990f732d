"""What PROXY headers tell servers about a client's connection."""

from socket import SocketType
from typing import Final

from cryptography.x509.oid import NameOID

from proxy.proxy_protocol.header import Endpoints, ProxyHeader
from proxy.proxy_protocol.writing import DescribedConnection, DescribedTls
from proxy.tls.handshake.results import Established
from proxy.tls.wire.client_certificate import ClientCertificate, read_certificate
from proxy.tls.wire.protocols import BARE_TCP
from proxy.upstream.pooling.client_link import ClientLink

_VERSION: Final = "TLSv1.3"  # there is no other, and OpenSSL writes it so
_MAPPED: Final = "::ffff:"  # as the kernel writes an IPv4-mapped address (RFC 4291 section 2.5.5.2)


class Origin:
    """Where the connection of a client comes from."""

    def __init__(self, sock: SocketType | None, header: ProxyHeader | None, ends: Endpoints | None = None) -> None:
        """`header` is what a balancer in front of us has said of it.

        A connection without a socket of its own has known `ends`.
        """
        self.sock: Final = sock
        self.header: Final = header
        self.ends: Final = ends


def described(origin: Origin | None, client: str, tls: Established | None) -> DescribedConnection:
    """All that is known of a connection.

    `client` may be another one than that of the connection: a trusted peer sends the requests of
    several. The ports of those are unknown.
    """
    endpoints = None
    unique_id = b""
    if origin is not None:
        endpoints = (origin.header and origin.header.endpoints) or origin.ends or _ends(origin.sock)
        unique_id = origin.header.unique_id if origin.header else b""
    if endpoints is not None and endpoints.source != _plain(client):
        endpoints = Endpoints(_plain(client), 0, endpoints.destination, endpoints.destination_port)
    if tls is None:
        return DescribedConnection(endpoints, unique_id=unique_id)
    told = DescribedTls(
        version=_VERSION,
        cipher=tls.cipher_name,
        group="" if tls.group is None else tls.group.name,
        is_resumed=tls.is_resumed,
        has_certificate=tls.client is not None,
        common_name="" if tls.client is None else _common_name(tls.client),
    )
    return DescribedConnection(
        endpoints, tls.server_name or "", "" if tls.protocol == BARE_TCP else str(tls.protocol), told, unique_id
    )


class RequestLink(ClientLink):
    """A request of another client than the peer, which is trusted to send the requests of several.

    It keeps no connection to a server, so it shares none with another client.
    """

    def __init__(self, origin: Origin | None, client: str, tls: Established) -> None:
        """`client` is the address of the request's client."""
        super().__init__(keeps_servers=False)
        self._origin = origin
        self._client = client
        self._tls = tls

    def described(self) -> DescribedConnection:
        return described(self._origin, self._client, self._tls)


def _ends(sock: SocketType | None) -> Endpoints | None:
    """Both ends of a connection; None if the client has left already."""
    if sock is None:
        return None
    try:
        peer = sock.getpeername()
        own = sock.getsockname()
    except OSError:
        return None
    return Endpoints(_plain(peer[0]), peer[1], _plain(own[0]), own[1])


def _plain(address: str) -> str:
    """An address without the zone of a link, and an IPv4-mapped one as IPv4."""
    address = address.partition("%")[0]
    return address.removeprefix(_MAPPED) if "." in address else address


def _common_name(certificate: ClientCertificate) -> str:
    """The first common name of its subject, empty if there is none that can be read."""
    try:
        names = read_certificate(certificate.leaf).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return str(names[0].value) if names else ""
