"""Which rings a configuration needs, and what workers and clients are told."""

from config.schema import Config
from proxy.payload.keys.keyring import Keyring, RingPolicy
from proxy.payload.keys.payload_keys import TICKETS, PayloadKeys, document_of, kem_ring, policies, suite_of
from tests.payloads import NOW, ring, secret

CONFIG = Config.model_validate(
    {
        "payload": {
            "ring": {"chat": {"rotate_after": "1h", "quota": 7, "overlap": 5}},
            "sessions": {"rotate_after": "5h", "lifetime": "12h", "suites": ["MLKEM768-X25519"]},
        }
    }
)
KEM = kem_ring("MLKEM768-X25519")


def test_rings_of_a_configuration_and_ours_have_their_rules() -> None:
    assert policies(Config()) == {}
    found = policies(CONFIG)
    assert found["chat"] == RingPolicy(3_600.0, 7, 5)
    # a ticket of the last moment of a key survives two more, and is readable to its end
    assert (found[TICKETS].rotate_seconds, found[TICKETS].overlap) == (18_000.0, 3)
    assert (found[KEM].rotate_seconds, found[KEM].overlap) == (18_000.0, 1)


def test_name_of_a_suite_is_in_that_of_its_ring() -> None:
    assert suite_of(KEM) == "MLKEM768-X25519"
    assert suite_of("chat") is None


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(PayloadKeys({"chat": ring(2)}, b'{"document": ""}'))


def test_revoked_keys_are_named() -> None:
    assert PayloadKeys({"chat": ring(2).revoked(1, NOW), "other": ring(4)}).revoked == {("chat", 1)}


def test_document_is_about_active_keys_and_outlives_them_by_one_period() -> None:
    rings = {KEM: Keyring.fresh(KEM, secret(1), NOW)}
    told: list[object] = []

    def publish(active: object, issued: float, expires: float) -> bytes:
        told.extend((active, issued, expires))
        return b"signed"

    assert document_of(CONFIG, rings, publish, NOW + 1) == b"signed"
    assert told == [[("MLKEM768-X25519", rings[KEM].active)], NOW + 1, NOW + 36_000.0]
    assert document_of(Config(), {}, publish, NOW) == b""
