"""One component for each asset."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.doctor.cbom import components
from proxy.doctor.cbom.algorithms import ALGORITHMS, algorithm_of_group
from proxy.doctor.cbom.inventory import CertificateInUse, KeyAsset, KeyRole, Protection
from tests.proxy.doctor.cbom.bills import KINDS, certificate, full

FULL = full()


def extra(component: Any) -> dict[str, str]:
    return {one["name"].removeprefix("plexigate:"): one["value"] for one in component.get("properties", ())}


def test_algorithm() -> None:
    one = components.algorithm_component(ALGORITHMS["ML-KEM-768"])
    facts = one["cryptoProperties"]["algorithmProperties"]
    assert one["bom-ref"] == "algorithm/ML-KEM-768"
    assert one["cryptoProperties"]["oid"] == "2.16.840.1.101.3.4.4.2"
    assert (facts["primitive"], facts["parameterSetIdentifier"], facts["nistQuantumSecurityLevel"]) == ("kem", "768", 3)
    assert facts["cryptoFunctions"] == ["keygen", "encapsulate", "decapsulate"]
    assert "mode" not in facts


def test_level_0_is_written() -> None:
    facts = components.algorithm_component(ALGORITHMS["X25519"])["cryptoProperties"]["algorithmProperties"]
    assert facts["nistQuantumSecurityLevel"] == 0


def test_hybrid_group_has_its_code_point() -> None:
    assert extra(components.algorithm_component(algorithm_of_group("X25519MLKEM768"))) == {"tls:code-point": "0x11EC"}


def test_certificate() -> None:
    one = components.certificate_component(FULL.certificates[0])
    facts = one["cryptoProperties"]["certificateProperties"]
    assert one["name"] == facts["subjectName"] == facts["issuerName"] == "CN=chat.test"
    assert (facts["notValidBefore"], facts["notValidAfter"]) == ("2026-06-01T12:00:00Z", "2026-08-30T12:00:00Z")
    assert facts["signatureAlgorithmRef"] == "algorithm/ECDSA-with-SHA256"
    assert extra(one)["role"] == "server certificate"
    assert extra(components.certificate_component(FULL.certificates[1]))["role"] == "issuer in the chain"


def test_certificate_without_a_subject_is_named_by_its_serial() -> None:
    one = components.certificate_component(CertificateInUse("files", 0, certificate("rsa-2048", "")))
    assert one["name"] == "certificate 1267"
    assert one["cryptoProperties"]["certificateProperties"]["subjectName"] == "(empty)"
    assert components.public_key_component(certificate("rsa-2048", ""))["name"] == "public key of certificate 1267"


@pytest.mark.parametrize(
    ("kind", "algorithm", "size"),
    list(zip(KINDS, ("ECDSA-P256", "RSA-2048", "Ed25519", "ML-DSA-65"), (256, 2048, None, None), strict=True)),
)
def test_public_key(kind: str, algorithm: str, size: int | None) -> None:
    facts = components.public_key_component(certificate(kind))["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert facts["algorithmRef"] == f"algorithm/{algorithm}"
    assert facts.get("size") == size
    assert "value" not in facts


def test_public_key_that_tls_cannot_use_is_not_taken_for_one_that_it_can() -> None:
    assert components.algorithm_of_public_key(certificate("ed448")).name == "Ed448"
    assert components.algorithm_of_public_key(certificate("ecdsa-k256")).name == "ECDSA-secp256k1"


class TestKeys:
    def facts(self, key: KeyAsset) -> Any:
        found: Any = components.key_component(key)["cryptoProperties"]["relatedCryptoMaterialProperties"]
        assert "value" not in found
        return found

    def test_key_in_a_file_is_secured_by_nothing(self) -> None:
        facts = self.facts(FULL.keys[0])
        assert facts["securedBy"] == {"mechanism": "None"}
        assert (facts["type"], facts["size"], facts["state"]) == ("private-key", 256, "active")

    def test_key_in_a_token(self) -> None:
        one = components.key_component(FULL.keys[1])
        assert self.facts(FULL.keys[1])["securedBy"] == {"mechanism": "HSM"}
        assert extra(one) == {
            "use": "identity",
            "protection": "hardware token",
            "place": "pkcs11:token=one;object=chat",
            "token": "one",
        }

    def test_sealed_key_names_what_seals_it(self) -> None:
        facts = self.facts(FULL.keys[3])
        assert facts["securedBy"] == {"mechanism": "Software", "algorithmRef": "algorithm/AES-256-GCM"}
        assert facts["size"] == 2048

    def test_secret_key_in_memory(self) -> None:
        facts = self.facts(replace(FULL.keys[5], protection=Protection.MEMORY))
        assert facts["type"] == "secret-key"
        assert "securedBy" not in facts

    def test_payload_key_has_its_version_and_its_birth(self) -> None:
        one = components.key_component(FULL.keys[6])
        assert (one["bom-ref"], one["name"]) == ("key/payload/rooms/3", "payload key rooms, version 3")
        assert self.facts(FULL.keys[6])["creationDate"] == "2026-06-01T12:00:00Z"

    def test_parameter_set_that_is_no_size_is_not_one(self) -> None:
        assert "size" not in self.facts(FULL.keys[1])
        assert "size" not in self.facts(FULL.keys[7])

    def test_single_keys_are_named_once(self) -> None:
        assert components.key_ref(FULL.keys[4]) == "key/sealing"
        assert components.key_component(FULL.keys[4])["name"] == "sealing key"

    def test_names_that_differ_in_anything_have_different_references(self) -> None:
        names = ("a_b", "a-b", "A-b", "a.b")
        assert (
            len({components.key_ref(KeyAsset(KeyRole.PAYLOAD, one, "Fernet", Protection.FILE, "")) for one in names})
            == 4
        )


def test_protocol_says_what_is_offered_and_what_was_observed() -> None:
    one = components.protocol_component(FULL.listeners[0])
    facts = one["cryptoProperties"]["protocolProperties"]
    assert (facts["type"], facts["version"]) == ("tls", "1.3")
    assert facts["cipherSuites"][0] == {
        "name": "TLS_AES_256_GCM_SHA384",
        "algorithms": ["algorithm/AES-256-GCM", "algorithm/SHA-384"],
        "identifiers": ["0x13", "0x02"],
    }
    assert facts["cryptoRefArray"][:2] == ["algorithm/X25519MLKEM768", "algorithm/X25519"]
    found = extra(one)
    assert (found["tls:pq"], found["tls:level"]) == ("prefer", "standard")
    assert (found["observed:handshakes"], found["observed:group:X25519MLKEM768"]) == ("42", "41")


def test_nothing_is_observed_without_a_running_proxy() -> None:
    assert not any(name.startswith("observed") for name in extra(components.protocol_component(FULL.listeners[1])))


def test_token_and_library() -> None:
    token = components.token_component(FULL.tokens[0])
    assert (token["type"], token["bom-ref"]) == ("device", "token/one")
    assert extra(token) == {"pkcs11:module": "/usr/lib/softhsm.so", "pkcs11:label": "one", "state": "well"}
    assert components.library_component(FULL.libraries[0])["version"] == "3.5.9"
    assert "version" not in components.library_component(FULL.libraries[2])
