"""What each worker can do: the certificates that it shows, and the keys of tokens that it signs
with.

A handshake is made with each worker, on each listener, for each credential of an identity. The
kernel chooses the worker of a connection. So the parent makes connections over the loopback
device and sends one end of each to a worker, which serves it as if it had accepted it.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from cryptography import x509

from certs.identities.credential import Credential
from config.tables.listener import ListenerConfig
from config.values.pkcs11_uri import Pkcs11Uri
from proxy.api.certificates import ShownRow
from proxy.api.commands import KeyTrialDocument, WorkerKeyRow
from proxy.net.in_thread import in_thread
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.questions import TakeConnection, TryKey
from proxy.processes.messages.refusals import QuestionRefused
from proxy.rotation.pinned import ShownChain, shown_over
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.workers.process import WorkerProcess
from proxy.supervisor.workers.workforce import Workforce
from proxy.tls.openssl.libssl import LibsslError
from proxy.tls.wire.groups import are_foreign


class Inspection:
    """Checks the certificates that workers show."""

    def __init__(self, loop: asyncio.AbstractEventLoop, workforce: Workforce, served: ServedEdition) -> None:
        self._loop = loop
        self._workforce = workforce
        self._served = served

    async def of(self, identity: str) -> list[ShownRow] | None:
        """A row for each worker, listener and credential. None for an unknown identity.

        The `fault` of a row is None if the handshake was good. `untried` says why none was made, or
        which replica was shown instead.
        """
        async with self._workforce.editing:  # no change of edition while the workers are looked at
            edition = self._served.edition
            if identity not in edition.loaded.config.identity:
                return None
            credentials = await in_thread(self._loop, lambda: edition.credentials(identity))
            names = edition.loaded.config.identity[identity].names
            rows: list[ShownRow] = []
            for worker in self._workforce.workers:
                for listener, settings in edition.loaded.config.listener.items():
                    foreign = _foreign(settings)
                    for one in credentials:
                        leaves = [other.leaf for other in credentials if other.algorithm.kind == one.algorithm.kind]
                        found = ShownChain() if foreign else await self._shown(worker, listener, leaves, names)
                        rows.append(_row(worker, listener, one, found, foreign))
            return rows

    async def _shown(
        self, worker: WorkerProcess, listener: str, leaves: Sequence[x509.Certificate], names: Sequence[str]
    ) -> ShownChain:
        ours, theirs = connected_pair()
        try:
            with theirs:
                await worker.ask(TakeConnection(listener), [theirs.fileno()])
        except (ChannelLost, QuestionRefused) as error:
            ours.close()
            return ShownChain(fault=str(error) or "it did not take the connection")
        return await in_thread(self._loop, lambda: _shaken(ours, leaves, names))


def _row(
    worker: WorkerProcess, listener: str, credential: Credential, found: ShownChain, foreign: list[str]
) -> ShownRow:
    serial = f"{credential.leaf.serial_number:x}"
    untried = f"only providers have its groups ({', '.join(foreign)})" if foreign else None
    if found.serial not in ("", serial):
        untried = f"another replica signs now, serial {found.serial}"
    return {
        "worker": worker.slot,
        "pid": worker.pid,
        "listener": listener,
        "algorithm": str(credential.algorithm),
        "serial": serial,
        "fault": found.fault,
        "untried": untried,
    }


def _foreign(listener: ListenerConfig) -> list[str]:
    written = [name for one in listener.groups or () for name in ([one] if isinstance(one, str) else one)]
    return written if are_foreign(written) else []


def _shaken(client: socket.socket, leaves: Sequence[x509.Certificate], names: Sequence[str]) -> ShownChain:
    try:
        return shown_over(client, leaves, names)
    except LibsslError as error:
        return ShownChain(fault=str(error))


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over the loopback device. Raises `OSError`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        while True:
            accepted, address = listening.accept()
            if address == client.getsockname():
                return client, accepted
            accepted.close()  # another process has connected


# For a signature, or for finding the key. A worker whose token hangs counts as one without answer.
_KEY_SECONDS: Final = 10.0


class WorkerKeyTrial:
    """Lets the workers try keys."""

    def __init__(self, loop: asyncio.AbstractEventLoop, served: ServedEdition, workforce: Workforce) -> None:
        self._loop = loop
        self._served = served
        self._workforce = workforce

    async def of(self, key: Pkcs11Uri) -> KeyTrialDocument:
        """See `admin.requests.contracts.KeyTrials.of`.

        `uses` also has the uses by the parent, such as `[sealing]`. Workers do not know these.
        """
        edition = self._served.edition
        uses = await in_thread(self._loop, edition.used_keys)
        answers = await self._workforce.ask_all(TryKey(key), _KEY_SECONDS)
        workers: list[WorkerKeyRow] = [
            {
                "slot": worker.slot,
                "pid": worker.pid,
                "is_used": None if tried is None else tried.is_used,
                "signs": None if tried is None else tried.signs,
            }
            for worker, tried in answers.items()
        ]
        return {"uses": [one.where for one in uses if one.may_be(key)], "workers": workers}
