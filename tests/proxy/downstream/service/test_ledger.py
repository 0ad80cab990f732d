"""What is counted and logged of the requests of a busy route."""

from dataclasses import replace

from proxy.downstream.pipeline.request_log import write_down
from tests.fakes_http import Conversation
from tests.proxy.observe.counts.counting import REQUEST


def test_of_a_busy_route_one_in_so_many_successes_is_logged() -> None:
    talk = Conversation()
    talk.service.runtime = replace(talk.service.runtime, log_samples={"chat.test/": 3})
    for status in (200, 204, 304, 404, 200, 200):
        write_down(replace(REQUEST, route="chat.test/", status=status, error=None), talk.service)
    write_down(replace(REQUEST, route="chat.test/other", status=200, error=None), talk.service)
    write_down(replace(REQUEST, route="chat.test/", status=101, error=None, messages=(1, 1)), talk.service)
    logged = [(record.status, record.sample) for record in talk.records]
    assert logged == [(200, 3), (404, 0), (200, 3), (200, 0), (101, 0)]
    rows = talk.service.counters.snapshot()["requests"]
    assert sum(row["count"] for row in rows) == 8, "all are counted"
