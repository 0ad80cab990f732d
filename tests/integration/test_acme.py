"""Certificates from Debian's pebble, which really looks: at the listeners of two workers, at the plain one, at the DNS."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.acme.challenges.dns_hook import DnsHook
from certs.acme.challenges.proofs import Proof, Solver
from certs.acme.client.accounts import AcmeAccount, FileAccountStore
from certs.acme.client.messages import NewOrder, identifier_of, payload
from certs.acme.client.session import Binding, Session, open_directory
from certs.acme.client.sign_in import Membership
from certs.acme.client.wire import Wire, WireSettings
from certs.acme.issuer import AcmeIssuer, AcmeSettings, Surroundings
from certs.acme.problems import AcmeProblem
from certs.acme.renewal_info import certificate_id
from certs.acme.timeouts import AcmeClocks, AcmeTimeouts
from certs.identities.chain import alternative_names
from certs.issuing.issuer import FailureKind, Issued, IssueFailed, IssueRequest
from config.tables.issuers import AcmeChallenge
from config.tables.plain import PLAIN_LISTENER
from proxy.net.in_thread import in_thread
from proxy.supervisor.challenges import Challenges
from proxy.supervisor.proofs import ListenerSolver
from tests import pebble as pebbles
from tests.acme_directory import csr_for
from tests.configurations import MINIMAL_REST, Site, listener
from tests.pebble import KEY_ID, MAC_KEY, Names, Pebble
from tests.waiting import until_seen
from tests.workforces import RunningWorkforce, workforce

# One that the configuration has, and one that it does not know: challenges are outside of all policy.
NAMES = ("chat.test", "not-here-yet.test")
REQUEST = IssueRequest(NAMES, csr_for(*NAMES))

Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    with pebbles.names() as made:
        yield made


@dataclass
class Place:
    """Two workers that require hybrids, a plain listener, and how a CA is asked from there."""

    running: RunningWorkforce
    challenges: Challenges
    listeners: ListenerSolver
    pebble: Pebble
    directory: Path
    told: list[str] = field(default_factory=list)
    binding: Binding = field(default_factory=lambda: Binding(KEY_ID, MAC_KEY))

    @property
    def store(self) -> FileAccountStore:
        return FileAccountStore(self.directory / "accounts")

    def issuer(self, kind: AcmeChallenge, solver: Solver | None = None) -> AcmeIssuer:
        membership = Membership(self.pebble.url, (), lambda: self.binding)
        settings = AcmeSettings(membership, kind, trust=self.pebble.trust)
        patience = AcmeTimeouts(call=20.0, validation=60.0, issuance=60.0, least_pause=0.05)
        around = Surroundings(self.store, solver or self.listeners, self.told.append, patience=patience)
        return AcmeIssuer("pebble", settings, around)

    async def issued(self, issuer: AcmeIssuer, request: IssueRequest = REQUEST) -> Issued:
        return await in_thread(asyncio.get_running_loop(), lambda: issuer.issue(request))

    async def renewed(self, issuer: AcmeIssuer, request: IssueRequest, leaf: x509.Certificate) -> x509.Certificate:
        renewal = replace(request, replaces=leaf.public_bytes(Encoding.DER))
        return chain_of(await self.issued(issuer, renewal), self.pebble.root)[0]

    async def is_replaced(self, certificate: x509.Certificate) -> bool:
        """Whether the CA knows of an order that replaces it: if so, it refuses a second one."""
        asked = NewOrder(identifiers=[identifier_of(name) for name in NAMES], replaces=certificate_id(certificate))

        def refusal(session: Session) -> int | None:
            try:
                session._post(session.directory.new_order, payload(asked))
            except AcmeProblem as problem:
                return problem.status
            return None

        return await self.in_session(refusal) == HTTPStatus.CONFLICT

    async def in_session(self, work: Callable[[Session], Answer]) -> Answer:
        """What `work` answers that asks the CA in the name of the account."""
        document = self.store.load(self.pebble.url)
        assert document is not None
        account = AcmeAccount.from_document(document, self.pebble.url)
        wire = Wire(WireSettings(self.pebble.trust, 20.0), AcmeClocks().now)
        with closing(wire):
            return await in_thread(
                asyncio.get_running_loop(), lambda: work(Session(wire, open_directory(wire, self.pebble.url), account))
            )

    async def refused(self, issuer: AcmeIssuer) -> IssueFailed:
        with pytest.raises(IssueFailed) as caught:
            await self.issued(issuer)
        return caught.value

    def seen(self) -> set[str]:
        """The names that the CA looked at, by what the workers logged."""
        lines = (self.directory / "log").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return {event["name"] for event in events if event.get("event") == "challenge_answered"}


@asynccontextmanager
async def place(directory: Path, names: Names) -> AsyncIterator[Place]:
    site = Site.make(directory)
    text = "workers = 2\n" + listener("public", pq="require", level="critical") + site.identity + MINIMAL_REST
    text += '[plain]\nbind = "127.0.0.1:0"\n'
    loop = asyncio.get_running_loop()
    async with workforce(site, directory, text) as running:
        challenges = Challenges(running.workforce)
        running.parent.challenges = lambda: challenges.shown
        solver = ListenerSolver(loop, challenges, 20.0)
        (plain,) = (one for one in running.parent.bound if one.listener == PLAIN_LISTENER)
        pebble = Pebble(directory, names.dns, plain.by_slot[0].getsockname()[1], running.port)
        yield Place(running, challenges, solver, pebble, directory)
        assert challenges.shown.names == ()
        assert challenges.tokens == {}


def chain_of(issued: Issued, root: bytes) -> list[x509.Certificate]:
    """The chain, after it was verified up to the root."""
    chain = x509.load_pem_x509_certificates(issued.chain_pem)
    for one, issuer in zip(chain, [*chain[1:], x509.load_pem_x509_certificate(root)], strict=True):
        one.verify_directly_issued_by(issuer)
    return chain


def hook(directory: Path, names: Names) -> DnsHook:
    """A command that tells pebble's DNS."""
    script = directory / "hook.py"
    script.write_text(
        "import json, sys, urllib.request\n"
        "management, action, host, value = sys.argv[1:]\n"
        'what = "set-txt" if action == "present" else "clear-txt"\n'
        'body = json.dumps({"host": host, "value": value}).encode()\n'
        'urllib.request.urlopen(f"{management}/{what}", body).read()\n'
    )
    return DnsHook([sys.executable, "-I", str(script), names.management], 30.0)


@pytest.mark.parametrize("kind", AcmeChallenge)
async def test_certificate_is_issued_and_renewed_under_rejected_nonces(
    tmp_path: Path, names: Names, kind: AcmeChallenge
) -> None:
    async with place(tmp_path, names) as here:
        with here.pebble.up():
            solver = hook(tmp_path, names) if kind is AcmeChallenge.DNS_01 else None
            key = ec.generate_private_key(ec.SECP256R1())
            request = IssueRequest(NAMES, csr_for(*NAMES, key=key))
            leaf = chain_of(await here.issued(here.issuer(kind, solver), request), here.pebble.root)[0]
            assert leaf.public_key() == key.public_key()
            assert set(alternative_names(leaf)) == set(NAMES)
            assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == pytest.approx(3_600, abs=1)
            # a worker writes its log after its answer
            await until_seen(lambda: here.seen() == (set(NAMES) if kind is AcmeChallenge.TLS_ALPN_01 else set()))
            again = here.issuer(kind, solver)  # as after a restart
            window = await in_thread(asyncio.get_running_loop(), lambda: again.renewal_window(leaf))
            assert window is not None
            assert window.start < window.end
            assert window.ask_again is not None
            # pebble notes which order a certificate is of a moment after it has handed it out, and of one in 512 never
            for _ in range(3):
                before, leaf = leaf, await here.renewed(again, request, leaf)
                assert leaf.serial_number != before.serial_number
                if await here.is_replaced(before):
                    break
            else:
                pytest.fail("pebble knows of no order that replaces one of three certificates")
            assert len([line for line in here.told if "registered as" in line]) == 1


async def test_certificate_that_the_ca_cannot_find_is_renewed(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        with here.pebble.up():
            issuer = here.issuer(AcmeChallenge.HTTP_01)
            leaf = chain_of(await here.issued(issuer), here.pebble.root)[0]
            serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1)
            changed = leaf.public_bytes(Encoding.DER).replace(serial, bytes([*serial[:-1], serial[-1] ^ 1]))
            unknown = x509.load_der_x509_certificate(changed)
            assert unknown.serial_number == leaf.serial_number ^ 1
            await here.renewed(issuer, REQUEST, unknown)


class WrongSolver:
    """Shows what somebody else was asked for."""

    def __init__(self, inner: Solver) -> None:
        self._inner = inner
        self._shown: dict[str, Proof] = {}

    def present(self, proof: Proof) -> None:
        wrong = Proof(proof.kind, proof.name, proof.token, "thumbprint-of-another-account", proof.url)
        self._shown[proof.token] = wrong
        self._inner.present(wrong)

    def withdraw(self, proof: Proof) -> None:
        self._inner.withdraw(self._shown.pop(proof.token))


@pytest.mark.parametrize("kind", [AcmeChallenge.TLS_ALPN_01, AcmeChallenge.HTTP_01])
async def test_wrong_answer_is_found_out_and_named(tmp_path: Path, names: Names, kind: AcmeChallenge) -> None:
    async with place(tmp_path, names) as here:
        with here.pebble.up():
            failure = await here.refused(here.issuer(kind, WrongSolver(here.listeners)))
            assert failure.kind is FailureKind.TEMPORARY
            assert failure.detail.startswith(f"pebble: {kind} for chat.test: unauthorized (")
            chain_of(await here.issued(here.issuer(kind)), here.pebble.root)


async def test_ca_that_was_down_for_a_while_and_forgot_everything(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        issuer = here.issuer(AcmeChallenge.TLS_ALPN_01)
        with here.pebble.up():
            await here.issued(issuer)
        failure = await here.refused(issuer)
        assert (failure.kind, "Connection refused" in failure.detail) == (FailureKind.TEMPORARY, True)
        with here.pebble.up():
            chain_of(await here.issued(issuer), here.pebble.root)


async def test_account_that_was_closed_is_replaced(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        issuer = here.issuer(AcmeChallenge.HTTP_01)
        with here.pebble.up():
            await here.issued(issuer)
            await here.in_session(close_account)
            chain_of(await here.issued(issuer), here.pebble.root)
            assert len([line for line in here.told if "registered as" in line]) == 2


def close_account(session: Session) -> None:
    """RFC 8555 section 7.3.6."""
    assert session.account.url is not None
    session._post(session.account.url, b'{"status": "deactivated"}')


async def test_external_account_that_the_ca_does_not_know(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        here.binding = Binding("kid-9", MAC_KEY)
        with here.pebble.up():
            failure = await here.refused(here.issuer(AcmeChallenge.HTTP_01))
            assert MAC_KEY not in failure.detail
            assert failure.detail.startswith("pebble: chat.test, not-here-yet.test: ")


async def test_two_orders_for_the_same_names_wait_for_each_other(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        with here.pebble.up():
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(
                        here.issued(here.issuer(AcmeChallenge.TLS_ALPN_01), IssueRequest(order, csr_for(*order)))
                    )
                    for order in (NAMES, NAMES[::-1])
                ]
            for task in tasks:
                chain_of(task.result(), here.pebble.root)


async def test_worker_that_joins_in_the_middle_knows_what_is_pending(tmp_path: Path, names: Names) -> None:
    async with place(tmp_path, names) as here:
        is_shown, goes_on = threading.Event(), threading.Event()

        class Halting(WrongSolver):
            """Shows the right thing, and lets the test do something before the CA looks."""

            def present(self, proof: Proof) -> None:
                self._shown[proof.token] = proof
                self._inner.present(proof)
                if proof.name == NAMES[-1]:
                    is_shown.set()
                    assert goes_on.wait(60)

        loop = asyncio.get_running_loop()
        with here.pebble.up():
            issuing = asyncio.ensure_future(  # noqa: TID251 - it is awaited below
                here.issued(here.issuer(AcmeChallenge.TLS_ALPN_01, Halting(here.listeners)))
            )
            await in_thread(loop, lambda: is_shown.wait(60))
            before = here.running.pids
            for worker in here.running.workforce.workers:
                worker.kill()
            await until_seen(lambda: len(here.running.pids) == 2 and not set(before) & set(here.running.pids))
            await here.running.settled()
            goes_on.set()
            chain_of(await issuing, here.pebble.root)
