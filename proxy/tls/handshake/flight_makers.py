"""The three ways in which a flight is made: on the loop, in the thread for slow groups, by a token.

Theory of operation. Each maker makes one flight. On the loop that is a step in its turn of the
queue (`step_queue`). A slow key exchange has a thread of its own (`slow_exchanges`). A key in a
token is asked in a race between tokens (`signing.race`). Their threads make the attempts, each from
the first ClientHello on.

The race has to know who is at fault when an attempt fails. It is the client in two cases: OpenSSL
refused the hello before it answered it, or a context that needs no token fails on the same bytes.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from proxy.signing.executor import GivenUp, Job
from proxy.signing.race import RaceLoss, SigningRace, SigningServices
from proxy.tls.handshake.attempt import (
    AttemptFailed,
    Flight,
    RetryDiffers,
    Transcript,
    attempt_in_thread,
    judge_hello,
)
from proxy.tls.handshake.group_choice import SlowExchange
from proxy.tls.handshake.results import ConnectionRefusal, FailureReason, openssl_code, openssl_reason
from proxy.tls.handshake.slow_exchanges import SlowExchanges
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.step_queue import StepQueue
from proxy.tls.tokens.signing_plan import TokenCredential
from proxy.tls.tokens.token_key import KeyContext
from proxy.tls.wire.alerts import AlertDescription

if TYPE_CHECKING:
    from proxy.tls.openssl.context import ServerContext

_INTERNAL_ERROR: Final = AlertDescription.INTERNAL_ERROR
_NOT_ALIKE: Final = "the contexts of the identity ask for different groups"
_LOSSES: Final[Mapping[RaceLoss, tuple[FailureReason, str]]] = {
    RaceLoss.TIMEOUT: (FailureReason.SIGNING_TIMEOUT, "no signature came in time"),
    RaceLoss.BUSY: (FailureReason.SIGNING_BUSY, "too many signatures are waiting"),
    RaceLoss.UNAVAILABLE: (FailureReason.SIGNING_UNAVAILABLE, "no token can sign with a key of the identity"),
}


@dataclass(frozen=True, slots=True)
class FlightServices:
    """What the flights of one process share: driver and steps of its loop, and its tokens."""

    driver: TlsDriver
    steps: StepQueue
    signing: SigningServices
    slow: SlowExchanges
    threads_driver: TlsDriver | None = None
    """The driver in signing threads too; None: each thread has one of its own."""

    @classmethod
    def of(cls, driver: TlsDriver, steps: StepQueue, signing: SigningServices) -> "FlightServices":
        return cls(driver, steps, signing, SlowExchanges(signing.loop, signing.clock))

    def driven_by(self, driver: TlsDriver, steps: StepQueue) -> "FlightServices":
        """The same with another driver, which any thread may use, and other turns."""
        return FlightServices(driver, steps, self.signing, self.slow, driver)


class MakerOwner(Protocol):
    """The object that needs the flight. It is told one of these, once, and none after `abandon`."""

    def made(self, flight: Flight) -> None:
        """Use the flight. Its object has the driver of the loop."""

    def failed(self, refusal: ConnectionRefusal) -> None:
        """There will be no flight."""

    def crowded_out(self) -> None:
        """There will be no flight: too many slow key exchanges wait."""


# No dataclasses: mypyc leaves the `__init__` of those to the interpreter.


class LoopMaker:
    """Makes it on the loop, in its turn of the step queue."""

    def __init__(self, work: Callable[[], Flight], owner: MakerOwner) -> None:
        self._work: Callable[[], Flight] | None = work
        """It is None once it was done, or is not needed any more."""
        self._result: Flight | ConnectionRefusal | None = None
        self._owner: Final = owner

    def begin(self, steps: StepQueue) -> None:
        steps.enlist(self)

    def abandon(self) -> None:
        """End: the owner is not told any more."""
        self._work = None
        self._result = None

    def step(self) -> None:
        """Make it (`step_queue.Stepping`)."""
        work, self._work = self._work, None
        if work is None:
            return
        try:
            self._result = work()
        except (AttemptFailed, RetryDiffers) as failure:
            self._result = _refusal_for(failure)

    def stepped(self) -> None:
        """Tell the owner (`step_queue.Stepping`)."""
        result, self._result = self._result, None
        if isinstance(result, Flight):
            self._owner.made(result)
        elif result is not None:
            self._owner.failed(result)


class ThreadMaker:
    """Makes it in the thread for slow key exchanges."""

    def __init__(self, services: FlightServices, owner: MakerOwner) -> None:
        self._services = services
        self._owner: Final = owner
        self._job: Job[Flight] | None = None

    def begin(self, context: ssl.SSLContext, transcript: Transcript, exchange: SlowExchange, network: bytes) -> None:
        """Wait for the turn of the client's `network`. Tells the owner at once if that is late."""
        work = partial(attempt_in_thread, lambda: context, transcript, self._services.threads_driver)
        self._job = self._services.slow.begin(network, exchange, work, self._settled)
        if self._job is None:
            self._owner.crowded_out()

    def abandon(self) -> None:
        """End: a place in the queue is free again, and the owner is not told any more."""
        job, self._job = self._job, None
        if job is not None:
            self._services.slow.cancel(job)

    def _settled(self, job: Job[Flight], result: Flight | BaseException) -> None:
        if self._job is not job:
            return  # it is over
        self._job = None
        if isinstance(result, Flight):
            self._services.driver.adopt(result.tls)
            self._owner.made(result)
        elif isinstance(result, GivenUp):
            self._owner.crowded_out()
        elif isinstance(result, (AttemptFailed, RetryDiffers)):
            self._owner.failed(_refusal_for(result))
        else:
            raise result


class TokenMaker:
    """Has it made by the first token that can (`signing.race.RaceOwner`)."""

    def __init__(
        self,
        services: FlightServices,
        credential: TokenCredential,
        transcript: Transcript,
        stand_in: "ServerContext | None",
        network: bytes,
        owner: MakerOwner,
    ) -> None:
        """`stand_in` judges the client's bytes without a token; None: they are known to be good.

        `network` is the client's, for the order in the queues.
        """
        self._services = services
        self._transcript = transcript
        self._stand_in = stand_in
        self._owner: Final = owner
        self._race: SigningRace[KeyContext, Flight, AttemptFailed] = SigningRace(
            services.signing,
            credential.keys,
            credential.turn(),
            partial(_attempt_by, transcript, services.threads_driver),
            network,
            self,
        )

    def begin(self, deadline: float) -> None:
        self._race.begin(deadline)

    def abandon(self) -> None:
        self._race.abandon()

    def race_won(self, result: Flight) -> None:
        self._services.driver.adopt(result.tls)
        self._owner.made(result)

    def race_lost(self, loss: RaceLoss) -> None:
        reason, detail = _LOSSES[loss]
        self._owner.failed(ConnectionRefusal(reason, _INTERNAL_ERROR, detail))

    def race_refused(self, fault: AttemptFailed) -> None:
        """OpenSSL does not take what the client has sent."""
        self._owner.failed(_refusal_for(fault))

    def judge(self, error: BaseException) -> AttemptFailed | None:
        """The client's fault, if `error` is one; its bytes are tried once without a token."""
        if isinstance(error, AttemptFailed) and error.is_refusal:
            return error
        stand_in, self._stand_in = self._stand_in, None  # what was good once is good
        return None if stand_in is None else judge_hello(stand_in.current, self._transcript, self._services.driver)


def _attempt_by(transcript: Transcript, driver: TlsDriver | None, key: KeyContext) -> Flight:
    return attempt_in_thread(key.current, transcript, driver)


def _refusal_for(failure: AttemptFailed | RetryDiffers) -> ConnectionRefusal:
    """What the client hears of a failed attempt."""
    if isinstance(failure, RetryDiffers):
        return ConnectionRefusal(FailureReason.TLS_ERROR, _INTERNAL_ERROR, _NOT_ALIKE)
    code = openssl_code(failure.error)
    return ConnectionRefusal(openssl_reason(code), failure.alert or _INTERNAL_ERROR, code or str(failure.error))
