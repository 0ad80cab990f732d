"""What runs beside a token does what the standards say."""

from cryptography.exceptions import InvalidSignature

from certs.hsm import software_measures
from certs.hsm.targets import Check, Measured, MeasuringPlace


def raising() -> None:
    raise InvalidSignature


def test_each_is_measured_and_right() -> None:
    done: list[tuple[Measured, list[Check]]] = [
        software_measures.encapsulation(5, 5.0),
        software_measures.mldsa_signing(5, 5.0, "no mechanism"),
        software_measures.hybrid_encryption(5, 5.0),
    ]
    for measured, checks in done:
        assert len(measured.seconds) == 5
        assert measured.place is MeasuringPlace.SOFTWARE
        assert measured.why
        assert all(check.is_right for check in checks), checks


def test_the_sizes_are_those_of_fips_203_and_204() -> None:
    _, first = software_measures.encapsulation(1, 1.0)
    _, second = software_measures.mldsa_signing(1, 1.0, "")
    sizes = {check.what: check.found.split()[0] for check in (*first, *second) if "FIPS" in check.found}
    assert sizes == {
        "ML-KEM-1024 public key": "1568",
        "ML-KEM-1024 ciphertext": "1568",
        "ML-DSA-87 public key": "2592",
        "ML-DSA-87 signature": "4627",
    }


def test_what_is_wrong_is_found() -> None:
    assert not software_measures.verified("a", raising).is_right
    assert not software_measures.refused("a", lambda: None).is_right


def test_a_measurement_ends_when_its_time_is_over() -> None:
    assert len(software_measures.times(lambda: None, 1_000, 0.0)) == 1
