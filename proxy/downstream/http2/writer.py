"""Writes the answer to one request as HTTP/2 (RFC 9113 section 8)."""

from typing import TYPE_CHECKING, Final, Protocol

from mypy_extensions import mypyc_attr

from proxy.downstream.requests.answer_writer import AnswerWriter, OwnAnswer
from proxy.downstream.service.stamps import Stamps
from proxy.http.alternative import NO_ALTERNATIVE, AlternativeService
from proxy.http.head import Header
from proxy.http.responses import Response
from proxy.http2.fields.response_fields import (
    CONTINUE_FIELDS,
    field_frame,
    final_fields,
    informational_fields,
    opened_fields,
    own_answer_fields,
    trailer_fields,
)
from proxy.http2.session.served_session import ServedSession
from proxy.http2.streams.stream import SessionStream, own_pieces

if TYPE_CHECKING:
    from proxy.http.delivery import Delivery

# More than this is offered to the client at once: what it takes is not copied, and does not wait.
_SENT_BYTES: Final = 65_536


class WrittenStream(Protocol):
    """The stream to the client, as its writer sees it."""

    def send(self) -> None:
        """Send what waits, as far as the client takes it."""

    def written(self) -> None:
        """Something waits to be sent on it."""

    def answered(self) -> None:
        """The end of the answer waits to be sent, too."""


@mypyc_attr(free_list_len=1)
class Http2Writer(AnswerWriter):
    """The writer of one stream.

    The head is kept until it is known whether something follows: a head that ends its stream needs
    no empty frame behind it.
    """

    def __init__(
        self,
        session: ServedSession,
        stream: SessionStream,
        owner: WrittenStream,
        stamps: Stamps,
        alternative: AlternativeService = NO_ALTERNATIVE,
    ) -> None:
        """`stamps` give the value of a `date` field."""
        self._session: Final = session
        self._stream: Final = stream
        self._owner: Final = owner
        self._stamps: Final = stamps
        self._alternative: Final = alternative
        self._delivery: Delivery | None = None
        self._head: list[list[Header]] | None = None
        self._unsent = 0

    def invite(self) -> None:
        self._interim(CONTINUE_FIELDS)

    def never_index(self, names: frozenset[bytes]) -> None:
        self._stream.never_indexed |= names

    def informational(self, response: Response) -> None:
        self._interim(informational_fields(response))

    def _interim(self, fields: list[Header]) -> None:
        self._session.send_head(self._stream, [fields], ends=False)
        self._owner.written()

    def start(self, response: Response, request_id: bytes, *, is_request_complete: bool) -> None:
        del is_request_complete
        frame = field_frame(response.framing.shape)
        self._delivery = frame.delivery
        date = b"" if b"date" in response.noted else self._stamps.date()
        self._head = final_fields(response, frame, date, request_id, self._alternative.fields)

    def data(self, data: bytes | memoryview) -> None:
        self._begin(ends=False)
        if len(data) > _SENT_BYTES:
            self._session.send_data(self._stream, data)
            self._owner.send()
            own_pieces(self._stream)
        else:
            self._session.send_data(self._stream, data if isinstance(data, bytes) else bytes(data))
        self._unsent += len(data)

    def end(self, trailers: list[Header]) -> None:
        assert self._delivery is not None  # the head came first
        fields = trailer_fields(trailers, self._delivery) if trailers else []
        if self._head is not None and not fields:
            self._begin(ends=True)
        else:
            self._begin(ends=False)
            self._session.send_end(self._stream, fields)

    def flush(self) -> int:
        """As `AnswerWriter` says. Returns how many bytes of body were written."""
        self._begin(ends=False)
        unsent, self._unsent = self._unsent, 0
        self._owner.written()
        return unsent

    def complete(self) -> None:
        self._owner.answered()

    def _begin(self, *, ends: bool) -> None:
        head = self._head
        if head is not None:
            self._head = None
            self._session.send_head(self._stream, head, ends=ends)

    def switch(self, response: Response, request_id: bytes) -> None:
        """As `AnswerWriter` says: the answer is a 200 (RFC 8441 section 5)."""
        self._session.send_head(self._stream, [opened_fields(response, self._stamps.date(), request_id)], ends=False)
        self._owner.written()

    def answer(self, answer: OwnAnswer, *, stays: bool) -> None:
        del stays
        fields = own_answer_fields(answer.status, answer.lines)
        self._session.send_head(self._stream, [fields, self._alternative.fields], ends=not answer.body)
        if answer.body:
            self._session.send_data(self._stream, answer.body)
            self._session.send_end(self._stream)
        self._owner.written()
