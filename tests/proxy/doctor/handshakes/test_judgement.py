"""What outcomes mean: each is right or wrong by the configuration."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from config.schema import REJECT, PqPolicy
from proxy.doctor.finding import Finding, State
from proxy.doctor.handshakes import judgement
from proxy.doctor.handshakes.expectation import REFUSAL, ExpectedAnswer
from proxy.doctor.handshakes.judgement import Subject
from proxy.doctor.handshakes.observation import Ending, Observation
from tests.certs.authority import private_key

SUBJECT = Subject("public", "127.0.0.1:443", "chat.test")
HYBRID = Observation(Ending.ESTABLISHED, 0.002, group="X25519MLKEM768", has_key_exchange=True, version="TLSv1.3")
RETRIED = Observation(Ending.ESTABLISHED, 0.002, retried=True, group="X25519MLKEM768", version="TLSv1.3")
CLASSICAL = Observation(Ending.ESTABLISHED, 0.002, group="x25519", has_key_exchange=True, version="TLSv1.3")
RESUMED = Observation(
    Ending.ESTABLISHED, 0.001, group="X25519MLKEM768", has_key_exchange=True, is_resumed=True, version="TLSv1.3"
)


def alert(number: int) -> Observation:
    return Observation(Ending.ALERT, 0.001, alert=number)


FAILED = alert(40)
VERSION = alert(70)
NAME = alert(112)
CERTIFICATE = alert(116)
UNANSWERED = [
    Observation(Ending.CLOSED, 0.0),
    Observation(Ending.SILENT, 5.0),
    Observation(Ending.UNREACHABLE, 0.0, detail="Connection refused"),
    Observation(Ending.NOT_TLS, 0.0, detail="it begins with b'HTTP'"),
    Observation(Ending.CLIENT_REFUSED, 0.0, detail="decode error"),
]


def has_remedy(finding: Finding) -> bool:
    """A finding that is not ok says what to do."""
    return (finding.state is State.OK) != bool(finding.remedy)


@pytest.mark.parametrize("seen", UNANSWERED)
def test_no_answer_is_a_failure_in_every_check(seen: Observation) -> None:
    for finding in (
        judgement.key_exchange("hybrid key share", SUBJECT, seen, REFUSAL, PqPolicy.REQUIRE),
        judgement.unknown_name(SUBJECT, seen, REJECT),
        judgement.old_version(SUBJECT, seen),
        judgement.resumption(SUBJECT, seen),
        judgement.mldsa(SUBJECT, seen, has_mldsa=None),
        judgement.client_certificate(SUBJECT, seen),
        judgement.passed_on(SUBJECT, seen, "tcp://127.0.0.1:1"),
        judgement.unserved("HTTP/2", SUBJECT, seen),
    ):
        assert finding.state is State.FAILURE
        assert finding.subject == "public 127.0.0.1:443 chat.test"
        assert str(seen) in finding.found
        assert finding.remedy


@pytest.mark.parametrize(
    ("seen", "expectation", "pq", "state", "words"),
    [
        (HYBRID, ExpectedAnswer("X25519MLKEM768"), PqPolicy.PREFER, State.OK, "in 1 round trip"),
        (
            RETRIED,
            ExpectedAnswer("X25519MLKEM768", is_retried=True),
            PqPolicy.PREFER,
            State.OK,
            "by a HelloRetryRequest",
        ),
        (
            CLASSICAL,
            ExpectedAnswer("X25519"),
            PqPolicy.PREFER,
            State.OK,
            "pq = prefer accepts a classical key exchange",
        ),
        (CLASSICAL, ExpectedAnswer("X25519"), PqPolicy.REPORT, State.OK, "and reports it"),
        (FAILED, REFUSAL, PqPolicy.REQUIRE, State.OK, "as pq = require demands"),
        (NAME, REFUSAL, PqPolicy.REQUIRE, State.WARNING, "handshake_failure was to be expected"),
        (CLASSICAL, REFUSAL, PqPolicy.REQUIRE, State.FAILURE, "pq = require has to refuse this client"),
        (CLASSICAL, ExpectedAnswer("X25519MLKEM768"), PqPolicy.PREFER, State.FAILURE, "can be decrypted later"),
        (HYBRID, ExpectedAnswer("X25519"), PqPolicy.OFF, State.FAILURE, "; X25519 was to be expected"),
        (FAILED, ExpectedAnswer("X25519"), PqPolicy.PREFER, State.FAILURE, "handshake_failure (40); X25519 was"),
        (RETRIED, ExpectedAnswer("X25519MLKEM768"), PqPolicy.PREFER, State.WARNING, "with a HelloRetryRequest"),
        (
            HYBRID,
            ExpectedAnswer("X25519MLKEM768", is_retried=True),
            PqPolicy.PREFER,
            State.WARNING,
            "without a HelloRetryRequest",
        ),
    ],
)
def test_key_exchange(seen: Observation, expectation: ExpectedAnswer, pq: PqPolicy, state: State, words: str) -> None:
    finding = judgement.key_exchange(judgement.RETRY, SUBJECT, seen, expectation, pq)
    assert finding.check == "classical key share"
    assert finding.state is state
    assert words in finding.found
    assert has_remedy(finding)


@pytest.mark.parametrize(
    ("seen", "default", "state"),
    [
        (NAME, REJECT, State.OK),
        (FAILED, REJECT, State.WARNING),
        (HYBRID, REJECT, State.FAILURE),
        (HYBRID, "chat", State.OK),
        (NAME, "chat", State.FAILURE),
    ],
)
def test_unknown_name(seen: Observation, default: str, state: State) -> None:
    finding = judgement.unknown_name(SUBJECT, seen, default)
    assert finding.state is state
    assert has_remedy(finding)


@pytest.mark.parametrize(("seen", "state"), [(VERSION, State.OK), (FAILED, State.WARNING), (CLASSICAL, State.FAILURE)])
def test_old_version(seen: Observation, state: State) -> None:
    finding = judgement.old_version(SUBJECT, seen)
    assert finding.state is state
    assert has_remedy(finding)


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (RESUMED, State.OK, "a ticket resumes with a new key exchange"),
        (HYBRID, State.WARNING, "a full handshake follows"),
        (
            Observation(Ending.ESTABLISHED, 0.001, is_resumed=True, version="TLSv1.3"),
            State.FAILURE,
            "without a new key exchange",
        ),
        (FAILED, State.FAILURE, "with a ticket, the server refuses"),
    ],
)
def test_resumption(seen: Observation, state: State, words: str) -> None:
    finding = judgement.resumption(SUBJECT, seen)
    assert finding.state is state
    assert words in finding.found
    assert has_remedy(finding)


def test_no_ticket_is_a_failure() -> None:
    assert judgement.no_ticket(SUBJECT).state is State.FAILURE


def leaf(kind: str) -> x509.Certificate:
    key = private_key(kind, 1)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat.test")])
    now = datetime(2026, 6, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, None)


@pytest.mark.parametrize(
    ("seen", "has_mldsa", "state"),
    [
        (FAILED, False, State.OK),
        (FAILED, None, State.OK),
        (FAILED, True, State.FAILURE),
        (NAME, None, State.WARNING),
        (Observation(Ending.ESTABLISHED, 0.1, chain=(leaf("mldsa-65"),)), True, State.OK),
        (Observation(Ending.ESTABLISHED, 0.1, chain=(leaf("mldsa-44"),)), None, State.OK),
        (Observation(Ending.ESTABLISHED, 0.1, chain=(leaf("ed25519"),)), True, State.FAILURE),
        (Observation(Ending.ESTABLISHED, 0.1), False, State.FAILURE),
    ],
)
def test_mldsa(seen: Observation, has_mldsa: bool | None, state: State) -> None:  # noqa: FBT001 - a parameter
    finding = judgement.mldsa(SUBJECT, seen, has_mldsa)
    assert " ms" not in finding.found, "names that answer alike become one finding"
    assert finding.state is state
    assert has_remedy(finding)


@pytest.mark.parametrize(("seen", "state"), [(CERTIFICATE, State.OK), (FAILED, State.WARNING), (HYBRID, State.FAILURE)])
def test_client_certificate(seen: Observation, state: State) -> None:
    finding = judgement.client_certificate(SUBJECT, seen)
    assert finding.state is state
    assert has_remedy(finding)


@pytest.mark.parametrize("seen", [HYBRID, NAME])
def test_any_tls_of_the_server_that_a_name_is_passed_on_to_will_do(seen: Observation) -> None:
    finding = judgement.passed_on(SUBJECT, seen, "tcp://127.0.0.1:5349")
    assert finding.state is State.OK
    assert finding.found.startswith("tcp://127.0.0.1:5349 answers: ")


class TestLatency:
    def test_median_and_slowest(self) -> None:
        finding = judgement.latency("public", [0.003, 0.001, 0.002])
        assert finding.state is State.OK
        assert finding.found == "median 2.0 ms, slowest 3.0 ms, of 3 handshakes"

    def test_slow_handshakes_are_a_warning(self) -> None:
        finding = judgement.latency("public", [0.5, 0.6])
        assert finding.state is State.WARNING
        assert has_remedy(finding)

    def test_nothing_to_measure(self) -> None:
        assert judgement.latency("public", []).state is State.SKIPPED
