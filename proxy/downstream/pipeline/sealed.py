"""The bodies on a route with payload encryption: tokens for the client, plain for the server.

Theory of operation. `SealedBodies` is the codec of the exchange. It judges the request, and has its
body decrypted by an `_OpenedBody`. That keeps a single token until the token is whole; no server is
asked before it is decrypted. It hands on the tokens of a stream as they come. The first one has to
be good before a server is asked. The end of the body is sent only with the last mark, so the proxy
can cut a message there that turns out to be false.

`SealedResponse` goes the other way. It stands between the connection to the server and the
exchange. An answer with a known and small length becomes one token. Any other answer becomes a
stream with a token for each read. A token takes well under a millisecond, so all of this happens on
the loop.
"""

import secrets
from typing import Final

from proxy.downstream.pipeline.contracts import ResponseWriter
from proxy.downstream.requests.refusals import RequestRefusal, SealedBodyRefused, payload_refused
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.http.framing import BodyKind, RequestFraming, ResponseFraming
from proxy.http.head import Header
from proxy.http.responses import Response
from proxy.net.byte_stream import ByteStream
from proxy.payload.answer import AnswerKey, SealedAnswer
from proxy.payload.answer_fields import plain_lines, refusal_lines
from proxy.payload.judgement import Coding, PayloadJudgement, PayloadRoute, judge
from proxy.payload.messages.binding import ID_BYTES, BoundExchange, Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher
from proxy.payload.messages.codec import LARGEST_PLAIN, MARK_CHARACTERS
from proxy.payload.messages.stream import StreamOpener, Vow, bound_length
from proxy.payload.messages.uses import MessageCounts
from proxy.payload.websocket import SealedMessages
from proxy.upstream.pooling.failures import UpstreamFailure

# Of a token with the longest envelope and a line feed.
_LONGEST_TOKEN: Final = bound_length(LARGEST_PLAIN + 8)
# How much longer a stream may be than its content: a third for base64, and 155 octets for each
# token.
_WIRE_SHARE: Final = 2
_WIRE_LEAST: Final = 4_096


class SealedBodies:
    """A `BodyCodec` that decrypts the body of one request; `receiver` encrypts its response."""

    _place: BoundExchange
    _judgement: PayloadJudgement

    def __init__(self, service: HttpService, request: Request, route: PayloadRoute, label: str) -> None:
        """Judge a request whose head was read; `label` is that of the route, for the counters."""
        self._service = service
        self._label = label
        self._method = request.head.method
        self._replay_seconds = route.replay_seconds
        origins = [value for name, value in request.framing.fields.forwarded if name.lower() == b"origin"]
        self.mark = refusal_lines(origins[0] if len(origins) == 1 else None, route.origins)
        self._mark = b""
        """The mark of a message that the table of replays knows, and no server has yet."""
        self._body: _OpenedBody | None = None
        self.framing = request.framing
        self.refusal: RequestRefusal | None = None
        try:
            self._take_up(judge(route, request.framing, request.head.method, service.wall_clock()))
        except PayloadFault as fault:
            self.refusal = payload_refused(fault.cause)

    def _take_up(self, judgement: PayloadJudgement) -> None:
        channel = judgement.channel
        framing = self.framing
        self._judgement = judgement
        self._place = BoundExchange(self._method, framing.host, framing.target, channel.key if channel else b"")
        self.framing = judgement.framing
        if judgement.coding is not Coding.PLAIN:
            self.framing = self.framing.with_body(BodyKind.CHUNKED, 0)
            is_stream = judgement.coding is Coding.TOKENS
            digest = self._place.digest(Direction.REQUEST)
            self._body = _OpenedBody(self._cipher, digest, judgement.version, is_stream=is_stream)

    @property
    def _cipher(self) -> MessageCipher:
        assert self._judgement.channel is not None  # of every message that is encrypted
        return self._judgement.channel

    # -- the request

    @property
    def is_coded(self) -> bool:
        return self._body is not None

    @property
    def is_ready(self) -> bool:
        return self._body is None or self._body.is_ready

    def bound(self, limit: int) -> int:
        """Let through `limit` decrypted bytes. Returns how many encrypted bytes that may be."""
        if self._body is None:
            return limit
        self._body.limit = limit
        return limit * _WIRE_SHARE + _WIRE_LEAST

    def receive_data(self, data: bytes, *, is_complete: bool) -> bytes:
        """Decrypt a piece of the body, perhaps the last. Raises `SealedBodyRefused`."""
        body = self._body
        if body is None:
            return data
        was_ready = body.is_ready
        try:
            plain = body.receive_data(data, self._service.wall_clock(), is_complete=is_complete)
            if body.is_ready and not was_ready:
                self._take_mark(body.mark)
            body.judge_length()
        except PayloadFault as fault:
            raise SealedBodyRefused(fault.cause) from None
        if is_complete:
            self.counts.opened += 1
        return plain

    @property
    def counts(self) -> MessageCounts:
        """Where the messages of this request are counted."""
        return self._service.counters.route(self._label).messages(self._cipher.label)

    def _take_mark(self, mark: bytes) -> None:
        """Refuse a replay. A message is used only once a server has it. Raises `PayloadFault`."""
        self.refuse_replay(mark)
        if self._replay_seconds is not None:
            self._mark = mark

    def refuse_replay(self, mark: bytes) -> None:
        """Raise `PayloadFault` for a message that was received before."""
        seconds = self._replay_seconds
        replays = self._service.shared.replays
        if seconds is not None and replays.is_known(self._place.key + mark, seconds, self._service.clock()):
            raise PayloadFault(Cause.REPLAYED)

    def framed(self, framing: RequestFraming) -> RequestFraming:
        """The request for the server: a single token has a length once it is decrypted."""
        if self._body is None or self._body.is_stream:
            return framing
        return framing.with_body(BodyKind.LENGTH, self._body.length)

    def abandoned(self) -> None:
        """Let the client send its message again.

        The answer told it to (429, 503), or it left before a server had the message.
        """
        if self._mark:
            mark, self._mark = self._mark, b""
            self._service.shared.replays.forget(self._place.key + mark)

    # -- the response

    def receiver(self, writer: ResponseWriter) -> "SealedResponse":
        """The request is sent now, so its message is used. Returns what encrypts the response."""
        self._mark = b""
        return SealedResponse(writer, self, self._service, self._method)

    def answer_key(self) -> AnswerKey | None:
        """The key that encrypts the response; None if it is not encrypted."""
        judgement = self._judgement
        if judgement.channel is None:
            return None
        body = self._body
        version = judgement.version if body is None else body.version
        message_id = (b"" if body is None else body.message_id) or judgement.nonce
        vow = Vow(secrets.token_bytes(ID_BYTES), self._place.digest(Direction.RESPONSE, message_id))
        return AnswerKey(judgement.channel, vow, version, judgement.takes_stream)

    def messages(self, key: AnswerKey) -> SealedMessages:
        """What encrypts the messages of a WebSocket."""
        digest = self._place.digest(Direction.REQUEST)
        return SealedMessages(key, digest, self._service.wall_clock, self.refuse_replay, self.counts)

    @property
    def protocol(self) -> bytes:
        """The subprotocol by which the client named its key; empty if it did not."""
        return self._judgement.protocol


class _OpenedBody:
    """The encrypted body of a request: a single token, or a stream of tokens."""

    def __init__(self, cipher: MessageCipher, digest: bytes, version: int | None, *, is_stream: bool) -> None:
        """`digest` binds the message to its request; `version` is that of the key, if named."""
        self._cipher = cipher
        self._digest = digest
        self._opener = StreamOpener(cipher.requests, digest, cipher.window, version) if is_stream else None
        self._token = bytearray()
        self.version = version
        self.message_id = b""
        self.mark = b""
        """By which a replay is known."""
        self.limit = 0
        self.length = 0
        """Of what was decrypted."""
        self.is_ready = False
        """Whether the message, or the first token of a stream, was decrypted."""

    @property
    def is_stream(self) -> bool:
        return self._opener is not None

    def receive_data(self, data: bytes, now: float, *, is_complete: bool) -> bytes:
        """Decrypt a piece. Raises `PayloadFault`."""
        opener = self._opener
        if opener is None:
            return self._open_token(data, now, is_complete=is_complete)
        pieces = opener.receive_data(data, now)
        if is_complete:
            opener.finish()
        if not (pieces or is_complete):
            return b""
        self.is_ready = True
        self.version = opener.version
        self.mark = self.message_id = opener.message_id or b""
        self.length += sum(map(len, pieces))
        return b"".join(pieces)

    def _open_token(self, data: bytes, now: float, *, is_complete: bool) -> bytes:
        self._token += data
        if len(self._token) > _LONGEST_TOKEN + 1:
            raise PayloadFault(Cause.TOO_LARGE)
        if not is_complete:
            return b""
        token = bytes(self._token).removesuffix(b"\n")
        self._token = bytearray()
        message = self._cipher.open(Direction.REQUEST, token, self._digest, now, self.version)
        self.is_ready = True
        self.version = message.version
        self.message_id = message.message_id
        self.mark = token[-MARK_CHARACTERS:]
        self.length = len(message.plain)
        return message.plain

    def judge_length(self) -> None:
        """Raise `PayloadFault` if more was decrypted than the route lets through."""
        if self.length > self.limit:
            raise PayloadFault(Cause.TOO_LARGE)


class SealedResponse:
    """A `ResponseReceiver` that encrypts the response to an exchange, or marks it as plain."""

    def __init__(self, writer: ResponseWriter, bodies: SealedBodies, service: HttpService, method: bytes) -> None:
        """`writer` is the exchange. `bodies` know the key for the response."""
        self._writer = writer
        self._bodies = bodies
        self._service = service
        self._method = method
        self._answer: SealedAnswer | None = None
        self._fault: Cause | None = None

    def response_started(self, response: Response) -> None:
        """Write the head for the client, or hold it back until the length of the token is known."""
        key = self._bodies.answer_key()
        if key is None:
            self._writer.response_started(response.with_lines(plain_lines(response.forwarded)))
            return
        self._answer = SealedAnswer(key)
        head = self._answer.begin(response, self._method)
        if head is not None:
            self._writer.response_started(head)

    def response_data(self, data: bytes | memoryview) -> None:
        if self._answer is None:
            self._writer.response_data(data)
        elif self._fault is None:
            try:
                self._answer.receive_data(bytes(data))
            except PayloadFault as fault:
                self._fault = fault.cause
                # in a turn of its own: the connection to the server is in the middle of its data
                self._service.loop.call_soon(self._refuse, fault.cause)

    def _refuse(self, cause: Cause) -> None:
        self._writer.response_refused(payload_refused(cause), is_complete=False)

    def response_flushed(self) -> None:
        """Send what one read of the server brought, as tokens of their own."""
        if self._answer is not None and self._writer.has_responded:
            tokens = self._answer.data_to_send(self._service.wall_clock())
            if tokens:
                self._writer.response_data(tokens)
        self._writer.response_flushed()

    def response_ended(self, trailers: list[Header]) -> None:
        answer = self._answer
        writer = self._writer
        if answer is None:
            writer.response_ended(trailers)
            return
        if self._fault is not None:
            writer.response_refused(payload_refused(self._fault), is_complete=True)
            return
        head, rest = answer.finish(self._service.wall_clock())
        if head is not None:
            writer.response_started(head)
        if rest:
            self._bodies.counts.sealed += 1
            writer.response_data(rest)
        writer.response_ended([])

    def switched(self, response: Response, stream: ByteStream, rest: bytes) -> None:
        """Have the tunnel encrypt its messages on the client's side."""
        key = self._bodies.answer_key()
        messages = None
        if key is not None:
            messages = self._bodies.messages(key)
            protocol = self._bodies.protocol
            special = response.framing.special
            if protocol and b"sec-websocket-protocol" not in special:
                # RFC 6455 section 4.1: a browser that has offered subprotocols wants one of them
                special = {**special, b"sec-websocket-protocol": [protocol]}
                was = response.framing
                framing = ResponseFraming(was.head, was.body, was.length, was.keep_alive, special, was.named)
                response = response.with_framing(framing, response.forwarded)
        self._writer.switched(response, stream, rest, messages)

    # -- what has nothing to encrypt

    def never_index(self, names: frozenset[bytes]) -> None:
        self._writer.never_index(names)

    def informational(self, response: Response) -> None:
        self._writer.informational(response)

    def upstream_failed(self, failure: UpstreamFailure, *, is_excused: bool) -> None:
        self._writer.upstream_failed(failure, is_excused=is_excused)

    def pause_writing(self) -> None:
        """Hand on that the server takes no more of the request."""
        self._writer.pause_writing()

    def resume_writing(self) -> None:
        self._writer.resume_writing()
