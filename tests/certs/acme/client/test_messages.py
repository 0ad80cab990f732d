"""Messages as they go over the wire, and what of a CA's answers is believed."""

import json

import pytest
from acme import messages

from certs.acme.challenges.challenges import TlsAlpn01Response
from certs.acme.client.messages import (
    QUESTION,
    AcmeDocumentUnreadable,
    Directory,
    NewOrder,
    directory_of,
    identifier_of,
    listed,
    payload,
    read,
)

ADDRESSES = {"newNonce": "https://ca.test/n", "newAccount": "https://ca.test/a", "newOrder": "https://ca.test/o"}


def test_answer_without_fields_is_an_object_and_no_question() -> None:
    assert payload(TlsAlpn01Response(key_authorization="token.thumbprint")) == b"{}"
    assert QUESTION == b""


def test_order_has_what_is_set_and_nothing_else() -> None:
    names = [identifier_of(name) for name in ("*.chat.test", "192.0.2.1", "2001:db8::1")]
    assert json.loads(payload(NewOrder(identifiers=names))) == {
        "identifiers": [
            {"type": "dns", "value": "*.chat.test"},
            {"type": "ip", "value": "192.0.2.1"},
            {"type": "ip", "value": "2001:db8::1"},
        ]
    }
    more = json.loads(payload(NewOrder(identifiers=names[:1], profile="shortlived", replaces="AQ.AQ")))
    assert (more["profile"], more["replaces"]) == ("shortlived", "AQ.AQ")


def test_directory() -> None:
    plain = directory_of(ADDRESSES)
    new_nonce, new_account, new_order = ADDRESSES.values()
    assert plain == Directory(new_nonce, new_account, new_order, None, None, None, frozenset(), needs_binding=False)
    meta = {"profiles": {"classic": "x"}, "externalAccountRequired": True, "termsOfService": "https://ca.test/t"}
    more = directory_of(
        {**ADDRESSES, "meta": meta, "renewalInfo": "https://ca.test/r", "keyChange": "https://ca.test/k"}
    )
    assert more.key_change == "https://ca.test/k"
    assert (more.renewal_info, more.profiles, more.needs_binding) == ("https://ca.test/r", frozenset({"classic"}), True)


@pytest.mark.parametrize(
    "document",
    [{}, {**ADDRESSES, "newOrder": 7}, {**ADDRESSES, "meta": 7}, {name: ADDRESSES[name] for name in ("newNonce",)}],
)
def test_what_is_no_directory_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(AcmeDocumentUnreadable, match=r"^an answer that is not a valid ACME directory$"):
        directory_of(document)


def test_odd_profiles_and_addresses_are_none() -> None:
    found = directory_of({**ADDRESSES, "meta": {"profiles": ["classic"]}, "renewalInfo": 7, "revokeCert": 7})
    assert (found.profiles, found.renewal_info, found.revoke_cert) == (frozenset(), None, None)


def test_authorization_may_have_expired() -> None:
    body = read(messages.Authorization, {"status": "expired", "challenges": []}, "authorization")
    assert str(body.status.name) == "expired"


@pytest.mark.parametrize("document", [{"status": "odd"}, {"identifier": {"type": "dns"}}, {"challenges": [7]}])
def test_what_cannot_be_read_is_told_by_what_it_should_be(document: dict[str, object]) -> None:
    with pytest.raises(AcmeDocumentUnreadable, match="not a valid authorization"):
        read(messages.Authorization, document, "authorization")


def test_a_list_of_orders_is_an_object_or_as_step_ca_sends_it() -> None:
    assert listed(b'{"orders": ["https://ca.test/1"]}') == listed(b'["https://ca.test/1"]') == ["https://ca.test/1"]


@pytest.mark.parametrize("body", [b"", b"{}", b"7", b'{"orders": {}}', b"[7]", b"[" * 100_000])
def test_what_is_no_list_of_orders_is_refused(body: bytes) -> None:
    with pytest.raises(AcmeDocumentUnreadable, match="not a valid list of orders"):
        listed(body)
