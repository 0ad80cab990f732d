"""Requests for certificates."""

from cryptography import x509

from certs.identities.chain import alternative_names
from certs.issuing.signing_request import general_names, request_without_subject, signing_request, subject_for
from certs.keys.generating import ALGORITHMS, digest_for, generate

LONG = f"{'a' * 60}.example.org"


def test_names_are_of_their_types() -> None:
    kinds = [type(one) for one in general_names(("chat.test", "10.0.0.1", "::1"))]
    assert kinds == [x509.DNSName, x509.IPAddress, x509.IPAddress]


def test_a_name_that_is_too_long_is_no_common_name() -> None:
    assert not list(subject_for((LONG,)))
    assert subject_for(("chat.test", LONG)).rfc4514_string() == "CN=chat.test"


def test_a_request_is_signed_by_its_own_key_and_names_all() -> None:
    key = generate(ALGORITHMS["mldsa-65"])
    request = x509.load_der_x509_csr(signing_request(("chat.test", "10.0.0.1"), key))
    assert request.is_signature_valid
    assert list(alternative_names(request)) == ["chat.test", "10.0.0.1"]


def test_names_are_critical_where_there_is_no_subject() -> None:
    key = generate(ALGORITHMS["ec-p256"])
    request = x509.load_pem_x509_csr(request_without_subject(("chat.test",), key, digest_for(key)).encode())
    assert request.is_signature_valid
    assert not list(request.subject)
    assert request.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert list(alternative_names(request)) == ["chat.test"]
