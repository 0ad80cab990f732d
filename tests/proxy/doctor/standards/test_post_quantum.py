"""FIPS 203, 204 and 205."""

from pathlib import Path

import pytest

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.facts import OpensslView, ProviderView
from proxy.doctor.standards.post_quantum import fips_203, fips_204, fips_205
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    of_clause,
    openssl,
    status,
    verdicts,
)

MET, NOT_MET, NOT_KNOWN, NOT_USED = Conformity


def test_usual_listener_meets_fips_203() -> None:
    rows = list(fips_203(facts(status=status(listener(), groups={"X25519MLKEM768": 9, "X25519": 1}))))
    assert verdicts(rows) == [MET, MET, NOT_MET, NOT_KNOWN]
    assert rows[2].found == "9 of 10 handshakes since the start (90.0%)"


def test_what_is_not_of_fips_203_is_named() -> None:
    listeners = listener("x25519_frodo640aes / X25519", "one"), listener("X25519", "two"), listener("MLKEM512", "three")
    sets, default, *_ = fips_203(facts(status=status(*listeners)))
    assert sets.found == "one offers x25519_frodo640aes; one offers no ML-KEM; two offers no ML-KEM"
    assert default.found == "three offers MLKEM512"


def test_observation_needs_handshakes() -> None:
    for found, verdict in (
        (status(listener()), NOT_KNOWN),
        (status(listener(), groups={"MLKEM1024": 3}), MET),
    ):
        (row,) = of_clause(list(fips_203(facts(status=found))), "as observed")
        assert row.conformity is verdict


def test_configuration_alone_shows_no_handshakes(tmp_path: Path) -> None:
    rows = list(fips_203(facts(configuration(tmp_path))))
    assert verdicts(rows) == [MET, MET, NOT_KNOWN, NOT_KNOWN]


def test_nothing_to_look_at_is_not_known() -> None:
    assert verdicts(list(fips_203(facts()))) == [NOT_KNOWN]
    assert verdicts(list(fips_204(facts()))) == [NOT_KNOWN, NOT_KNOWN]


def test_parameter_sets_of_ml_dsa() -> None:
    for algorithm, verdict in (("mldsa-65", MET), ("mldsa-66", NOT_MET), ("ecdsa-p256", NOT_USED)):
        row, _ = fips_204(facts(status=status(certificates=(certificate(algorithm),))))
        assert row.conformity is verdict, algorithm


def test_slh_dsa_is_not_used() -> None:
    assert verdicts(list(fips_205(facts()))) == [NOT_USED]


@pytest.mark.parametrize(
    ("groups", "where"),
    [
        ("X25519MLKEM768 / X25519", "inside OpenSSL 3.5.9 (X25519MLKEM768)"),
        ("p521_mlkem1024", "inside the provider oqsprovider 0.12.0 (p521_mlkem1024)"),
        (
            "p521_mlkem1024:X25519MLKEM768",
            "inside OpenSSL 3.5.9 (X25519MLKEM768) and the provider oqsprovider 0.12.0 (p521_mlkem1024)",
        ),
    ],
)
def test_implementation_is_named_by_provider_and_version(groups: str, where: str) -> None:
    own = ProviderView("default", "3.5.9", ("X25519", "X25519MLKEM768"))
    oqs = ProviderView("oqsprovider", "0.12.0", ("p521_mlkem1024",))
    view = OpensslView("3.5.9", ("default", "oqsprovider"), (), (own, oqs))
    (row,) = of_clause(list(fips_203(facts(status=status(listener(groups)), openssl=view))), "section 3.3")
    assert row.found == where
    (signing,) = of_clause(list(fips_204(facts(openssl=view))), "section 3.6")
    assert signing.found == "inside OpenSSL 3.5.9, or inside the token that has the key"


def test_fips_provider_is_named_where_it_signs() -> None:
    (row,) = of_clause(list(fips_204(facts(openssl=openssl("fips")))), "section 3.6")
    assert row.found.startswith("inside the FIPS provider of OpenSSL")
    (row,) = of_clause(list(fips_204(facts())), "section 3.6")
    assert row.found.startswith("inside OpenSSL, or")
