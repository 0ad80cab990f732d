"""FIPS 203, 204 and 205."""

from pathlib import Path

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.post_quantum import fips_203, fips_204, fips_205
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    status,
    verdict,
    verdicts,
)

MET, NOT_MET, NOT_USED = Conformity


def test_usual_listener_meets_fips_203() -> None:
    rows = list(fips_203(facts(status=status(listener(), groups={"X25519MLKEM768": 9, "X25519": 1}))))
    assert verdicts(rows) == [MET, MET, NOT_MET]
    assert rows[2].found == "9 of 10 handshakes since the start (90.0%)"


def test_what_is_not_of_fips_203_is_named() -> None:
    listeners = listener("x25519_frodo640aes / X25519", "one"), listener("X25519", "two"), listener("MLKEM512", "three")
    sets, default = fips_203(facts(status=status(*listeners)))
    assert sets.found == "one offers x25519_frodo640aes; one offers no ML-KEM; two offers no ML-KEM"
    assert default.found == "three offers MLKEM512"


def test_observation_needs_handshakes() -> None:
    for groups, expected in (({}, None), ({"MLKEM1024": 3}, MET)):
        assert verdict(fips_203(facts(status=status(listener(), groups=groups))), "as observed") is expected


def test_configuration_alone_shows_no_handshakes(tmp_path: Path) -> None:
    rows = list(fips_203(facts(configuration(tmp_path))))
    assert verdicts(rows) == [MET, MET]


def test_nothing_to_look_at_is_not_judged() -> None:
    assert [*fips_203(facts()), *fips_204(facts())] == []


def test_parameter_sets_of_ml_dsa() -> None:
    for algorithm, expected in (("mldsa-65", MET), ("mldsa-66", NOT_MET), ("ecdsa-p256", NOT_USED)):
        (row,) = fips_204(facts(status=status(certificates=(certificate(algorithm),))))
        assert row.verdict is expected, algorithm


def test_slh_dsa_is_not_used() -> None:
    assert verdicts(list(fips_205(facts()))) == [NOT_USED]
