"""A handshake with each worker, on each listener, for each credential of an identity.

The kernel chooses the worker of a connection. So the parent makes connections over the loopback
device and sends one end of each to a worker, which serves it as if it had accepted it.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from cryptography import x509

from certs.identities.credential import Credential
from config.listener import ListenerConfig
from proxy.net.in_thread import in_thread
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.questions import TakeConnection
from proxy.processes.messages.refusals import QuestionRefused
from proxy.rotation.pinned import fault_of_handshake
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.workers.fleet import Fleet
from proxy.supervisor.workers.process import WorkerProcess
from proxy.tls.groups import are_foreign
from proxy.tls.libssl import LibsslError


class Inspection:
    """Checks the certificates that workers show."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Fleet, served: ServedEdition) -> None:
        """`served` says what should be shown."""
        self._loop = loop
        self._fleet = fleet
        self._served = served

    async def of(self, identity: str) -> list[dict[str, Any]] | None:
        """A row for each worker, listener and credential. None for an unknown identity.

        The `fault` of a row is None if the handshake was good, or if none was made: `untried` says
        why.
        """
        async with self._fleet.editing:  # no change of edition while the workers are looked at
            edition = self._served.edition
            if identity not in edition.loaded.config.identity:
                return None
            credentials = await in_thread(self._loop, lambda: edition.credentials(identity))
            names = edition.loaded.config.identity[identity].names
            return [
                {
                    "worker": worker.slot,
                    "pid": worker.pid,
                    "listener": listener,
                    "algorithm": str(one.algorithm),
                    "serial": f"{one.leaf.serial_number:x}",
                    "fault": None if foreign else await self._fault(worker, listener, one, names),
                    "untried": f"only providers have its groups ({', '.join(foreign)})" if foreign else None,
                }
                for worker in self._fleet.workers
                for listener, settings in edition.loaded.config.listener.items()
                for foreign in [_foreign(settings)]
                for one in credentials
            ]

    async def _fault(
        self, worker: WorkerProcess, listener: str, credential: Credential, names: Sequence[str]
    ) -> str | None:
        ours, theirs = connected_pair()
        try:
            with theirs:
                await worker.ask(TakeConnection(listener), [theirs.fileno()])
        except (ChannelLost, QuestionRefused) as error:
            ours.close()
            return str(error) or "it did not take the connection"
        return await in_thread(self._loop, lambda: _shaken(ours, credential.leaf, names))


def _foreign(listener: ListenerConfig) -> list[str]:
    written = [name for one in listener.groups or () for name in ([one] if isinstance(one, str) else one)]
    return written if are_foreign(written) else []


def _shaken(client: socket.socket, leaf: x509.Certificate, names: Sequence[str]) -> str | None:
    try:
        return fault_of_handshake(client, leaf, names)
    except LibsslError as error:
        return str(error)


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over the loopback device. Raises `OSError`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        while True:
            accepted, address = listening.accept()
            if address == client.getsockname():
                return client, accepted
            accepted.close()  # another process has connected
