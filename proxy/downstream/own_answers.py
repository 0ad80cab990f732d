"""Errors that the proxy answers a client's request with."""

from proxy.downstream.answer_writer import AnswerWriter
from proxy.downstream.contracts import Responder
from proxy.downstream.outgoing import error_fields
from proxy.downstream.refusals import RequestRefusal, refusal_answer
from proxy.downstream.request_log import RequestLog
from proxy.downstream.requests import Request
from proxy.downstream.service import HttpService


class OwnAnswers:
    """Writes an error to one client, and to the log."""

    __slots__ = ("_log", "_service")

    def __init__(self, service: HttpService, log: RequestLog) -> None:
        """`log` is that of the connection. The connection is not known here: it owns this."""
        self._service = service
        self._log = log

    def refuse(
        self,
        refusal: RequestRefusal,
        request: Request | None,
        responder: Responder | None,
        writer: AnswerWriter,
        *,
        may_stay: bool,
    ) -> bool:
        """Answer a request by its writer, and abandon its responder.

        A request without a responder was not understood. Returns whether the connection stays:
        it must be allowed to, and the request must be understood to its end.
        """
        service, tally, mark, is_complete = self._service, None, b"", False
        pages = service.runtime.error_pages
        if responder is not None:
            if responder.target is not None:
                pages = responder.target.error_pages
            tally, mark, is_complete = responder.tally, responder.mark, responder.is_request_complete
        request_id = service.new_request_id() if tally is None else tally.request_id
        stays = may_stay and is_complete and request is not None and request.may_be_followed
        head = None if request is None else request.head
        if responder is not None:
            own = mark if refusal.given is None else mark + refusal.given.lines
            mark += error_fields(responder.target, own, request, request_id)
        answer = refusal_answer(refusal, head, date=service.date(), request_id=request_id, mark=mark, pages=pages)
        if responder is not None:
            responder.abandon()
            responder.tally.response_bytes = len(answer.body)
        writer.answer(answer, stays=stays)
        self._log.refused(request, tally, refusal, request_id, len(answer.body))
        return stays
