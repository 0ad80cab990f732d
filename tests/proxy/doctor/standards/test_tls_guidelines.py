"""NIST SP 800-52 Revision 2."""

from pathlib import Path

import pytest

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.facts import OpensslView
from proxy.doctor.standards.tls_guidelines import sp_800_52
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    of_clause,
    openssl,
    status,
    verdict,
)

MET, NOT_MET, NOT_USED = Conformity


def test_without_a_file_and_a_proxy_only_the_program_is_judged() -> None:
    assert {(one.verdict, one.where) for one in sp_800_52(facts())} == {(MET, "the program")}


def test_suites_by_level(tmp_path: Path) -> None:
    for directory, level, expected in (("a", "standard", NOT_MET), ("b", "quantum-safe", MET)):
        (tmp_path / directory).mkdir()
        config = configuration(tmp_path / directory, listener=f'level = "{level}"\n')
        (row,) = of_clause(list(sp_800_52(facts(config))), "cipher suites")
        assert row.verdict is expected
    (tmp_path / "c").mkdir()
    config = configuration(tmp_path / "c")
    (row,) = of_clause(list(sp_800_52(facts(config, openssl=openssl("fips")))), "cipher suites")
    assert row.verdict is MET


@pytest.mark.parametrize(
    ("groups", "verdict"), [("X25519MLKEM768 / secp256r1", MET), ("X25519MLKEM768 / X25519", NOT_MET)]
)
def test_groups(groups: str, verdict: Conformity) -> None:
    (row,) = of_clause(list(sp_800_52(facts(status=status(listener(groups))))), "Key exchange uses")
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("algorithm", "verdict"),
    [("ecdsa-p256", MET), ("rsa-2048", MET), ("rsa-1024", NOT_MET), ("ed25519", NOT_MET), ("mldsa-65", NOT_MET)],
)
def test_keys_of_certificates(algorithm: str, verdict: Conformity) -> None:
    (row,) = of_clause(
        list(sp_800_52(facts(status=status(certificates=(certificate(algorithm),))))), "Server certificates have keys"
    )
    assert row.verdict is verdict


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (openssl(), "absent from the configuration"),
        (openssl(missing=("fips",)), "cannot load it"),
    ],
)
def test_without_the_fips_provider_no_module_is_validated(found: OpensslView, says: str) -> None:
    (row,) = of_clause(list(sp_800_52(facts(openssl=found))), "FIPS 140")
    assert row.verdict is NOT_MET
    assert says in row.found


@pytest.mark.parametrize("found", [None, openssl("fips")])
def test_whether_a_fips_provider_is_validated_is_not_judged(found: OpensslView | None) -> None:
    assert verdict(sp_800_52(facts(openssl=found)), "FIPS 140") is None


def test_client_certificates(tmp_path: Path) -> None:
    clause = "Where clients show certificates"
    (tmp_path / "a").mkdir()
    (row,) = of_clause(list(sp_800_52(facts(configuration(tmp_path / "a")))), clause)
    assert row.verdict is NOT_USED
    asking = '[identity.chat.client_certificates]\nca = "ca.pem"\n'
    for directory, crl, expected in (("b", "", NOT_MET), ("c", 'crl = "crl.pem"\n', MET)):
        (tmp_path / directory).mkdir()
        config = configuration(tmp_path / directory, asking + crl)
        (row,) = of_clause(list(sp_800_52(facts(config))), clause)
        assert row.verdict is expected
