"""Coming in as somebody the CA knows: what is stored when, and who registers when several come at once."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.jwk import JWKEC

from certs.acme.client.accounts import AcmeAccount
from certs.acme.client.sign_in import SignIn
from certs.acme.client.wire import CaUnreachable, Wire, WireSettings
from certs.acme.problems import AcmeProblem
from tests.acme_directory import Refusal
from tests.certs.acme.scene import Scene

if TYPE_CHECKING:
    from certs.acme.client.session import Session


@pytest.fixture
def wire(ours: Scene) -> Iterator[Wire]:
    made = Wire(WireSettings(ours.ca.trust, 20.0), ours.time.now)
    yield made
    made.close()


@dataclass
class MemoryStore:
    """Keeps documents, and every one that there ever was."""

    saved: list[bytes] = field(default_factory=list)

    def load(self, _directory: str) -> bytes | None:
        return self.saved[-1] if self.saved else None

    def save(self, _directory: str, document: bytes) -> None:
        self.saved.append(document)

    def accounts(self, url: str) -> list[AcmeAccount]:
        return [AcmeAccount.from_document(one, url) for one in self.saved]


def test_key_is_stored_before_the_ca_hears_of_it(ours: Scene, wire: Wire) -> None:
    store = MemoryStore()
    sign_in = SignIn(ours.membership, store, ours.told.append)
    ours.ca.refusals["/account"] = [Refusal(500, "serverInternal")]
    with pytest.raises(AcmeProblem):
        sign_in.session(wire)
    (before,) = store.accounts(ours.ca.url)
    assert before.url is None
    session = sign_in.session(wire)
    assert session.account.key.thumbprint == before.key.thumbprint
    assert store.accounts(ours.ca.url)[-1].url == session.account.url
    assert ours.told == [f"registered as {session.account.url}"]


def test_visit_registers_nothing(ours: Scene, wire: Wire) -> None:
    store = MemoryStore()
    assert SignIn(ours.membership, store, ours.told.append).visit(wire).account.url is None
    assert (store.saved, ours.ca.requests) == ([], ["/dir"])


def test_of_several_that_come_at_once_one_registers(ours: Scene) -> None:
    sessions: list[Session] = []

    def come() -> None:
        wire = Wire(WireSettings(ours.ca.trust, 20.0), ours.time.now)
        sessions.append(SignIn(ours.membership, ours.store, ours.told.append).session(wire))
        wire.close()

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({session.account.url for session in sessions}) == 1
    assert (len(sessions), len(ours.ca.accounts), len(ours.told)) == (8, 1, 1)


def test_account_that_somebody_else_has_repaired_is_taken(ours: Scene, wire: Wire) -> None:
    sign_in = SignIn(ours.membership, ours.store, ours.told.append)
    one, two = sign_in.session(wire), sign_in.session(wire)
    next(iter(ours.ca.accounts.values()))["status"] = "deactivated"
    closed = AcmeProblem(401, "unauthorized", "")
    sign_in.repair(one, closed)
    sign_in.repair(two, closed)
    assert one.account.url == two.account.url
    assert len(ours.ca.accounts) == 2


def test_other_problems_are_not_repaired(ours: Scene, wire: Wire) -> None:
    sign_in = SignIn(ours.membership, ours.store, ours.told.append)
    session = sign_in.session(wire)
    asked = len(ours.ca.requests)
    with pytest.raises(AcmeProblem, match="rateLimited"):
        sign_in.repair(session, AcmeProblem(429, "rateLimited", ""))
    assert len(ours.ca.requests) == asked
    ours.ca.url = "https://localhost:1/dir"
    with pytest.raises(CaUnreachable):
        SignIn(ours.membership, ours.store, ours.told.append).session(wire)


def test_refusal_of_the_new_registration_is_told(ours: Scene, wire: Wire) -> None:
    sign_in = SignIn(ours.membership, ours.store, ours.told.append)
    session = sign_in.session(wire)
    ours.ca.refusals["/account"] = [Refusal(429, "rateLimited", "too many accounts")]
    with pytest.raises(AcmeProblem, match="too many accounts"):
        sign_in.repair(session, AcmeProblem(400, "accountDoesNotExist", ""))


def known_outside(store: MemoryStore) -> None:
    store.saved[-1] = json.dumps({**json.loads(store.saved[-1]), "known_outside": True}).encode()


@pytest.mark.parametrize("ends", [None, "before", "after"])
def test_an_account_that_an_expelled_node_knew_gets_a_new_key(ours: Scene, wire: Wire, ends: str | None) -> None:
    store = MemoryStore()
    sign_in = SignIn(ours.membership, store, ours.told.append)
    before = sign_in.session(wire).account
    known_outside(store)
    if ends is not None:  # the process ends in the middle: the CA knows the old key, or the new one
        ours.ca.refusals["/key"] = [Refusal(500, "serverInternal")]
        with pytest.raises(AcmeProblem):
            sign_in.session(wire)
        stored = store.accounts(ours.ca.url)[-1]
        assert stored.successor is not None
        if ends == "after":
            assert stored.url is not None
            ours.ca.accounts[stored.url]["key"] = JWKEC(
                key=load_pem_private_key(stored.successor.to_pem(), None)
            ).public_key()
    account = sign_in.session(wire).account
    assert (account.url, account.successor) == (before.url, None)
    assert account.key.thumbprint != before.key.thumbprint
    assert len(ours.ca.accounts) == 1
    assert sign_in.session(wire).account.key.thumbprint == account.key.thumbprint, "once"
    sign_in.session(wire).order(("a.test",), None, None)


def test_an_expelled_node_that_was_faster_keeps_an_account_that_nobody_uses(ours: Scene, wire: Wire) -> None:
    store = MemoryStore()
    sign_in = SignIn(ours.membership, store, ours.told.append)
    before = sign_in.session(wire).account
    assert before.url is not None
    ours.ca.accounts[before.url]["status"] = "deactivated"
    known_outside(store)
    account = sign_in.session(wire).account
    assert account.url not in {None, before.url}
    assert account.key.thumbprint != before.key.thumbprint
