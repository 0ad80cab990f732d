"""Visits the listeners: makes the handshakes and the requests, and yields a finding for each.

Every handshake has a deadline, and none is made twice. All of them count in the figures of the
proxy. A request goes to the server behind the proxy; on a listener that relays TCP, each handshake
that is established opens a connection to it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from config.schema import HttpProtocol
from proxy.doctor.finding import Finding, Judge
from proxy.doctor.handshakes import judgement, offers, presented, requests
from proxy.doctor.handshakes.conversation import Conversation, conversation
from proxy.doctor.handshakes.expectation import expected
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.observation import Ending, Observation
from proxy.doctor.handshakes.offers import HelloOffer
from proxy.doctor.handshakes.stack import Session, TlsClient, version
from proxy.doctor.handshakes.visits import Entrance, PassedOn, VisitedListener, VisitedName

_SECONDS: Final = 5.0
"""A healthy handshake takes milliseconds, also by a token."""
_FIRST_WORD_SECONDS: Final = 1.0
_MOST_NAMES: Final = 200
_FURTHER: Final = "further handshakes"
_NO_ANSWER: Final = frozenset({Ending.SILENT, Ending.UNREACHABLE, Ending.NOT_TLS})


@dataclass(slots=True)
class ListenerVisit:
    listener: VisitedListener
    pause: Callable[[float], None] = time.sleep
    seconds: list[float] = field(default_factory=list)
    """How long each handshake took that was established."""
    unanswered: set[Entrance] = field(default_factory=set)
    """Where no TLS server answered a handshake: a further one would cost the same time again."""

    # -- the policy of an address

    def policy_findings(self) -> Iterator[Finding]:
        """Try the policy at each address of the listener, by one name of those that it has."""
        if self.listener.foreign:
            found = f"{version()}, which the doctor uses, has no {' and no '.join(self.listener.foreign)}"
            yield Judge(judgement.KEY_EXCHANGE).skipped(self.listener.name, found)
        names = self.listener.names
        named = next((one for one in names if not one.demands_certificate), names[0])
        for door in self.listener.doors:
            subject = Subject(self.listener.name, str(door), named.name)
            yield from self._key_exchanges(door, subject)
            if door in self.unanswered:
                yield Judge(_FURTHER).skipped(subject, "not tried: no TLS server answered the first one")
                continue
            yield self._unknown_name(door)
            yield self._old_version(door, subject)
            if not named.demands_certificate:
                yield self._resumption(door, subject)
        yield judgement.latency(self.listener.name, self.seconds)

    def _key_exchanges(self, door: Entrance, subject: Subject) -> Iterator[Finding]:
        one = self.listener
        hybrid = offers.hybrid_share(subject.name, one.groups, one.alpn)
        for check, offer in (
            (judgement.KEY_EXCHANGE, hybrid),
            (judgement.RETRY, offers.classical_share(subject.name, one.groups, one.alpn)),
            (judgement.CLASSICAL, offers.classical_only(subject.name, one.groups, one.alpn)),
            (judgement.SEGMENTS, offers.in_many_segments(hybrid)),
        ):
            wanted = expected(one.preference, one.pq, offer)
            yield judgement.key_exchange(check, subject, self._shake(offer, door), wanted, one.pq)
            if door in self.unanswered:
                return

    def _unknown_name(self, door: Entrance) -> Finding:
        offer = offers.hybrid_share(offers.UNKNOWN_NAME, self.listener.groups, self.listener.alpn)
        subject = Subject(self.listener.name, str(door), offers.UNKNOWN_NAME)
        return judgement.unknown_name(subject, self._shake(offer, door), self.listener.settings.default)

    def _old_version(self, door: Entrance, subject: Subject) -> Finding:
        offer = offers.with_tls_1_2(offers.hybrid_share(subject.name, self.listener.groups, self.listener.alpn))
        return judgement.old_version(subject, self._shake(offer, door))

    def _resumption(self, door: Entrance, subject: Subject) -> Finding:
        if not self.listener.speaks_http:
            reason = "a ticket comes with the first data of the server behind, and the doctor asks it for none"
            return Judge(judgement.RESUMPTION).skipped(subject, reason)
        client = TlsClient(offers.hybrid_share(subject.name, self.listener.groups, _one_of(self.listener.alpn)))
        self.pause(self.listener.pause)
        with conversation(client, door, _SECONDS) as first:
            session = _ticket(first)
            seen = first.observation
        if not seen.is_established:
            return judgement.resumption(subject, seen)
        if session is None:
            return judgement.no_ticket(subject)
        self.pause(self.listener.pause)
        with conversation(client, door, _SECONDS, session) as second:
            return judgement.resumption(subject, second.observation)

    # -- the names

    def name_findings(self, mldsa: Mapping[str, bool], now: datetime) -> Iterator[tuple[Subject, Finding]]:
        """Ask for each name at the first address: its chain, ML-DSA, and client certificates.

        `mldsa` has the identities of the running proxy, and whether they have such a certificate.
        """
        door = self.listener.doors[0]
        for named in self.listener.names[:_MOST_NAMES]:
            subject = Subject(self.listener.name, str(door), named.name)
            seen = self._shake(offers.hybrid_share(named.name, self.listener.groups, self.listener.alpn), door)
            if seen.is_established:
                yield subject, presented.chain(subject, seen.chain, now)
            else:
                yield subject, judgement.unserved(presented.CHAIN, subject, seen)
            yield subject, self._mldsa(door, subject, mldsa.get(named.identity))
            if named.demands_certificate:
                yield subject, self._without_certificate(door, subject)
        left = len(self.listener.names) - _MOST_NAMES
        if left > 0:
            subject = Subject(self.listener.name, str(door), f"{left} more names")
            yield subject, Judge(presented.CHAIN).skipped(subject, f"the first {_MOST_NAMES} are tried")

    def _mldsa(self, door: Entrance, subject: Subject, has_mldsa: bool | None) -> Finding:  # noqa: FBT001 - may be unknown
        offer = offers.with_mldsa_only(offers.hybrid_share(subject.name, self.listener.groups, self.listener.alpn))
        return judgement.mldsa(subject, self._shake(offer, door), has_mldsa)

    def _without_certificate(self, door: Entrance, subject: Subject) -> Finding:
        client = TlsClient(offers.hybrid_share(subject.name, self.listener.groups, self.listener.alpn))
        self.pause(self.listener.pause)
        with conversation(client, door, _SECONDS) as attempt:
            return judgement.client_certificate(subject, attempt.settled(_FIRST_WORD_SECONDS))

    def _shake(self, offer: HelloOffer, door: Entrance) -> Observation:
        client = TlsClient(offer)
        self.pause(self.listener.pause)
        with conversation(client, door, _SECONDS) as attempt:
            seen = attempt.observation
        if seen.is_established:
            self.seconds.append(seen.seconds)
        if seen.ending in _NO_ANSWER:
            self.unanswered.add(door)
        return seen

    # -- requests

    def request_findings(self, named: VisitedName, path: str) -> Iterator[Finding]:
        """Send a GET by each protocol of the listener, and a WebSocket handshake."""
        door = self.listener.doors[0]
        subject = Subject(self.listener.name, str(door), named.name)
        spoken = self.listener.settings.http
        if HttpProtocol.HTTP_1 in spoken:
            data = requests.get(named.name, path)
            yield self._asked(requests.HTTP_1, subject, HttpProtocol.HTTP_1, _Http1(data))
        if HttpProtocol.HTTP_2 in spoken:
            get = requests.Http2Get(named.name, path, time.monotonic)
            yield self._asked(requests.HTTP_2, subject, HttpProtocol.HTTP_2, get)
        if HttpProtocol.HTTP_1 in spoken:
            data = requests.websocket_handshake(named.name, path)
            yield self._asked(requests.WEBSOCKET, subject, HttpProtocol.HTTP_1, _Http1(data))

    def _asked(
        self, check: str, subject: Subject, protocol: HttpProtocol, dialogue: "requests.Http2Get | _Http1"
    ) -> Finding:
        client = TlsClient(offers.hybrid_share(subject.name, self.listener.groups, (str(protocol),)))
        self.pause(self.listener.pause)
        with conversation(client, self.listener.doors[0], _SECONDS) as attempt:
            if not attempt.observation.is_established:
                return judgement.unserved(check, subject, attempt.observation)
            if attempt.observation.protocol != protocol:
                return requests.wrong_protocol(check, subject, attempt.observation.protocol, protocol)
            try:
                reply = _reply(attempt, dialogue)
            except (OSError, requests.NoResponse) as error:
                return requests.no_reply(check, subject, str(error) or f"nothing within {_SECONDS:g} s")
            if check == requests.WEBSOCKET:
                return requests.upgrade_finding(subject, reply)
            return requests.reply_finding(check, subject, reply)


def passthrough_finding(one: PassedOn) -> Finding:
    """Shake hands with the server that a name is passed on to."""
    with conversation(TlsClient(offers.hybrid_share(one.name, offers.USUAL)), one.door, _SECONDS) as attempt:
        subject = Subject(one.listener, str(one.door), one.name)
        return judgement.passed_on(subject, attempt.observation, one.server)


class _Http1:
    """One request of HTTP/1.1, and its response."""

    def __init__(self, request: bytes) -> None:
        self._unsent = request
        self._received = b""

    def to_send(self) -> bytes:
        sent, self._unsent = self._unsent, b""
        return sent

    def receive(self, data: bytes) -> requests.HttpReply | None:
        self._received += data
        return requests.read_reply(self._received)


def _reply(attempt: Conversation, dialogue: "requests.Http2Get | _Http1") -> requests.HttpReply:
    while True:
        if data := dialogue.to_send():
            attempt.send(data)
        received = attempt.receive()
        if not received:
            raise requests.NoResponse("the connection ended before a response")
        reply = dialogue.receive(received)
        if reply is not None:
            if reply.is_accepted:
                attempt.send(requests.CLOSE_FRAME)
            return reply


def _ticket(first: Conversation) -> Session | None:
    """Have the proxy say something of its own: its tickets come with its first data.

    HTTP/2 begins with SETTINGS of the server. In HTTP/1.1 a request for a host that the connection
    is not for gets 421 from the proxy (RFC 9110 section 7.4), and no server behind hears of it.
    """
    if first.observation.is_established and first.observation.protocol != HttpProtocol.HTTP_2:
        try:
            first.send(requests.get(offers.UNKNOWN_NAME, "/"))
        except OSError:
            return None
    first.settled(_FIRST_WORD_SECONDS)
    return first.session


def _one_of(alpn: Sequence[str]) -> tuple[str, ...]:
    return (str(HttpProtocol.HTTP_2),) if HttpProtocol.HTTP_2 in alpn else tuple(alpn)
