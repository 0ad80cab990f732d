"""Sessions: agreed on with one message, opened by whoever has the ring, over when their time is."""

import pytest

from proxy.payload.keys.keyring import Keyring
from proxy.payload.keys.liboqs import suites_of
from proxy.payload.keys.suites import BUILT_IN, MessageUnreadable, info_of
from proxy.payload.messages.binding import Direction
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.sessions import Agreed, Opening, Sessions, decoded, encoded, session_key
from tests.payloads import NOW, POLICY, VOW, WINDOW, codec, ring, rotated, secret
from tests.proxy.payload.keys.test_liboqs import package

SUITE = "MLKEM768-X25519"
PRIVATE = BUILT_IN[SUITE].generate()
KEM = Keyring.fresh(":kem:x", PRIVATE, NOW)
HOUR = 3_600.0


def sessions(
    tickets: Keyring | None = None, kem: Keyring = KEM, counted: list[tuple[str, int]] | None = None
) -> Sessions:
    told = [] if counted is None else counted
    rings = {SUITE: (BUILT_IN[SUITE], kem)}
    return Sessions(tickets or ring(name=":tickets"), rings, HOUR, WINDOW, lambda *use: told.append(use))


def agreed(of: Sessions, version: int = 1) -> tuple[Agreed, bytes]:
    message, secret = BUILT_IN[SUITE].seal(BUILT_IN[SUITE].public(PRIVATE), info_of(SUITE, version))
    answer = of.establish(SUITE, version, message, NOW)
    assert isinstance(answer, Agreed)
    return answer, secret


def test_slow_suite_computes_its_secret_apart() -> None:
    slow = suites_of(package(), ["HQC-5"])["X25519-HQC256"]
    private = slow.generate()
    counted: list[tuple[str, int]] = []
    kems = {slow.name: (slow, Keyring.fresh(":kem:y", private, NOW, slow.variant))}
    of = Sessions(ring(name=":tickets"), kems, HOUR, WINDOW, lambda *use: counted.append(use))
    message, secret = slow.seal(slow.public(private), info_of(slow.name, 1))
    opening = of.establish(slow.name, 1, message, NOW)
    assert isinstance(opening, Opening)
    assert counted == []
    assert opening.secret() == secret
    answer = opening.agreed(secret)
    assert counted == [(":kem:y", 1), (":tickets", 1)]
    assert of.channel(answer.ticket, NOW).is_session
    changed = of.establish(slow.name, 1, message[:-1] + b"?", NOW)
    assert isinstance(changed, Opening)
    assert changed.secret() != secret
    short = of.establish(slow.name, 1, message[:-1], NOW)
    assert isinstance(short, Opening)
    with pytest.raises(MessageUnreadable):
        short.secret()


def refusal(of: Sessions, ticket: bytes, now: float = NOW) -> Cause:
    with pytest.raises(PayloadFault) as caught:
        of.channel(ticket, now)
    return caught.value.cause


def test_client_and_proxy_have_the_same_keys_and_two_of_them() -> None:
    counted: list[tuple[str, int]] = []
    answer, shared = agreed(sessions(counted=counted))
    assert answer.expires == int(NOW + HOUR)
    assert counted == [(":kem:x", 1), (":tickets", 1)]
    channel = sessions().channel(answer.ticket, NOW)  # of another process
    assert channel.is_bound
    assert channel.is_session
    requests = codec(
        Keyring.fresh("", session_key(shared, Direction.REQUEST, b"MLKEM768-X25519:1", answer.ticket), NOW)
    )
    token = requests.seal(b"hello", NOW)
    assert channel.requests.open(token, WINDOW, NOW).plain == b"hello"
    with pytest.raises(PayloadFault):
        channel.responses.open(token, WINDOW, NOW)
    answer_token = channel.seal(Direction.RESPONSE, b"x", VOW, NOW, None)
    assert channel.open(Direction.RESPONSE, answer_token, VOW.digest, NOW, None).plain == b"x"


def test_keys_depend_on_everything_that_was_agreed() -> None:
    keys = {
        session_key(secret, direction, agreed, ticket)
        for secret in (bytes(32), b"x" * 32)
        for direction in Direction
        for agreed in (b"a:1", b"a:2")
        for ticket in (b"t", b"u")
    }
    assert len(keys) == 16


def test_ticket_lasts_its_time_and_outlives_rotations() -> None:
    old = ring(name=":tickets")
    answer, _ = agreed(sessions(old))
    for tickets in (old, rotated(old, POLICY.overlap)):
        table = sessions(tickets)
        assert table.channel(answer.ticket, NOW) is table.channel(answer.ticket, NOW + HOUR - 1)
        assert refusal(table, answer.ticket, NOW + HOUR) is Cause.BAD_SESSION
    assert refusal(sessions(rotated(old, POLICY.overlap + 1)), answer.ticket) is Cause.BAD_SESSION


def test_ticket_that_is_none_is_refused() -> None:
    answer, _ = agreed(sessions())
    table = sessions()
    for ticket in (b"", b"x" * 100, answer.ticket[:-1], answer.ticket + b"A", answer.ticket.replace(b"g", b"h", 1)):
        assert refusal(table, ticket) is Cause.BAD_SESSION
    tickets = codec(ring(name=":tickets"))
    assert refusal(table, tickets.seal(b"short", NOW).rstrip(b"=")) is Cause.BAD_SESSION
    assert refusal(table, tickets.seal(bytes(60), NOW).rstrip(b"=")) is Cause.BAD_SESSION  # of version 0


def test_memory_of_tickets_is_bounded() -> None:
    table = sessions()
    tickets = [agreed(table)[0].ticket for _ in range(3)]
    assert len(set(tickets)) == 3
    first = table.channel(tickets[0], NOW)
    table._known.update({b"%d" % number: (0, first) for number in range(1_024)})
    assert table.channel(tickets[1], NOW) is not first
    assert len(table._known) == 1


@pytest.mark.parametrize(("suite", "version"), [("other", 1), (SUITE, 2)])
def test_key_that_is_not_there_agrees_on_nothing(suite: str, version: int) -> None:
    with pytest.raises(PayloadFault) as caught:
        sessions().establish(suite, version, b"", NOW)
    assert caught.value.cause is Cause.BAD_HANDSHAKE


def test_message_for_an_older_key_is_read_within_the_overlap() -> None:
    kem = KEM.with_pending(BUILT_IN[SUITE].generate(), NOW)
    assert agreed(sessions(kem=kem))[0].ticket
    assert agreed(sessions(kem=kem.activated(POLICY, NOW)))[0].ticket
    with pytest.raises(PayloadFault):
        agreed(sessions(kem=kem.activated(POLICY, NOW).revoked(1, NOW)))
    with pytest.raises(PayloadFault):
        sessions().establish(SUITE, 1, bytes(1_168), NOW)


def test_octets_as_text() -> None:
    assert decoded(encoded(secret(255))) == secret(255)
    for wrong in ("!", "a", "a b="):
        with pytest.raises(ValueError):  # noqa: PT011 - of binascii
            decoded(wrong)


@pytest.mark.parametrize("key", [(":tickets", 1), (":kem:x", 1)])
def test_session_ends_with_the_keys_that_it_hangs_on(key: tuple[str, int]) -> None:
    revoked: set[tuple[str, int]] = {(":tickets", 2), (":kem:x", 2), ("chat", 1)}
    rings = {SUITE: (BUILT_IN[SUITE], KEM)}
    of = Sessions(ring(name=":tickets"), rings, HOUR, WINDOW, lambda *_: None, revoked)
    answer, shared = agreed(of)
    channel = of.channel(answer.ticket, NOW)
    requests = session_key(shared, Direction.REQUEST, b"MLKEM768-X25519:1", answer.ticket)
    token = codec(Keyring.fresh("", requests, NOW)).seal(b"hello", NOW)
    channel.requests.open(token, WINDOW, NOW)
    revoked.add(key)
    assert refusal(of, answer.ticket) is Cause.BAD_SESSION
    for under_way in (lambda: channel.requests.open(token, WINDOW, NOW), lambda: channel.responses.require(None)):
        with pytest.raises(PayloadFault) as caught:
            under_way()
        assert caught.value.cause is Cause.REVOKED_KEY
