"""The states of a handshake, each with what it holds.

    state       what it waits for                       what follows
    ----------  --------------------------------------  ------------------------------------
    Reading     the client: its ClientHello             Choosing, Over
    Choosing    nothing: it decides at once             Answering, Signing, Challenged, Over
    Answering   OpenSSL (`server_step`): the flight;    Finishing, Over
                after a HelloRetryRequest the client
    Signing     a token, OpenSSL, or the thread for     Finishing, Answering, Over
                slow groups (`signed_flight`);
                after a HelloRetryRequest the client
    Finishing   the client: its Finished; then OpenSSL  Over: the connection is established
    Challenged  OpenSSL and the client in turn          Over: the CA has seen its challenge
    Over        nothing                                 -

From every state a handshake may go to Over: by a refusal, by its deadline, or because the client
leaves. The observer is told exactly once how it ended, and not at all if the observer itself has
ended it (`give_way`).
"""

from typing import ClassVar, Final, TypeAlias

from proxy.tls.handshake.attempt import Flight
from proxy.tls.handshake.identities import ServerIdentity
from proxy.tls.handshake.server_step import ServerStep, ServerSteps
from proxy.tls.handshake.signed_flight import SignedFlight
from proxy.tls.wire.client_hello import ClientHello
from proxy.tls.wire.records import ClientHelloReader
from proxy.tls.wire.server_hello import ServerHello

# The states are not dataclasses: mypyc leaves the `__init__` of those to the interpreter, and a
# connection needs four.


class Reading:
    """The ClientHello is not complete."""

    hello: ClassVar[None] = None
    identity: ClassVar[None] = None

    def __init__(self, reader: ClientHelloReader) -> None:
        self.reader = reader


class Choosing:
    """The ClientHello is read; it decides how the handshake continues."""

    def __init__(self, hello: ClientHello) -> None:
        self.hello = hello
        self.identity: ServerIdentity | None = None


class Answering:
    """OpenSSL makes the server's flight, with a key in a file."""

    def __init__(self, hello: ClientHello, identity: ServerIdentity, steps: ServerSteps) -> None:
        self.hello = hello
        self.identity = identity
        self.steps = steps
        self.is_retried = False
        """Whether a HelloRetryRequest was sent."""


class Signing:
    """The server's flight takes long: its key is in a token, or its key exchange is slow."""

    def __init__(self, hello: ClientHello, identity: ServerIdentity, flight: SignedFlight) -> None:
        self.hello = hello
        self.identity = identity
        self.flight = flight
        self.is_retried = False
        """Whether a HelloRetryRequest was sent."""


class Finishing:
    """The server's flight is sent."""

    def __init__(
        self, before: Answering | Signing, steps: ServerSteps, server_hello: ServerHello, made: ServerStep | Flight
    ) -> None:
        """Await the client's Finished. `steps` make the tickets, and `made` has the flight."""
        self.hello = before.hello
        self.identity = before.identity
        self.is_retried = before.is_retried
        self.steps = steps
        self.server_hello = server_hello
        self.seconds = made.seconds
        self.tickets = self.identity.context.tickets(made.tls.context, is_resumed=server_hello.psk_selected)
        """How many the client gets."""
        # what a client has proved is sealed in its tickets, once it is known
        steps.tickets = 0 if self.identity.clients is not None else self.tickets


class Challenged:
    """A CA is shown the certificate of a challenge."""

    identity: ClassVar[None] = None

    def __init__(self, hello: ClientHello, server_name: str, steps: ServerSteps) -> None:
        """Answer `hello`, which names `server_name`, by `steps`."""
        self.hello = hello
        self.server_name = server_name
        self.steps = steps


class Over:
    """The observer was told, and nothing that comes matters any more."""

    hello: ClassVar[None] = None
    identity: ClassVar[None] = None


OVER: Final = Over()

HandshakeState: TypeAlias = Reading | Choosing | Answering | Signing | Finishing | Challenged | Over
