"""From the thread of an issuer to the parent's loop and back."""

import asyncio
import threading
from dataclasses import replace

import pytest

from certs.acme.challenges.proofs import PresentingFailed, Proof
from config.tables.issuers import AcmeChallenge
from proxy.net.in_thread import in_thread
from proxy.observe.events.certificates import AcmeProgress
from proxy.supervisor.challenges import Challenges
from proxy.supervisor.proofs import ListenerSolver, Proofs
from proxy.tls.handshake.challenge import TlsChallenge
from tests.proxy.supervisor.test_challenges import Telling
from tests.waiting import until

PROOF = Proof(AcmeChallenge.TLS_ALPN_01, "chat.test", "token", "thumbprint", "https://ca.test/c")


async def test_challenge_is_shown_and_taken_back() -> None:
    loop = asyncio.get_running_loop()
    challenges = Challenges(Telling())
    solver = ListenerSolver(loop, challenges, 10.0)
    await in_thread(loop, lambda: solver.present(PROOF))
    assert list(challenges.shown.names) == [TlsChallenge("chat.test", PROOF.digest)]
    await in_thread(loop, lambda: solver.withdraw(PROOF))
    assert list(challenges.shown.names) == []


async def test_token_is_shown_and_taken_back() -> None:
    loop = asyncio.get_running_loop()
    challenges = Challenges(Telling())
    solver = ListenerSolver(loop, challenges, 10.0)
    proof = replace(PROOF, kind=AcmeChallenge.HTTP_01)
    await in_thread(loop, lambda: solver.present(proof))
    assert challenges.tokens == {"token": "token.thumbprint"}
    for _ in range(2):
        await in_thread(loop, lambda: solver.withdraw(proof))
    assert challenges.tokens == {}


async def test_name_that_does_not_become_free_is_a_failure() -> None:
    loop = asyncio.get_running_loop()
    challenges = Challenges(Telling())
    other = TlsChallenge("chat.test", bytes(32))
    await challenges.present(other)
    solver = ListenerSolver(loop, challenges, 0.05)
    with pytest.raises(PresentingFailed, match=r"within 0\.05 s, or another order for chat\.test goes on"):
        await in_thread(loop, lambda: solver.present(PROOF))
    await challenges.withdraw(other)
    assert list(challenges.shown.names) == []


async def test_steps_are_told_in_the_loop() -> None:
    loop, events = asyncio.get_running_loop(), []
    proofs = Proofs(loop, Telling(), lambda event: events.append((event, threading.current_thread())))
    await in_thread(loop, lambda: proofs.showing.tell("le: registered"))
    await until(lambda: events)
    here = threading.current_thread()
    assert events == [(AcmeProgress("le: registered"), here)]
    await in_thread(loop, lambda: proofs.showing.solver.present(replace(PROOF, kind=AcmeChallenge.HTTP_01)))
    await in_thread(loop, lambda: proofs.showing.solver.present(PROOF))
    assert (list(proofs.challenges.tokens), len(proofs.challenges.shown.names)) == (["token"], 1)


async def test_records_are_for_hooks() -> None:
    solver = ListenerSolver(asyncio.get_running_loop(), Challenges(Telling()), 10.0)
    with pytest.raises(PresentingFailed, match="without a hook"):
        solver.present(replace(PROOF, kind=AcmeChallenge.DNS_01))


def test_parent_that_is_ending_shows_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    solver = ListenerSolver(loop, Challenges(Telling()), 10.0)
    with pytest.raises(PresentingFailed, match="the proxy is ending"):
        solver.present(PROOF)
