"""Tickets as a kind of a fleet: what the leader writes, and what a process serves by; `test_member` tries the rest."""

import pytest

from proxy.supervisor.membership.kinds.keys.ticket_plan import AHEAD_SECONDS, TicketPlan
from proxy.supervisor.membership.kinds.keys.tickets import TICKETS, Tickets
from tests.proxy.supervisor.membership.nodes import NOW, Served


def test_the_plan_goes_on_with_the_secret_of_the_process_and_then_with_what_was_taken() -> None:
    tickets = Tickets(Served((b"s" * 32, NOW)), lambda: NOW)
    content = tickets.due(NOW, 1)[TICKETS]
    plan = tickets.parse(TICKETS, content)
    assert (plan.keys[0].secret, plan.keys[0].begins) == (b"s" * 32, NOW)
    assert plan.until > NOW + AHEAD_SECONDS
    tickets.take({TICKETS: plan})
    assert tickets.due(NOW, 1) == {}
    later = plan.until - AHEAD_SECONDS
    longer = TicketPlan.from_json(tickets.due(later, 1)[TICKETS])  # type: ignore[arg-type]
    assert longer.keys[: len(plan.keys)] == plan.keys


@pytest.mark.parametrize("content", [None, [], {}, [{"secret": "00", "begins": 1.0}]])
def test_what_is_no_plan_is_refused(content: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Tickets(Served((b"s" * 32, NOW)), lambda: NOW).parse(TICKETS, content)


def test_after_an_epoch_nothing_of_the_plan_before_is_left() -> None:
    tickets = Tickets(Served((b"s" * 32, NOW)), lambda: NOW)
    plan = tickets.parse(TICKETS, tickets.due(NOW, 1)[TICKETS])
    tickets.take({TICKETS: plan})
    new = TicketPlan.from_json(tickets.due(NOW + 5, 2)[TICKETS])  # type: ignore[arg-type]
    assert (new.epoch, new.keys[0].begins) == (2, NOW + 5)
    assert not {one.secret for one in plan.keys} & {one.secret for one in new.keys}
