"""Which context answers a CA, and when it is made."""

import ssl

import pytest

from proxy.tls.handshake.challenge import TlsChallenge
from proxy.tls.handshake.challenges import CHALLENGE_ALPN, PendingChallenges

CHAT = TlsChallenge("chat.test", bytes(32))
FILES = TlsChallenge("files.test", bytes(32))
ADDRESS = TlsChallenge("192.0.2.7", bytes(32))


def shown(context: ssl.SSLContext, name: str) -> bytes:
    """The certificate that a client is shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_alpn_protocols([CHALLENGE_ALPN.decode()])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = context.wrap_bio(to_server, to_client, server_side=True)
    for one in (ours, theirs, ours):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return ours.getpeercert(binary_form=True) or b""


def test_only_what_is_pending_is_answered() -> None:
    pending = PendingChallenges()
    assert pending.context_for("chat.test") is None
    pending.follow([CHAT, FILES])
    context = pending.context_for("chat.test")
    assert context is not None
    assert context.num_tickets == 0  # nobody comes back
    assert pending.context_for("sub.chat.test") is None
    assert pending.context_for(None) is None
    pending.follow([FILES])
    assert pending.context_for("chat.test") is None
    assert pending.context_for("files.test") is not None


def test_address_is_asked_for_by_its_reverse_name() -> None:
    pending = PendingChallenges()
    pending.follow([ADDRESS])
    assert pending.context_for("192.0.2.7") is None
    assert pending.context_for("7.2.0.192.in-addr.arpa") is not None


def test_context_is_made_when_it_is_asked_for_and_kept_as_long_as_its_challenge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[ssl.SSLContext] = []
    original = ssl.SSLContext.load_cert_chain

    def counted(context: ssl.SSLContext, certfile: str) -> None:
        made.append(context)
        original(context, certfile)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", counted)
    pending = PendingChallenges()
    pending.follow([CHAT, FILES])
    assert made == []
    context = pending.context_for("chat.test")
    pending.follow([CHAT])
    assert pending.context_for("chat.test") is context
    assert made == [context]
    assert context is not None
    assert CHAT.digest in shown(context, "chat.test")
    again = TlsChallenge("chat.test", bytes(reversed(range(32))))
    pending.follow([again])
    assert made == [context]
    other = pending.context_for("chat.test")
    assert other is not context
    assert made == [context, other]
    assert other is not None
    assert again.digest in shown(other, "chat.test")


def test_each_worker_has_a_key_of_its_own() -> None:
    one, two = PendingChallenges(), PendingChallenges()
    certificates = []
    for pending in (one, two):
        pending.follow([CHAT])
        context = pending.context_for("chat.test")
        assert context is not None
        certificates.append(shown(context, "chat.test"))
    assert certificates[0] != certificates[1]
    assert all(CHAT.digest in certificate for certificate in certificates)
