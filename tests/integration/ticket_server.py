"""A process that makes handshakes with contexts of `proxy.tls.openssl.context`, from a secret that it is given.

Run with one argument, JSON: certificate, key, identity, groups, suites, current, previous (secrets in hex, or null). Prints its
port, then answers each connection with one byte, `r` if it was resumed and `n` if it was not.
"""

import json
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

from config.schema import CredentialPreference, HttpProtocol
from proxy.tls.openssl.context import TICKETS_PER_HANDSHAKE, ServerContext, TlsSettings, build_server_context
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.wire.client_hello import parse_client_hello
from proxy.tls.wire.records import ClientHelloReader
from proxy.tls.wire.signature_schemes import sigalgs_list


def context(given: dict[str, str | None]) -> ServerContext:
    """What the proxy would build."""
    previous = given["previous"]
    credential = SimpleNamespace(certificate_path=Path(str(given["certificate"])), key_pem_path=Path(str(given["key"])))
    return build_server_context(
        str(given["identity"]),
        [credential],
        sigalgs_list(CredentialPreference.CLASSICAL),
        TlsSettings(str(given["groups"]), str(given["suites"]), (HttpProtocol.HTTP_1,)),
        TicketSecrets(bytes.fromhex(str(given["current"])), None if previous is None else bytes.fromhex(previous)),
    )


def psk_identities(sock: socket.socket) -> "tuple[bytes, ...]":
    """The tickets in the hello that waits in the socket."""
    while True:
        reader = ClientHelloReader(65_536, 65_536)
        reader.receive_data(sock.recv(65_536, socket.MSG_PEEK))
        if reader.message is not None:
            return tuple(parse_client_hello(reader.message).psk_identities)


def main() -> None:
    """Serve until the process is ended."""
    built = context(json.loads(sys.argv[1]))
    built.current.num_tickets = TICKETS_PER_HANDSHAKE  # of OpenSSL: there is no `TlsStream` here
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 - its interface
        while True:
            sock, _ = listening.accept()
            selected = built.select(psk_identities(sock))
            with selected.wrap_socket(sock, server_side=True) as tls:
                tls.sendall(b"r" if tls.session_reused else b"n")


if __name__ == "__main__":
    main()
