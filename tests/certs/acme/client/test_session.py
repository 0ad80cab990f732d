"""One step at a time at a CA that checks what it is sent."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from certs.acme.challenges.challenges import proof_of
from certs.acme.client.accounts import AcmeAccount
from certs.acme.client.messages import AcmeDocumentUnreadable
from certs.acme.client.session import Binding, Session, open_directory
from certs.acme.client.wire import Wire, WireSettings
from certs.acme.problems import AcmeProblem
from config.tables.issuers import AcmeChallenge
from tests.acme_directory import EAB_KEY, NOW, Refusal, csr_for
from tests.certs.acme.scene import Scene


@pytest.fixture
def session(ours: Scene) -> Iterator[Session]:
    wire = Wire(WireSettings(ours.ca.trust, 20.0), ours.time.now)
    yield Session(wire, open_directory(wire, ours.ca.url), AcmeAccount.fresh(ours.ca.url))
    wire.close()


def test_steps_from_account_to_chain(ours: Scene, session: Session) -> None:
    ours.ca.look = lambda *_: None
    assert session.register((), None).url == session.account.url
    order = session.order(["a.test"], None, None)
    assert (order.status, order.problem) == ("pending", None)
    (url,) = order.body.authorizations
    authorization = session.authorization(url)
    assert (authorization.name, authorization.status, authorization.problem) == ("a.test", "pending", None)
    challenges = tuple(authorization.body.challenges)
    session.accept(proof_of("a.test", challenges, AcmeChallenge.TLS_ALPN_01, session.account.key.thumbprint))
    assert session.authorization(url).status == "valid"
    assert session.look(order).status == "ready"
    with pytest.raises(AcmeDocumentUnreadable, match="not a valid order with a certificate"):
        session.chain(order)
    assert session.finalize(order, csr_for("a.test")).status == "processing"
    order = session.look(order)
    assert order.status == "valid"
    assert session.chain(order).startswith(b"-----BEGIN CERTIFICATE-----")


def test_account_is_found_again_by_its_key(ours: Scene, session: Session) -> None:
    first = session.register(["ops@example.org"], None)
    session.account = first.forgotten()
    assert session.register([], None).url == first.url
    assert len(ours.ca.accounts) == 1


def test_binding_is_proved_and_never_shown(ours: Scene, session: Session) -> None:
    ours.ca.binding_keys = {"kid": EAB_KEY}
    binding = Binding("kid", EAB_KEY)
    assert EAB_KEY not in repr(binding)
    assert session.register([], binding).url is not None


@pytest.mark.parametrize(
    ("status", "type_"),
    [(409, "alreadyReplaced"), (404, "malformed"), (403, "unauthorized"), (500, "serverInternal")],
)
def test_order_goes_without_a_predecessor_that_the_ca_will_not_have(
    ours: Scene, session: Session, status: int, type_: str
) -> None:
    session.register([], None)
    ours.ca.refusals["/order"] = [Refusal(status, type_)]
    session.order(["a.test"], None, "AQ.AQ")
    assert [order.asked.get("replaces") for order in ours.ca.orders] == [None]
    session.order(["a.test"], None, "AQ.AQ")
    assert ours.ca.orders[-1].asked["replaces"] == "AQ.AQ"


@pytest.mark.parametrize("replaces", [None, "AQ.AQ"])
def test_other_refusals_of_an_order_are_told(ours: Scene, session: Session, replaces: str | None) -> None:
    session.register([], None)
    ours.ca.refusals["/order"] = [Refusal(400, "rejectedIdentifier", "no")]
    with pytest.raises(AcmeProblem, match="rejectedIdentifier"):
        session.order(["a.test"], None, replaces)
    assert ours.ca.orders == []


def test_renewal_information_is_not_signed(ours: Scene) -> None:
    wire = Wire(WireSettings(ours.ca.trust, 20.0), ours.time.now)
    plain = Session(wire, open_directory(wire, ours.ca.url), AcmeAccount.fresh(ours.ca.url))
    assert plain.renewal_info("AQ.AQ") is None
    ours.ca.window = (NOW, NOW + timedelta(days=1))
    session = Session(wire, open_directory(wire, ours.ca.url), AcmeAccount.fresh(ours.ca.url))
    answer = session.renewal_info("AQ.AQ")
    assert answer is not None
    assert "suggestedWindow" in answer.document
    assert ours.ca.requests == ["/dir", "/dir", "/ari/AQ.AQ"]
    wire.close()
