"""The writer that all protocols have in common: a base for those of HTTP/1.1 and HTTP/2."""

import pytest

from proxy.downstream.requests.answer_writer import AnswerWriter, OwnAnswer
from proxy.http.responses import ResponseReader
from tests.fakes_http import LIMITS, response


def test_protocol_has_to_write_each_part() -> None:
    writer = AnswerWriter()
    read = ResponseReader().read(response(b"Content-Length: 0"), LIMITS.head, b"GET")
    for write in (
        writer.invite,
        lambda: writer.informational(read),
        lambda: writer.start(read, b"f00-1", is_request_complete=True),
        lambda: writer.data(b"x"),
        lambda: writer.end([]),
        writer.flush,
        writer.complete,
        lambda: writer.switch(read, b"f00-1"),
        lambda: writer.answer(OwnAnswer(404, b"Not Found", b"", b""), stays=True),
    ):
        with pytest.raises(NotImplementedError):
            write()
