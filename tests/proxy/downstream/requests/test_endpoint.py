"""What answers instead of a server."""

from proxy.downstream.requests.endpoint import Endpoint
from proxy.http.local_answers import LocalAnswer


def test_an_endpoint_reads_no_body_and_marks_nothing_unless_it_says_so() -> None:
    endpoint = Endpoint(lambda *_: LocalAnswer(200, b"", b""))
    assert (endpoint.takes_body, endpoint.mark) == (False, b"")
