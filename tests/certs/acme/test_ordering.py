"""How an order is led: what is asked when, what is shown for how long, when it is given up."""

from collections.abc import Iterator

import pytest

from certs.acme.challenges.challenges import NotOffered
from certs.acme.client.session import Session
from certs.acme.client.sign_in import SignIn
from certs.acme.client.wire import Wire, WireSettings
from certs.acme.ordering import NameRefused, OrderFailed, Ordering, OrderOverdue
from certs.acme.problems import AcmeProblem
from tests.acme_directory import ERROR, Name, Refusal, csr_for
from tests.certs.acme.scene import PATIENCE, Scene

NAMES = ("a.test", "b.test")


@pytest.fixture
def session(ours: Scene) -> Iterator[Session]:
    wire = Wire(WireSettings(ours.ca.trust, 20.0), ours.time.now)
    yield SignIn(ours.membership, ours.store, ours.told.append).session(wire)
    wire.close()


def ordering(ours: Scene, session: Session) -> Ordering:
    return Ordering(session, ours.solver, ours.kind, ours.time.clocks, PATIENCE, ours.told.append)


def fulfil(ours: Scene, session: Session) -> bytes:
    return ordering(ours, session).fulfil(session.order(NAMES, None, None), csr_for(*NAMES))


def test_steps_are_told(ours: Scene, session: Session) -> None:
    assert fulfil(ours, session).startswith(b"-----BEGIN")
    assert ours.told[1:] == [
        "tls-alpn-01 for a.test is shown",
        "tls-alpn-01 for b.test is shown",
        "a.test is proven",
        "b.test is proven",
        "the certificate request is submitted",
    ]


def test_request_is_handed_in_once_however_long_it_takes(ours: Scene, session: Session) -> None:
    ours.ca.looks_before_issued = 5
    fulfil(ours, session)
    assert len([path for path in ours.ca.requests if path.startswith("/finalize")]) == 1


def test_time_without_a_word_of_the_ca_is_the_least(ours: Scene, session: Session) -> None:
    ours.ca.looks_before_issued = 3
    fulfil(ours, session)
    assert set(ours.time.waits) == {1.0}


def test_order_that_takes_too_long_is_given_up_when_it_is_time(ours: Scene, session: Session) -> None:
    ours.ca.looks_before_issued, ours.ca.retry_after = 1_000, "3600"
    with pytest.raises(OrderOverdue, match="the issuance took longer than 60 s"):
        fulfil(ours, session)
    assert ours.time.waits[-3:] == [1.0, 30.0, 29.0]


def test_what_was_shown_is_taken_back_when_the_ca_goes_away(ours: Scene, session: Session) -> None:
    order = session.order(NAMES, None, None)
    ours.ca.refusals["/challenge/101"] = [Refusal(500, "serverInternal")]
    with pytest.raises(Exception, match="serverInternal"):
        ordering(ours, session).fulfil(order, csr_for(*NAMES))
    assert ours.solver.shown == {}
    assert ours.solver.log[-2:] == [("withdraw", "b.test"), ("withdraw", "a.test")]


@pytest.mark.parametrize("status", ["invalid", "deactivated", "revoked", "expired"])
def test_name_that_cannot_be_proved_any_more_is_told(ours: Scene, session: Session, status: str) -> None:
    order = session.order(NAMES, None, None)
    ours.ca.names[1].status = status
    with pytest.raises(NameRefused, match=f"^tls-alpn-01 for b.test: the authorization is {status}$"):
        ordering(ours, session).fulfil(order, csr_for(*NAMES))
    assert ours.solver.log == []


def test_order_may_become_invalid_without_a_reason(ours: Scene, session: Session) -> None:
    original = ours.ca._shown

    def invalid(number: int) -> dict[str, object]:
        shown = original(number)
        return {**shown, "status": "invalid"} if shown["status"] == "ready" else shown

    ours.ca._shown = invalid  # type: ignore[method-assign]
    with pytest.raises(OrderFailed, match=r"^the order is invalid$") as caught:
        fulfil(ours, session)
    assert caught.value.problem is None


def test_errors_say_what_the_ca_met(ours: Scene, session: Session) -> None:
    ours.ca.look = lambda *_: {"type": f"{ERROR}tls", "detail": "no handshake"}
    with pytest.raises(NameRefused, match=r"^tls-alpn-01 for a.test: tls \(no handshake\)$"):
        fulfil(ours, session)


def test_nothing_is_shown_when_a_name_cannot_be_proved_in_our_way(ours: Scene, session: Session) -> None:
    ours.ca.kinds = ("http-01",)
    with pytest.raises(NotOffered):
        fulfil(ours, session)
    assert ours.solver.log == []


@pytest.mark.parametrize(("status", "is_refused"), [("processing", False), ("pending", True)])
def test_a_challenge_that_an_ended_process_had_accepted_is_not_a_failure(
    ours: Scene, session: Session, status: str, *, is_refused: bool
) -> None:
    order = session.order(("a.test",), None, None)
    name = ours.ca.names[0]

    def accepted(kind: str, _name: str, _authorization: str) -> None:
        challenge = next(one for one in name.challenges if one.kind == kind)
        challenge.status = status
        raise Refusal(400, "malformed", "it is tried already")

    ours.ca.look = accepted
    if is_refused:
        with pytest.raises(AcmeProblem, match="it is tried already"):
            ordering(ours, session).fulfil(order, csr_for("a.test"))
        return
    ours.time.waits = Validated(name)
    assert ordering(ours, session).fulfil(order, csr_for("a.test")).startswith(b"-----BEGIN")


class Validated(list[float]):
    """The CA is content when somebody has waited."""

    def __init__(self, name: Name) -> None:
        super().__init__()
        self.name = name

    def append(self, seconds: float) -> None:
        super().append(seconds)
        self.name.status = "valid"


def test_what_an_ended_process_has_shown_of_an_order_is_taken_back(ours: Scene, session: Session) -> None:
    order = session.order(("a.test", "b.test"), None, None)
    leaving = ordering(ours, session)
    names = [session.authorization(url) for url in order.body.authorizations]
    for one in names:  # as a process that ends after the CA was content
        proof = leaving._proof(one)
        ours.solver.present(proof)
        session.accept(proof)
    taken_up = session.order_at(order.url)
    assert taken_up is not None
    assert ordering(ours, session).fulfil(taken_up, csr_for("a.test", "b.test")).startswith(b"-----BEGIN")
    assert ours.solver.shown == {}
    assert [name for action, name in ours.solver.log if action == "withdraw"] == ["a.test", "b.test"]


def test_names_that_were_proven_before_an_order_of_this_process_are_left_alone(ours: Scene, session: Session) -> None:
    order = session.order(("a.test",), None, None)
    for name in ours.ca.names:
        name.status = "valid"
    assert ordering(ours, session).fulfil(order, csr_for("a.test")).startswith(b"-----BEGIN")
    assert ours.solver.log == []
