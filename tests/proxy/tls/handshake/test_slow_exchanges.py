"""The thread of a loop for slow key exchanges. What handshakes make of it is in `test_handshake`."""

import asyncio
import ssl
import threading

from proxy.signing.executor import GivenUp, Job
from proxy.tls.handshake.attempt import Flight
from proxy.tls.handshake.group_choice import SlowExchange
from proxy.tls.handshake.slow_exchanges import SlowExchanges
from proxy.tls.openssl.driver import new_driver

QUICK, NEVER = SlowExchange(0.001, is_avoidable=True), SlowExchange(2.0, is_avoidable=True)


def flight() -> Flight:
    return Flight(new_driver().server_side(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), b"flight", 0.0)


async def test_work_is_done_in_a_thread_that_begins_with_the_first_one() -> None:
    loop = asyncio.get_running_loop()
    exchanges = SlowExchanges(loop, loop.time)
    assert exchanges.threads is None
    done: asyncio.Future[Flight | BaseException] = loop.create_future()
    where: list[threading.Thread] = []

    def work() -> Flight:
        where.append(threading.current_thread())
        return flight()

    def settled(job: Job[Flight], result: Flight | BaseException) -> None:
        assert job is begun
        done.set_result(result)

    begun = exchanges.begin(b"net", QUICK, work, settled)
    result = await done
    assert isinstance(result, Flight)
    assert result.data == b"flight"
    assert where[0] is not threading.main_thread()


async def test_nobody_waits_for_long_who_can_have_another_group() -> None:
    loop = asyncio.get_running_loop()
    exchanges = SlowExchanges(loop, loop.time)
    assert exchanges.begin(b"net", NEVER, flight, lambda *_: None) is None
    other = SlowExchange(NEVER.seconds, is_avoidable=False)
    assert exchanges.begin(b"net", other, flight, lambda *_: None) is not None


async def test_cancelled_work_is_not_done() -> None:
    loop = asyncio.get_running_loop()
    exchanges = SlowExchanges(loop, loop.time)
    gate, results = threading.Event(), []
    settled: asyncio.Future[None] = loop.create_future()

    def first() -> Flight:
        assert gate.wait(30)
        raise GivenUp

    assert exchanges.begin(b"net", QUICK, first, lambda _, __: settled.set_result(None)) is not None
    waiting = exchanges.begin(b"net", QUICK, flight, lambda _, result: results.append(result))
    assert waiting is not None
    exchanges.cancel(waiting)
    gate.set()
    await settled
    assert exchanges.threads is not None
    assert exchanges.threads.figures().queued == 0
    assert results == []
