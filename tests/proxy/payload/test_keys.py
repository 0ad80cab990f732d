"""Which rings a configuration needs, and what workers and clients are told."""

from config.schema import Config
from proxy.payload.keyring import PayloadKeyState, RingPolicy
from proxy.payload.keys import TICKETS, PayloadKeys, completed, document_of, kem_ring, policies, suite_of
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


class Maker:
    """Makes rings of one variant, and notes which."""

    def __init__(self, variant: str = "") -> None:
        self.made: list[str] = []
        self._variant = variant

    def secret(self, ring: str) -> bytes:
        """One of its own for each."""
        self.made.append(ring)
        return secret(len(self.made))

    def variant(self, ring: str) -> str:
        """Of rings of suites."""
        return self._variant if ring == KEM else ""


def test_ring_of_another_variant_begins_anew() -> None:
    before = completed(CONFIG, {}, Maker("old"), NOW)
    assert completed(CONFIG, before, Maker("old"), NOW + 1) == before
    maker = Maker("new")
    after = completed(CONFIG, before, maker, NOW + 2)
    assert maker.made == [KEM]
    assert (after[KEM].variant, after[KEM].active.version, after[KEM].active.created) == ("new", 2, NOW + 2)
    assert [(key.version, key.state, key.secret) for key in after[KEM].ended] == [
        (1, PayloadKeyState.RETIRED, secret(3)[:16])
    ]
    assert after["chat"] is before["chat"]


def test_rings_of_a_configuration_and_ours_have_their_rules() -> None:
    assert policies(Config()) == {}
    found = policies(CONFIG)
    assert found["chat"] == RingPolicy(3_600.0, 7, 5)
    # a ticket of the last moment of a key outlives two more, and is readable to its end
    assert (found[TICKETS].rotate_seconds, found[TICKETS].overlap) == (18_000.0, 3)
    assert (found[KEM].rotate_seconds, found[KEM].overlap) == (18_000.0, 1)


def test_what_is_known_is_kept_and_the_rest_is_made() -> None:
    maker = Maker()
    known = {"chat": ring(2), "gone": ring()}
    rings = completed(CONFIG, known, maker, NOW)
    assert rings["chat"] is known["chat"]
    assert maker.made == [TICKETS, KEM]
    assert set(rings) == {"chat", TICKETS, KEM}


def test_name_of_a_suite_is_in_that_of_its_ring() -> None:
    assert suite_of(KEM) == "MLKEM768-X25519"
    assert suite_of("chat") is None


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(PayloadKeys({"chat": ring(2)}, b'{"document": ""}'))


def test_revoked_keys_are_named() -> None:
    assert PayloadKeys({"chat": ring(2).revoked(1, NOW), "other": ring(4)}).revoked == {("chat", 1)}


def test_document_is_about_active_keys_and_outlives_them_by_one_period() -> None:
    rings = completed(CONFIG, {}, Maker(), NOW)
    told: list[object] = []

    def publish(active: object, issued: float, expires: float) -> bytes:
        told.extend((active, issued, expires))
        return b"signed"

    assert document_of(CONFIG, rings, publish, NOW + 1) == b"signed"
    assert told == [[("MLKEM768-X25519", rings[KEM].active)], NOW + 1, NOW + 36_000.0]
    assert document_of(Config(), {}, publish, NOW) == b""
