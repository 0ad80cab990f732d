"""The lines of the log about the requests of one connection."""

import ssl

from proxy.downstream.pipeline.responder import RequestTally
from proxy.downstream.requests.client import ClientFacts
from proxy.downstream.requests.refusals import RequestRefusal
from proxy.downstream.requests.request import Request
from proxy.downstream.service.service import HttpService
from proxy.http.websocket.close import WebSocketClose
from proxy.limits.reasons import ConnectionReason
from proxy.observe.events.clients import ConnectionCut
from proxy.observe.logs.access_log import RequestRecord
from proxy.tls.handshake.results import openssl_code
from proxy.tls.wire.record_flood import RecordFlood


def write_down(record: RequestRecord, service: HttpService) -> None:
    """Count a request that was answered or given up, and log it; of a busy route, one of many."""
    service.counters.request(record)
    samples = service.runtime.log_samples
    if not samples or service.ledger.sampling.takes(record, samples):
        service.ledger.log(record)


class RequestLog:
    """Writes a line when a request is over."""

    def __init__(self, service: HttpService, facts: ClientFacts) -> None:
        self._service = service
        self._facts = facts

    def request(
        self,
        request: Request,
        tally: RequestTally,
        status: int,
        reason: str | None,
        messages: tuple[int, int] | None = None,
        closed: WebSocketClose | None = None,
    ) -> None:
        """A request that was answered. `messages` and `closed` are of a WebSocket."""
        write_down(self._record(request, tally, status, reason, messages, closed), self._service)

    def opened(self, request: Request, tally: RequestTally) -> None:
        """A WebSocket that opens; it has its line, and is counted, when it is over."""
        record = self._record(request, tally, tally.status, None)
        record.opens = True
        self._service.ledger.log(record)

    def _record(
        self,
        request: Request,
        tally: RequestTally,
        status: int,
        reason: str | None,
        messages: tuple[int, int] | None = None,
        closed: WebSocketClose | None = None,
    ) -> RequestRecord:
        service = self._service
        runtime = self._service.runtime
        first_byte, duration = tally.seconds(service.stopwatch())
        record = RequestRecord(
            request.client.record,
            request.record(with_query=runtime.logs_query, fields=runtime.log_fields),
            service.wall_clock(),
            status,
            request_bytes=tally.request_bytes,
            response_bytes=tally.response_bytes,
            first_byte=first_byte,
            duration=duration,
            upstream=tally.server,
            route=tally.route,
            request_id=tally.request_id.decode(),
            error=reason,
            messages=messages,
            closed=closed,
        )
        if runtime.logs_wire_bytes:
            record.wire = self._wire_bytes()
        return record

    def refused(self, refusal: RequestRefusal, request_id: bytes, answered_bytes: int) -> None:
        """A request that was not understood, or did not come: we answered it."""
        service = self._service
        target = refusal.target
        if target is not None and not service.runtime.logs_query:
            target.query = None
        record = RequestRecord(
            self._facts.requester.record,
            target,
            service.wall_clock(),
            refusal.status,
            request_bytes=0,
            response_bytes=answered_bytes,
            first_byte=0.0,
            duration=0.0,
            upstream=None,
            route=None,
            request_id=request_id.decode(),
            error=refusal.reason,
            messages=None,
        )
        if service.runtime.logs_wire_bytes:
            record.wire = self._wire_bytes()
        write_down(record, service)

    def _wire_bytes(self) -> tuple[int, int] | None:
        """What came and went since the last line; None where several requests share the socket."""
        wire = self._facts.wire
        return None if wire is None else wire.take_wire_bytes()

    def lost(self, error: OSError | None) -> None:
        """The connection is gone. If the client broke TLS, this gets its own line and count."""
        if isinstance(error, RecordFlood):
            reason = ConnectionReason.RECORD_FLOOD
            detail = str(error)
        elif isinstance(error, ssl.SSLError):
            reason = ConnectionReason.TLS_BROKEN
            detail = openssl_code(error) or str(error)
        else:
            return
        self.cut(reason, detail)

    def cut(self, reason: ConnectionReason, detail: str) -> None:
        """The connection ends for a fault of the client, which gets a line and a count.

        `detail` is a sentence of ours, or the name of an error.
        """
        service = self._service
        of = self._facts.requester.record
        service.counters.failure(of.listener, reason)
        service.ledger.log_event(
            ConnectionCut(
                client=of.client,
                listener=of.listener,
                name=of.name,
                group=of.group,
                outcome=of.outcome,
                resumed=of.resumed,
                protocol=of.protocol,
                reason=reason,
                detail=detail,
            )
        )
