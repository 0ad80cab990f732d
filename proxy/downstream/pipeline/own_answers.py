"""Errors that the proxy answers a request with, and what routes change in answers of the proxy."""

from functools import partial

from proxy.downstream.pipeline.outgoing import request_values
from proxy.downstream.pipeline.request_log import RequestLog
from proxy.downstream.pipeline.responder import Responder
from proxy.downstream.requests.answer_writer import AnswerWriter
from proxy.downstream.requests.refusals import RequestRefusal, refusal_answer
from proxy.downstream.requests.request import Request
from proxy.downstream.requests.targets import RouteTarget
from proxy.downstream.service.service import HttpService


def refuse(
    refusal: RequestRefusal,
    responder: Responder | None,
    writer: AnswerWriter,
    service: HttpService,
    log: RequestLog,
    *,
    may_stay: bool,
) -> bool:
    """Answer a request by its writer, write it to the `log`, and abandon its responder.

    A request without a responder was not understood. Returns whether the connection stays: it must
    be allowed to, and the request must be understood to its end.
    """
    date = service.stamps.date()
    if responder is None:
        request_id = service.stamps.new_request_id()
        pages = service.runtime.error_pages
        answer = refusal_answer(refusal, None, date=date, request_id=request_id, pages=pages)
        writer.answer(answer, stays=False)
        log.refused(refusal, request_id, len(answer.body))
        return False
    request = responder.request
    target = responder.target
    tally = responder.tally
    mark = responder.mark
    own = mark if refusal.given is None else mark + refusal.given.lines
    mark += error_fields(target, own, request, tally.request_id)
    pages = service.runtime.error_pages if target is None else target.error_pages
    answer = refusal_answer(refusal, request.head, date=date, request_id=tally.request_id, mark=mark, pages=pages)
    stays = may_stay and responder.is_request_complete and request.may_be_followed
    responder.abandon()
    tally.response_bytes = len(answer.body)
    writer.answer(answer, stays=stays)
    log.request(request, tally, refusal.status, refusal.reason)
    return stays


def error_fields(target: RouteTarget | None, own: bytes, request: Request | None, request_id: bytes) -> bytes:
    """The field lines that a route adds to an internal error, which has the lines `own`.

    `target` is None for a request that found no route.
    """
    if target is None or request is None or target.response_fields is None:
        return b""
    return target.response_fields.beside(own, partial(request_values, request, request_id))


def answer_fields(target: RouteTarget | None, fields: bytes, request: Request, request_id: bytes) -> bytes:
    """The field lines of an own answer that is not an error, with what its route changes in
    them."""
    if target is None or target.response_fields is None:
        return fields
    lines = fields.splitlines(keepends=True)
    return b"".join(target.response_fields.edited(lines, partial(request_values, request, request_id)))
