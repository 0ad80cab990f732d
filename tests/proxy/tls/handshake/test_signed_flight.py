"""Handshakes with keys in tokens: what runs on the loop, what in a thread, and that no client notices which."""

import itertools
import ssl
from collections.abc import Iterator
from dataclasses import replace

import pytest

from config.schema import PqPolicy, SecurityLevel
from proxy.signing.executor import JobRefusal
from proxy.tls.handshake.attempt import AttemptFailed, RetryDiffers
from proxy.tls.handshake.group_choice import HandshakeOutcome, group_preference
from proxy.tls.handshake.identities import IdentityTable
from proxy.tls.handshake.results import FailureReason
from proxy.tls.openssl import libssl
from proxy.tls.openssl.driver import TlsDriver
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.tls.tokens.signing_plan import SigningPlan
from proxy.tls.wire.alerts import AlertDescription, alert_record
from proxy.tls.wire.groups import KNOWN
from tests.certificates import Authority, CertificateFiles
from tests.fakes import changed_identity, changed_policy, ready_of
from tests.proxy.tls import hellos
from tests.proxy.tls.clients import TlsClient
from tests.proxy.tls.drivers import is_empty
from tests.proxy.tls.signing_world import RETRIED_GROUPS, Conversation, World

A, R = AlertDescription, FailureReason
TOKEN_FAULT = ssl.SSLError(1, "[SSL] EVP lib")
CHANGE_CIPHER_SPEC = b"\x14\3\3\0\1\1"
"""Behind a hello with early data; no server may mind (RFC 8446 appendix D.4)."""
pytestmark = pytest.mark.usefixtures("of_thread")
GROUPS = pytest.mark.parametrize("groups", ["X25519MLKEM768:X25519", RETRIED_GROUPS])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> CertificateFiles:
    return authority.issue("chat", ("chat.example.org",))


@pytest.fixture
def world(files: CertificateFiles, driver: TlsDriver) -> Iterator[World]:
    world = World.make(files)
    world.driver = driver
    yield world
    world.close()


def asked(world: World, groups: str = "X25519MLKEM768:X25519") -> Conversation:
    """A conversation up to where plexi signs for it."""
    one = world.conversation(groups)
    one.say()
    if groups == RETRIED_GROUPS:
        assert not world.plexi.executor.running  # who asks for another hello needs no token
        assert one.hear()
        one.say()
    assert len(world.plexi.executor.running) == 1
    assert one.hear() == b""
    return one


def asked_without_prediction(world: World) -> Conversation:
    """A token is asked at once: the policy takes any of these groups, but the token's context prefers one."""
    one_tuple = group_preference(SecurityLevel.STANDARD, PqPolicy.PREFER, (("X25519MLKEM768", "X25519"),), KNOWN)
    one = world.conversation(RETRIED_GROUPS, policy=changed_policy(world.policy(), preference=one_tuple))
    one.say()
    assert len(world.plexi.executor.running) == 1
    assert one.hear() == b""
    return one


def established(world: World, groups: str = "X25519MLKEM768:X25519") -> Conversation:
    one = asked(world, groups)
    world.plexi.executor.finish()
    one.finish()
    return one


def refused(one: Conversation, reason: FailureReason, alert: AlertDescription) -> None:
    """The client got exactly this alert, then the end; the observer heard once."""
    one.loop.settle()
    assert one.wire.received() == alert_record(alert)
    assert one.wire.peer_sees_end
    assert one.observer.calls == 1
    failure = one.observer.failures[0]
    assert (failure.reason, failure.alert) == (reason, alert)


def returning(world: World, first: Conversation) -> Conversation:
    """The client of `first` comes back with its session."""
    first.observer.streams[0].write(b"tickets come with it")
    assert first.client.read() == b"tickets come with it"
    session = first.client.tls.session
    assert session is not None
    client = TlsClient(first.wire.peer, first.client.tls.context, session=session)
    return world.conversation(client=client)


class TestStepsOnTheLoop:
    """What needs no token waits its turn there, as the steps of all other handshakes do."""

    def test_are_a_few_in_each_turn(self, world: World) -> None:
        policy = world.policy()
        many = [world.conversation(RETRIED_GROUPS, policy=policy) for _ in range(20)]
        for one in many:
            one.wire.peer.sendall(one.client.handshake_step())
        answered = [0]
        while answered[-1] < len(many):
            world.loop.turn()
            answered.append(len(ready_of([one.wire.peer for one in many])[0]))
        turns = [after - before for before, after in itertools.pairwise(answered)]
        assert [made for made in turns if made] == [8, 8, 4]

    @pytest.mark.parametrize("groups", [RETRIED_GROUPS, "X25519MLKEM768:X25519"])
    def test_are_not_made_for_who_has_left(self, world: World, groups: str) -> None:
        one = world.conversation(groups) if groups == RETRIED_GROUPS else returning(world, established(world))
        one.wire.peer.sendall(one.client.handshake_step())
        world.loop.turn()  # the hello is read
        one.handshake.connection_lost(None)
        world.loop.settle()
        assert one.hear() == b""
        assert [failure.reason for failure in one.observer.failures] == [R.CLIENT_LEFT]
        assert is_empty(world.driver)


class TestSignature:
    @GROUPS
    def test_is_made_in_a_thread(self, world: World, groups: str) -> None:
        one = established(world, groups)
        (result,) = one.observer.results
        assert one.observer.token_turns[:2] == ["asked", "answered"], "it makes room for nobody while it is signed"
        retried = groups == RETRIED_GROUPS
        assert result.outcome is (HandshakeOutcome.HYBRID_AFTER_RETRY if retried else HandshakeOutcome.HYBRID)
        assert not result.is_resumed
        assert result.signing_seconds is not None
        assert world.plexi.token.counters.errors == 0
        assert sum(world.plexi.token.counters.signing_seconds.counts) == 1

    def test_client_sees_the_certificate_of_the_key_and_never_the_other_one(
        self, world: World, files: CertificateFiles
    ) -> None:
        one = established(world)
        shown = one.client.tls.getpeercert(binary_form=True)
        assert shown is not None
        assert ssl.DER_cert_to_PEM_cert(shown) == files.certificate.read_text()

    def test_connection_goes_on_with_the_driver_of_the_loop(self, world: World) -> None:
        one = asked(world)
        world.plexi.executor.finish()
        one.observer.when_established = lambda stream: stream.write(b"hello")
        stream = one.finish()
        assert one.client.read() == b"hello"
        one.wire.peer.sendall(one.client.sealed(b"and back"))
        world.loop.settle()
        assert one.observer.owners[0].data == b"and back"
        assert stream._driver is world.driver
        assert is_empty(world.driver)

    def test_nothing_is_told_to_openssl_while_it_is_made(self, world: World) -> None:
        """Nobody touches the BIOs of an object that a thread has."""
        one = asked(world)
        for _ in range(3):
            one.say(CHANGE_CIPHER_SPEC)
        (job,) = world.plexi.executor.running
        world.plexi.executor.finish()
        assert job.started is not None
        one.finish()

    def test_hello_with_bytes_behind_it_is_replayed_with_them(self, world: World) -> None:
        one = world.conversation()
        one.say(one.client.handshake_step() + b"\x17\3\3\0\1x")
        world.plexi.executor.finish()
        one.loop.settle()
        assert one.observer.failures[0].reason is R.TLS_ERROR

    def test_client_of_several_pieces(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        for flight in range(2):
            for byte in one.client.handshake_step():
                one.say(bytes((byte,)))
            if flight == 0:
                one.hear()
        world.plexi.executor.finish()
        one.finish()


class TestFailover:
    @GROUPS
    def test_next_token_gets_the_same_bytes(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        world.plexi.executor.finish(TOKEN_FAULT)
        assert one.hear() == b""
        world.spare.executor.finish()
        one.finish()
        assert world.plexi.token.counters.errors == 1
        assert world.plexi.token.counters.failovers == 1

    @GROUPS
    def test_hedge_that_wins_is_sent_and_the_late_flight_thrown_away(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        world.loop.advance(0.2)
        world.spare.executor.finish()
        one.finish()
        world.plexi.executor.finish()
        assert one.observer.calls == 1
        assert one.client.read() == b""  # what came are tickets, and nothing that does not fit
        assert world.plexi.token.counters.hedges == 1
        assert world.spare.token.counters.hedges_won == 1

    @GROUPS
    def test_nobody_left(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish(TOKEN_FAULT)
        world.loop.advance(0)
        for token in (world.plexi, world.spare):
            token.executor.finish(TOKEN_FAULT)  # the probe
        refused(one, R.SIGNING_UNAVAILABLE, A.INTERNAL_ERROR)

    def test_contexts_that_are_not_alike_are_no_fault_of_the_client(self, world: World) -> None:
        """The second token's context would ask for another group: its answer is not the one that was sent."""
        policy = world.policy()
        identity = policy.identities.resolve("chat.example.org")
        assert identity is not None
        assert identity.plan is not None
        _, credential = identity.plan.ranked[0]
        assert not isinstance(credential, ssl.SSLContext)
        credential.keys[0].settings = replace(credential.keys[0].settings, groups="X25519")
        one = world.conversation(RETRIED_GROUPS, policy=policy)
        one.say()
        one.hear()
        one.say()
        world.plexi.executor.finish()
        world.spare.executor.finish()
        one.finish()
        assert world.plexi.token.counters.errors == 1

    def test_judge_that_would_have_asked_otherwise_does_not_blame_the_client(self, world: World) -> None:
        policy = world.policy()
        identity = policy.identities.resolve("chat.example.org")
        assert identity is not None
        one = world.conversation(RETRIED_GROUPS, policy=policy)
        one.say()
        one.hear()
        libssl.set_groups(identity.context.current, "X25519")
        one.say()
        world.plexi.executor.finish(TOKEN_FAULT)
        world.spare.executor.finish()
        one.finish()
        assert world.plexi.token.counters.errors == 1


class TestResumption:
    def test_needs_no_token(self, world: World) -> None:
        first = established(world)
        for token in (world.plexi, world.spare):
            for _ in range(3):
                token.token.failed(None)
        one = returning(world, first)
        one.say()
        one.finish()
        (result,) = one.observer.results
        assert result.is_resumed
        assert result.signing_seconds is None

    def test_shares_the_driver_of_the_loop(self, world: World) -> None:
        one = returning(world, established(world))
        one.say()
        assert one.finish()._driver is world.driver

    def test_after_a_retry_needs_no_token_either(self, world: World) -> None:
        first = established(world, RETRIED_GROUPS)
        one = returning(world, first)
        one.say()
        assert one.hear()
        one.say()
        one.finish()
        (result,) = one.observer.results
        assert result.is_resumed
        assert result.outcome is HandshakeOutcome.HYBRID_AFTER_RETRY
        assert not world.plexi.executor.running

    @GROUPS
    def test_ticket_that_is_not_taken_goes_to_a_token(self, world: World, groups: str) -> None:
        """Its key name is ours, but it cannot be opened: a signature is needed after all, and the loop's is thrown away."""
        first = established(world, groups)
        world.opens_tickets = False
        one = returning(world, first)
        one.say()
        if groups == RETRIED_GROUPS:
            assert one.hear()
            one.say()
        assert one.hear() == b""
        world.plexi.executor.finish()
        one.finish()
        assert not one.observer.results[0].is_resumed

    def test_ticket_of_the_secret_before(self, world: World) -> None:
        first = established(world)
        world.tickets = TicketSecrets(b"2" * 32, bytes(32))
        one = returning(world, first)
        one.say()
        one.finish()
        assert one.observer.results[0].is_resumed

    def test_ticket_of_somebody_else_goes_to_a_token(self, world: World) -> None:
        first = established(world)
        world.tickets = TicketSecrets(b"2" * 32)
        one = returning(world, first)
        one.say()
        world.plexi.executor.finish()
        one.finish()
        assert not one.observer.results[0].is_resumed


class TestFaultsOfTheClient:
    def test_never_count_against_a_token(self, world: World) -> None:
        """A share that no curve has: OpenSSL answers before it would sign."""
        bad = hellos.Hello(
            extensions=(
                hellos.supported_versions(),
                hellos.supported_groups([29]),
                hellos.key_share((29, bytes(32))),
                hellos.signature_algorithms(),
                hellos.server_name(b"chat.example.org"),
            )
        )
        one = world.conversation()
        one.say(hellos.record(bad.message))
        world.plexi.executor.finish()
        one.loop.settle()
        assert one.observer.failures[0].reason is R.TLS_ERROR
        assert not world.spare.executor.running
        assert world.plexi.token.counters.errors == 0
        assert world.plexi.token.is_closed

    def test_nothing_that_we_can_sign_by(self, world: World) -> None:
        one = world.conversation()
        context = hellos.client_context("X25519MLKEM768")
        assert hellos.openssl_takes(context, hellos.SET_SIGALGS_LIST, "rsa_pss_rsae_sha256")
        one.client = TlsClient(one.wire.peer, context)
        one.say()
        refused(one, R.NO_COMMON_SIGNATURE, A.HANDSHAKE_FAILURE)
        assert not world.plexi.executor.running

    def test_second_hello_that_is_none(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say()
        one.hear()
        one.say(hellos.record(b"\x14" + bytes(3)))
        refused(one, R.TLS_ERROR, A.UNEXPECTED_MESSAGE)

    def test_second_hello_that_only_we_reject(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say()
        one.hear()
        one.say(b"\x16\3\3\xff\xff" + b"\1\0\0\0" + bytes(65_531))
        one.loop.settle()
        assert one.observer.failures[0].reason is R.TLS_ERROR

    def test_second_hello_with_another_share_than_was_asked_for(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        first = one.client.handshake_step()
        one.say(first)
        one.hear()
        one.say(first)
        world.plexi.executor.finish()
        refused(one, R.TLS_ERROR, A.ILLEGAL_PARAMETER)
        assert world.plexi.token.counters.errors == 0

    def test_too_many_bytes_behind_a_retry(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say()
        one.hear()
        for _ in range(20):
            one.say(b"\x17\3\3\x3f\xf0" + bytes(0x3FF0))
            if one.observer.failures:
                break
        refused(one, R.MALFORMED_HELLO, A.RECORD_OVERFLOW)


class TestWhileATokenSigns:
    """What a client says or does before our flight is there."""

    @GROUPS
    def test_what_it_may_say_waits_for_the_flight(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        one.say(CHANGE_CIPHER_SPEC)
        assert one.observer.calls == 0
        world.plexi.executor.finish()
        one.finish()

    @pytest.mark.parametrize("groups", ["X25519MLKEM768:X25519", RETRIED_GROUPS])
    def test_record_that_is_cut_behind_the_hello_is_whole_for_who_reads_it(self, world: World, groups: str) -> None:
        one = world.conversation(groups)
        one.say(one.client.handshake_step() + CHANGE_CIPHER_SPEC[:3])
        if groups == RETRIED_GROUPS:
            assert one.hear()
            one.say(CHANGE_CIPHER_SPEC[3:] + one.client.handshake_step())
            world.plexi.executor.finish()
        else:
            one.say(CHANGE_CIPHER_SPEC[3:])
            world.plexi.executor.finish()
        one.finish()

    def test_record_that_swallows_the_second_hello_is_waited_for_and_nobody_signs(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say(one.client.handshake_step() + b"\x17\3\3")  # its length will be the beginning of the hello
        assert one.hear()
        one.say()
        assert not world.plexi.executor.running
        one.handshake.deadline_passed(world.loop.now)
        assert [failure.reason for failure in one.observer.failures] == [R.TIMEOUT]

    def test_what_is_too_much_stays_in_the_kernel(self, world: World) -> None:
        one = asked(world)
        one.say(CHANGE_CIPHER_SPEC)
        assert one.wire.is_watched
        one.say(CHANGE_CIPHER_SPEC * 3_000)
        assert not one.wire.is_watched

    def test_what_it_may_not_say_is_refused_behind_the_flight(self, world: World) -> None:
        one = asked(world)
        one.say(b"\x16\3\3\0\1x")
        assert one.observer.calls == 0
        world.plexi.executor.finish()
        one.loop.settle()
        assert [failure.reason for failure in one.observer.failures] == [R.TLS_ERROR]

    def test_it_waits_for_a_retry_that_was_not_predicted(self, world: World) -> None:
        one = asked_without_prediction(world)
        one.say(CHANGE_CIPHER_SPEC)
        world.plexi.executor.finish()
        assert one.hear()  # the token's context asks for another hello
        one.say()
        world.plexi.executor.finish()
        one.finish()

    def test_what_no_second_hello_may_be_is_refused_as_soon_as_one_is_asked_for(self, world: World) -> None:
        one = asked_without_prediction(world)
        one.say(b"\x16\3\3\0\5\xff\0\0\1x")
        world.plexi.executor.finish()
        assert [failure.reason for failure in one.observer.failures] == [R.TLS_ERROR]

    @pytest.mark.parametrize("said", [b"", CHANGE_CIPHER_SPEC], ids=["nothing", "something"])
    def test_one_that_leaves_the_queue_is_not_signed_for(self, world: World, said: bytes) -> None:
        world.plexi.executor.threads = 1
        first = asked(world)
        late = world.conversation()
        late.say()
        late.say(said)
        assert len(world.plexi.executor.waiting) == 1
        late.wire.peer.close()
        late.loop.settle()
        assert [failure.reason for failure in late.observer.failures] == [R.CLIENT_LEFT]
        assert not world.plexi.executor.waiting
        world.plexi.executor.finish()
        first.finish()


class TestEnds:
    @GROUPS
    def test_deadline_tells_the_observer_once_and_the_thread_nobody(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        world.loop.now += 11
        one.handshake.deadline_passed(world.loop.now)
        refused(one, R.SIGNING_TIMEOUT, A.INTERNAL_ERROR)
        world.plexi.executor.finish()
        assert one.observer.calls == 1

    def test_client_that_vanishes(self, world: World) -> None:
        one = asked(world)
        one.wire.stream.abort()
        world.loop.settle()
        assert [failure.reason for failure in one.observer.failures] == [R.CLIENT_LEFT]
        world.plexi.executor.finish()
        assert one.observer.calls == 1
        assert world.plexi.token.is_closed

    def test_deadline_of_who_never_answers_a_retry(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say()
        one.handshake.deadline_passed(world.loop.now)
        assert one.observer.failures[0].reason is R.TIMEOUT

    def test_scheme_that_openssl_has_and_no_signer_has(self, world: World) -> None:
        policy = world.policy()
        identity = policy.identities.resolve("chat.example.org")
        assert identity is not None
        table = IdentityTable([changed_identity(identity, plan=SigningPlan(()))], None)
        one = world.conversation(policy=changed_policy(policy, identities=table))
        one.say()
        refused(one, R.SIGNING_UNAVAILABLE, A.INTERNAL_ERROR)

    def test_key_that_nobody_has_loaded(self, world: World) -> None:
        for key in world.keys:
            key.adopt(None)
        one = world.conversation()
        one.say()
        refused(one, R.SIGNING_UNAVAILABLE, A.INTERNAL_ERROR)


class TestMixedIdentities:
    """A key in a token beside one in a file."""

    @pytest.fixture(autouse=True)
    def beside(self, world: World, authority: Authority) -> None:
        world.rsa = authority.issue("rsa", ("chat.example.org",), kind="rsa-2048")

    def client(self, schemes: str, groups: str) -> ssl.SSLContext:
        context = hellos.client_context(groups)
        assert hellos.openssl_takes(context, hellos.SET_SIGALGS_LIST, schemes)
        return context

    @GROUPS
    def test_file_signs_on_the_loop(self, world: World, groups: str) -> None:
        one = world.conversation()
        one.client = TlsClient(one.wire.peer, self.client("rsa_pss_rsae_sha256", groups))
        one.say()
        if groups == RETRIED_GROUPS:
            one.hear()
            one.say()
        one.finish()
        assert not world.plexi.executor.running
        assert one.observer.results[0].signing_seconds is not None

    @GROUPS
    def test_file_signs_where_no_token_is_left(self, world: World, groups: str) -> None:
        one = asked(world, groups)
        for _ in range(2):
            for token in (world.plexi, world.spare):
                token.executor.finish(TOKEN_FAULT)
            world.loop.advance(0)  # to the probes
        one.finish()
        assert world.plexi.token.counters.errors == 1
        assert self.shown(one) == self.of_file(world)

    def test_file_signs_where_no_token_does_in_time(self, world: World) -> None:
        one = asked(world)
        world.loop.advance(0.2)  # the other token is asked as well
        assert world.spare.executor.running
        world.loop.advance(1.7)
        assert not one.observer.calls
        world.loop.advance(0.1)
        one.finish()
        assert self.shown(one) == self.of_file(world)

    def test_file_signs_where_both_tokens_are_busy(self, world: World) -> None:
        for token in (world.plexi, world.spare):
            token.executor.refuses = JobRefusal.QUEUE_FULL
        one = world.conversation()
        one.say()
        one.finish()
        assert self.shown(one) == self.of_file(world)

    def shown(self, one: Conversation) -> str:
        certificate = one.client.tls.getpeercert(binary_form=True)
        assert certificate is not None
        return ssl.DER_cert_to_PEM_cert(certificate)

    def of_file(self, world: World) -> str:
        assert world.rsa is not None
        return world.rsa.certificate.read_text()

    def test_file_whose_context_would_have_asked_otherwise(self, world: World) -> None:
        policy = world.policy()
        identity = policy.identities.resolve("chat.example.org")
        assert identity is not None
        assert identity.plan is not None
        in_file = next(signer for _, signer in identity.plan.ranked if isinstance(signer, ssl.SSLContext))
        one = world.conversation(policy=policy)
        one.client = TlsClient(one.wire.peer, self.client("rsa_pss_rsae_sha256", RETRIED_GROUPS))
        one.say()
        one.hear()
        libssl.set_groups(in_file, "X25519")
        one.say()
        assert one.hear().endswith(alert_record(A.INTERNAL_ERROR))
        assert one.observer.failures[0].reason is R.TLS_ERROR

    def test_token_signs_where_it_is_preferred(self, world: World) -> None:
        one = world.conversation()
        one.client = TlsClient(
            one.wire.peer, self.client("rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256", "X25519MLKEM768")
        )
        one.say()
        world.plexi.executor.finish()
        one.finish()

    def test_fault_of_the_client_with_the_file(self, world: World) -> None:
        bad = hellos.Hello(
            extensions=(
                hellos.supported_versions(),
                hellos.supported_groups([29]),
                hellos.key_share((29, bytes(32))),
                hellos.signature_algorithms([0x0804]),
                hellos.server_name(b"chat.example.org"),
            )
        )
        one = world.conversation()
        one.say(hellos.record(bad.message))
        assert one.observer.failures[0].reason is R.TLS_ERROR


class TestSlowGroups:
    """What needs no token is computed in the thread for slow groups, and shows that the client's bytes are good."""

    SLOW = "X25519MLKEM768"

    @pytest.fixture(autouse=True)
    def slow(self, world: World) -> None:
        world.slow = ("x25519mlkem768",)

    @staticmethod
    def tried(world: World, groups: str = SLOW) -> Conversation:
        """The thread has made a flight with the throw-away certificate; a token is asked."""
        one = world.conversation(groups)
        one.say()
        for _ in range(2 if groups == RETRIED_GROUPS else 1):
            if world.thread.running:
                world.thread.finish()
            if one.hear():
                one.say()
                world.thread.finish()
        assert len(world.plexi.executor.running) == 1
        return one

    @pytest.mark.parametrize("groups", [SLOW, RETRIED_GROUPS])
    def test_token_signs_what_was_tried_before(self, world: World, groups: str) -> None:
        one = self.tried(world, groups)
        assert one.hear() == b""
        world.plexi.executor.finish()
        one.finish()
        assert one.observer.results[0].group is KNOWN["x25519mlkem768"]
        assert one.observer.slow_exchanges == 1

    def test_failure_of_a_token_is_not_looked_for_in_the_client_s_bytes(self, world: World) -> None:
        """They were good in the thread; the loop computes nothing."""
        one = self.tried(world)
        world.plexi.executor.finish(AttemptFailed(TOKEN_FAULT, b""))
        assert len(world.spare.executor.running) == 1
        world.spare.executor.finish()
        one.finish()

    def test_hello_that_openssl_refuses_asks_no_token(self, world: World) -> None:
        one = world.conversation(self.SLOW)
        hello = one.client.handshake_step()
        share = hello.index(b"\x11\xec\x04\xc0") + 4
        one.say(hello[:share] + b"\xff" * 1_184 + hello[share + 1_184 :])
        world.thread.finish()
        refused(one, R.TLS_ERROR, A.ILLEGAL_PARAMETER)
        assert not world.plexi.executor.running

    def test_resumption_needs_the_thread_alone(self, world: World) -> None:
        first = self.tried(world)
        world.plexi.executor.finish()
        first.finish()
        again = returning(world, first)
        again.say()
        world.thread.finish()
        again.finish()
        assert again.observer.results[0].is_resumed
        assert not world.plexi.executor.running

    def test_key_in_a_file_signs_there(self, world: World, authority: Authority) -> None:
        world.rsa = authority.issue("chat-rsa", ("chat.example.org",), kind="rsa-2048")
        one = world.conversation(self.SLOW)
        libssl.set_signature_algorithms(one.client.tls.context, "rsa_pss_rsae_sha256")
        one = world.conversation(client=TlsClient(one.wire.peer, one.client.tls.context))
        one.say()
        world.thread.finish()
        assert not world.plexi.executor.running
        world.thread.finish()
        one.finish()
        assert one.observer.results[0].group is KNOWN["x25519mlkem768"]

    def test_contexts_that_ask_for_different_shares(self, world: World) -> None:
        one = world.conversation(RETRIED_GROUPS)
        one.say()
        world.thread.finish()
        assert one.hear()
        one.say()
        world.thread.finish(RetryDiffers())
        refused(one, R.TLS_ERROR, A.INTERNAL_ERROR)

    def test_other_group_is_signed_by_the_token_too(self, world: World) -> None:
        one = world.conversation("X25519MLKEM768:X25519")
        one.observer.takes_slow_exchange = False
        one.say()
        assert one.hear()  # a HelloRetryRequest: it sent no share of X25519
        one.say()
        world.plexi.executor.finish()
        one.finish()
        assert one.observer.results[0].group is KNOWN["x25519"]
        assert not world.thread.running
