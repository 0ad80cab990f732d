"""What is answered: values of their own, without behaviour."""

from proxy.observe.startup import ListenerOffer, Offers
from proxy.processes.messages.answers import PreparedToServe
from proxy.processes.messages.codec import decode, encode


def test_offers_come_back_in_a_form_that_reports_can_use() -> None:
    listener = ListenerOffer("public", "prefer", "X25519", "TLS_AES_256_GCM_SHA384", {"chat": ("ECDSA",)})
    offers = Offers("compiled", "3.5", "libssl.so.3", ("default",), (listener,))
    answer = PreparedToServe(offers, (), ("plexi",))
    assert decode(PreparedToServe, encode(answer)).offers.listeners[0].identities == {"chat": ("ECDSA",)}
