"""The doctor's TLS stack against another one, over memory."""

import contextlib
import ssl
from pathlib import Path

import pytest

from proxy.doctor.handshakes import offers, stack
from proxy.doctor.handshakes.offers import Groups
from proxy.doctor.handshakes.stack import ClientHandshake, OfferImpossible, StackRefused, TlsClient
from tests.certificates import Authority
from tests.proxy.doctor.handshakes.tls_servers import context

GROUPS = Groups("X25519MLKEM768", "X25519")
HYBRID = offers.hybrid_share("chat.test", GROUPS, ("h2", "http/1.1"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    directory = tmp_path_factory.mktemp("stack")
    return context(Authority(directory).issue("chat", ("chat.test",)), alpn=("h2",))


class Peer:
    """A server over memory."""

    def __init__(self, made: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def answer(self, data: bytes) -> bytes:
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLError):
            self.tls.do_handshake()
        return self.outgoing.read()


def shake(handshake: ClientHandshake, peer: Peer) -> None:
    for _ in range(3):
        if handshake.step():
            break
        handshake.receive(peer.answer(handshake.to_send()))
    handshake.receive(peer.answer(handshake.to_send()))


def test_it_is_not_the_openssl_of_the_proxy() -> None:
    assert stack.version().startswith("OpenSSL ")
    assert stack.version() != ssl.OPENSSL_VERSION


def test_groups_of_the_stack() -> None:
    assert stack.has_group("X25519MLKEM768")
    assert not stack.has_group("frodo640aes")


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (offers.hybrid_share("chat.test", Groups("frodo640aes", "X25519")), "group of frodo640aes and X25519"),
        (offers.HelloOffer(None, ("X25519",), ("X25519",), (), ("dilithium2",)), "signature scheme of dilithium2"),
    ],
)
def test_what_the_stack_lacks_is_said(offer: offers.HelloOffer, words: str) -> None:
    with pytest.raises(OfferImpossible, match=words) as raised:
        TlsClient(offer)
    assert stack.version() in str(raised.value)


def test_handshake_and_data(served: ssl.SSLContext) -> None:
    handshake, peer = TlsClient(HYBRID).begin(), Peer(served)
    assert handshake.alert is None
    shake(handshake, peer)
    assert (handshake.group, handshake.version, handshake.protocol) == ("X25519MLKEM768", "TLSv1.3", "h2")
    assert [one.subject.rfc4514_string() for one in handshake.chain] == ["CN=chat"]
    assert handshake.read() == b""
    assert handshake.has_ticket
    handshake.write(b"ping")
    peer.incoming.write(handshake.to_send())
    assert peer.tls.read(10) == b"ping"
    peer.tls.write(b"pong")
    handshake.receive(peer.outgoing.read())
    assert handshake.read() == b"pong"


def test_end_of_the_server_is_seen(served: ssl.SSLContext) -> None:
    handshake, peer = TlsClient(HYBRID).begin(), Peer(served)
    shake(handshake, peer)
    handshake.close()
    peer.incoming.write(handshake.to_send())
    peer.tls.unwrap()
    handshake.receive(peer.outgoing.read())
    assert handshake.read() is None


def test_session_resumes_with_the_same_client_only(served: ssl.SSLContext) -> None:
    client = TlsClient(HYBRID)
    handshake, peer = client.begin(), Peer(served)
    shake(handshake, peer)
    assert handshake.read() == b""
    second, peer = client.begin(handshake.session), Peer(served)
    shake(second, peer)
    assert peer.tls.session_reused


def test_alert_is_kept_by_its_number(served: ssl.SSLContext) -> None:
    handshake = TlsClient(offers.classical_only("chat.test", Groups("X25519MLKEM768", "secp384r1"))).begin()
    with pytest.raises(StackRefused):
        shake(handshake, Peer(served))
    assert handshake.alert == 40


def test_answer_that_is_not_tls_is_refused() -> None:
    handshake = TlsClient(HYBRID).begin()
    assert not handshake.step()
    assert handshake.to_send()
    handshake.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(StackRefused, match=r"wrong version number|packet length"):
        handshake.step()
    assert handshake.alert is None


def test_close_before_a_handshake_says_nothing() -> None:
    handshake = TlsClient(HYBRID).begin()
    handshake.close()
    assert handshake.group == ""


def test_broken_data_behind_the_handshake_is_refused(served: ssl.SSLContext) -> None:
    handshake, peer = TlsClient(HYBRID).begin(), Peer(served)
    shake(handshake, peer)
    handshake.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(StackRefused):
        handshake.read()


def test_certificates_of_any_authority_are_shown(tmp_path: Path) -> None:
    files = Authority(tmp_path, "Another authority").issue("other", ("other.test",))
    handshake = TlsClient(HYBRID).begin()
    shake(handshake, Peer(context(files)))
    assert handshake.chain[0].issuer.rfc4514_string() == "CN=Another authority"
