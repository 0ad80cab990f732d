"""An exchange on a route with payload encryption: tokens on the client's side, plain bodies on the upstream's.

Theory of operation. It stands between the two halves of an exchange. A body that is a single token is kept until it is whole, and no
upstream is asked before it was decrypted. Of a stream, tokens are handed on as they come; the first one has to be good before an
upstream is asked, and the end of the body is sent only with the last mark, so a message that turns out to be false is cut there.
Answers go the other way: with a known and small length as one token, else as a stream, a token for whatever one read has brought.
A token takes well under a millisecond, so all of this happens on the loop.
"""

import secrets
from dataclasses import replace
from typing import Final

from proxy.downstream.admission import RouteTarget
from proxy.downstream.contracts import Client, Encryptable
from proxy.downstream.exchange import Exchange
from proxy.downstream.refusals import RequestRefusal, SealedBodyRefused, payload_refused
from proxy.downstream.request_body import CONTINUE
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService
from proxy.http.framing import BodyKind
from proxy.http.head import Header
from proxy.http.headers import upstream_fields
from proxy.http.responses import Response
from proxy.net.byte_stream import ByteStream
from proxy.payload.answer import AnswerKey, SealedAnswer
from proxy.payload.answer_fields import plain_lines, refusal_lines
from proxy.payload.binding import ID_BYTES, BoundExchange, Direction
from proxy.payload.causes import Cause, PayloadFault
from proxy.payload.codec import LARGEST_PLAIN, MARK_CHARACTERS
from proxy.payload.judgement import Coding, PayloadJudgement, PayloadRoute, judge
from proxy.payload.stream import StreamOpener, Vow, bound_length
from proxy.payload.uses import MessageCounts
from proxy.payload.websocket import SealedMessages
from proxy.upstream.connection import UpstreamConnection

# Of a token with the longest envelope and a line feed.
_LONGEST_TOKEN: Final = bound_length(LARGEST_PLAIN + 8)
# What a stream may be longer than its content: a third for base64, and 155 octets for each token.
_WIRE_SHARE: Final = 2
_WIRE_LEAST: Final = 4_096


class SealedExchange(Exchange):
    """One request under way, whose bodies may be encrypted."""

    __slots__ = (
        "_answer",
        "_answer_fault",
        "_cause",
        "_judgement",
        "_mark",
        "_message_id",
        "_message_id_known",
        "_messages",
        "_opener",
        "_place",
        "_plain_bytes",
        "_plain_limit",
        "_replay_seconds",
        "_sent_by_client",
        "_target",
        "_token",
        "_version",
        "mark",
    )

    def __init__(
        self, client: Client, service: HttpService, request: Request, request_id: bytes, route: PayloadRoute
    ) -> None:
        """A request whose head was read; what stands against it is answered by `refused_by`."""
        super().__init__(client, service, request.head, request.framing, request_id)
        self._sent_by_client = request.framing
        self._replay_seconds = route.replay_seconds
        origins = [value for name, value in request.framing.fields.forwarded if name.lower() == b"origin"]
        self.mark = refusal_lines(origins[0] if len(origins) == 1 else None, route.origins)
        self._mark = b""
        self._cause: Cause | None = None
        self._judgement: PayloadJudgement | None = None
        self._opener: StreamOpener | None = None
        self._answer: SealedAnswer | None = None
        self._answer_fault: Cause | None = None
        self._target: RouteTarget | None = None
        self._token = bytearray()
        self._plain_bytes = 0
        self._plain_limit = 0
        self._message_id = b""
        self._message_id_known = False
        self._messages: SealedMessages | None = None
        self._version: int | None = None
        try:
            self._judge(judge(route, request.framing, request.head.method, service.wall_clock()))
        except PayloadFault as fault:
            self._cause = fault.cause

    def _judge(self, judgement: PayloadJudgement) -> None:
        channel = judgement.channel
        framing = self._framing
        self._judgement = judgement
        self._framing = judgement.framing
        self._version = judgement.version
        self._message_id = judgement.nonce
        self._place = BoundExchange(self._head.method, framing.host, framing.target, channel.key if channel else b"")
        if judgement.coding is Coding.TOKENS:
            assert channel is not None  # of every request that is encrypted
            digest = self._place.digest(Direction.REQUEST)
            self._opener = StreamOpener(channel.requests, digest, channel.window, judgement.version)
        if judgement.coding is not Coding.PLAIN:
            self._framing = self._framing._replace(body=BodyKind.CHUNKED, length=0, expects_continue=False)

    # -- the request

    def refused_by(self, limit: int) -> RequestRefusal | None:
        """Bound the body, encrypted and plain; the answer to what is not taken."""
        if self._cause is not None or self._judgement is None:
            assert self._cause is not None  # one of the two was set
            return payload_refused(self._cause)
        self._plain_limit = limit
        if self._judgement.coding is Coding.PLAIN:
            return super().refused_by(limit)
        return super().refused_by(limit * _WIRE_SHARE + _WIRE_LEAST)

    def start(self, target: RouteTarget, fields: bytes) -> None:
        """Ask the upstream, once there is something to send that was found good."""
        del fields  # of the request as it was encrypted
        self._target = target
        if not self._is_good and self._sent_by_client.expects_continue:
            # RFC 9110 section 10.1.1: the upstream is not asked before the body came
            self._said_continue = True
            self._client.send(CONTINUE)
        self.proceed()

    @property
    def _is_good(self) -> bool:
        """Whether there is something that may be sent: a body that is not encrypted, or what was decrypted."""
        judgement = self._judgement
        assert judgement is not None  # else it was refused
        return judgement.coding is Coding.PLAIN or self._message_id_known or self.is_request_complete

    def proceed(self) -> None:
        """Go on with what came of the body."""
        if self._target is not None and self._is_good:
            target, self._target = self._target, None
            super().start(target, upstream_fields(self._head, self._framing, self._client.peer))
        else:
            super().proceed()

    def _take(self, body: bytes) -> None:
        """Hand on what a piece of the body holds. Raises `SealedBodyRefused`."""
        judgement = self._judgement
        assert judgement is not None  # else it was refused
        if judgement.coding is Coding.PLAIN:
            super()._take(body)
            return
        try:
            if self._opener is not None:
                self._take_tokens(self._opener, body)
            else:
                self._take_token(body)
        except PayloadFault as fault:
            raise SealedBodyRefused(fault.cause) from None
        if self.is_request_complete:
            self._counts.opened += 1

    @property
    def _counts(self) -> MessageCounts:
        """Where the messages of this request are counted."""
        assert self._judgement is not None  # else it was refused
        assert self._judgement.channel is not None  # of every message that is encrypted
        return self._service.counters.route(self.route).messages(self._judgement.channel.label)

    def _take_token(self, body: bytes) -> None:
        self._token += body
        if len(self._token) > _LONGEST_TOKEN + 1:
            raise PayloadFault(Cause.TOO_LARGE)
        if not self.is_request_complete:
            return
        assert self._judgement is not None  # its caller
        assert self._judgement.channel is not None  # of every request that is encrypted
        token, self._token = bytes(self._token).removesuffix(b"\n"), bytearray()
        now = self._service.wall_clock()
        digest = self._place.digest(Direction.REQUEST)
        message = self._judgement.channel.open(Direction.REQUEST, token, digest, now, self._version)
        self._take_mark(token[-MARK_CHARACTERS:])
        self._version, self._message_id = message.version, message.message_id or self._message_id
        self._count_plain(len(message.plain))
        self._framing = self._framing._replace(body=BodyKind.LENGTH, length=len(message.plain))
        super()._take(message.plain)

    def _take_tokens(self, opener: StreamOpener, body: bytes) -> None:
        pieces = opener.receive_data(body, self._service.wall_clock())
        if self.is_request_complete:
            opener.finish()
        if not pieces and not self.is_request_complete:
            return
        if not self._message_id_known:
            self._message_id_known = True
            self._take_mark(opener.message_id or b"")
        self._version, self._message_id = opener.version, opener.message_id or b""
        self._count_plain(sum(map(len, pieces)))
        super()._take(b"".join(pieces))

    def _take_mark(self, mark: bytes) -> None:
        """Refuse a replay of the message; it is a use of it only once an upstream has it. Raises `PayloadFault`."""
        self._refuse_replay(mark)
        if self._replay_seconds is not None:
            self._mark = mark

    def upstream_acquired(self, connection: UpstreamConnection) -> None:
        """Send the request: from now on its message was used."""
        self._mark = b""
        super().upstream_acquired(connection)

    def abandon(self) -> None:
        """Stop. A client that was told to come again (429, 503), or that left, may send a message that no upstream has got."""
        if self._mark:
            mark, self._mark = self._mark, b""
            self._service.shared.replays.forget(self._place.key + mark)
        super().abandon()

    def _refuse_replay(self, mark: bytes) -> None:
        """Raises `PayloadFault` for a message that was there before."""
        seconds = self._replay_seconds
        replays = self._service.shared.replays
        if seconds is not None and replays.is_known(self._place.key + mark, seconds, self._service.clock()):
            raise PayloadFault(Cause.REPLAYED)

    def _count_plain(self, count: int) -> None:
        self._plain_bytes += count
        if self._plain_bytes > self._plain_limit:
            raise PayloadFault(Cause.TOO_LARGE)

    # -- the response

    def response_started(self, response: Response) -> None:
        """Write the head for the client, or hold it back until the length of the token is known."""
        key = self._answer_key()
        if key is None:
            super().response_started(response._replace(forwarded=plain_lines(response.forwarded)))
            return
        self._answer = SealedAnswer(key)
        head = self._answer.begin(response, self._head.method)
        if head is not None:
            super().response_started(head)

    def _answer_key(self) -> AnswerKey | None:
        judgement = self._judgement
        if judgement is None or judgement.channel is None:
            return None
        digest = self._place.digest(Direction.RESPONSE, self._message_id)
        vow = Vow(secrets.token_bytes(ID_BYTES), digest)
        return AnswerKey(judgement.channel, vow, self._version, judgement.takes_stream)

    def response_data(self, data: bytes) -> None:
        """Encrypt a piece of the body."""
        if self._answer is None:
            super().response_data(data)
        elif self._answer_fault is None:
            try:
                self._answer.receive_data(data)
            except PayloadFault as fault:
                self._answer_fault = fault.cause
                # in a turn of its own: the upstream connection is in the middle of its data
                self._service.loop.call_soon(self._refuse_answer)

    def _refuse_answer(self) -> None:
        if self._answer_fault is not None and self._connection is not None:
            self._client.refuse(payload_refused(self._answer_fault))

    def response_flushed(self) -> None:
        """Send what one read of the upstream brought, as tokens of their own."""
        if self._answer is not None and self.has_responded:
            tokens = self._answer.data_to_send(self._service.wall_clock())
            if tokens:
                super().response_data(tokens)
        super().response_flushed()

    def response_ended(self, trailers: list[Header]) -> None:
        """Finish the response."""
        answer = self._answer
        if answer is None:
            super().response_ended(trailers)
            return
        if self._answer_fault is not None:
            self._client.refuse(payload_refused(self._answer_fault))
            self._connection = None
            return
        head, rest = answer.finish(self._service.wall_clock())
        if head is not None:
            super().response_started(head)
        if rest:
            self._counts.sealed += 1
            super().response_data(rest)
        super().response_ended([])

    # -- WebSockets

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """Become a tunnel, whose messages are tokens on the client's side."""
        judgement, key = self._judgement, self._answer_key()
        assert judgement is not None  # else it was refused
        if key is not None:
            digest, clock = self._place.digest(Direction.REQUEST), self._service.wall_clock
            self._messages = SealedMessages(key, digest, clock, self._refuse_replay, self._counts)
            special = response.framing.special
            if judgement.protocol and b"sec-websocket-protocol" not in special:
                # RFC 6455 section 4.1: a browser that has offered subprotocols wants one of them
                special = {**special, b"sec-websocket-protocol": [judgement.protocol]}
                response = response._replace(framing=replace(response.framing, special=special))
        super().switched(response, stream, rest)

    def tunnel_opened(self, tunnel: Encryptable) -> None:
        """What was the exchange goes on as a WebSocket: its server knows about it."""
        if self._messages is not None:
            tunnel.encrypt(self._messages)
        super().tunnel_opened(tunnel)
