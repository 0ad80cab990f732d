"""CNSA 2.0."""

from pathlib import Path

import pytest

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.cnsa import cnsa_2
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    of_clause,
    status,
    verdict,
)

MET, NOT_MET, NOT_USED = Conformity


def test_without_a_file_and_a_proxy_nothing_is_judged() -> None:
    assert list(cnsa_2(facts())) == []


@pytest.mark.parametrize(
    ("groups", "verdicts"),
    [
        ("X25519MLKEM768 / X25519", (NOT_MET, NOT_MET)),
        ("SecP384r1MLKEM1024:MLKEM1024 / X25519MLKEM768", (MET, NOT_MET)),
        ("SecP384r1MLKEM1024:MLKEM1024", (MET, MET)),
    ],
)
def test_key_establishment(groups: str, verdicts: tuple[Conformity, Conformity]) -> None:
    rows = list(cnsa_2(facts(status=status(listener(groups)))))
    found = of_clause(rows, "ML-KEM-1024 is offered") + of_clause(rows, "ML-KEM-1024 is the only")
    assert tuple(one.verdict for one in found) == verdicts
    assert verdicts[1] is MET or "2226 days are left" in found[1].remedy


def test_each_identity_needs_ml_dsa_87() -> None:
    certificates = certificate("mldsa-87"), certificate(), certificate(identity="files")
    (row,) = of_clause(list(cnsa_2(facts(status=status(certificates=certificates)))), "Each identity")
    assert (row.verdict, row.found) == (NOT_MET, "files has none")


@pytest.mark.parametrize(
    ("signatures", "expected", "found"),
    [
        (("mldsa-87", "mldsa-87"), MET, "chat"),
        (("mldsa-44", "mldsa-87"), NOT_MET, "chat: signed with mldsa-44"),
        (("mldsa-87", "ecdsa-sha384", "ecdsa-sha384"), NOT_MET, "chat: signed with ecdsa-sha384"),
    ],
)
def test_each_signature_of_a_chain_with_ml_dsa_87_is_judged(
    signatures: tuple[str, ...], expected: Conformity, found: str
) -> None:
    certificates = certificate("mldsa-87", signatures=signatures), certificate(signatures=("rsa-sha256",))
    (row,) = of_clause(list(cnsa_2(facts(status=status(certificates=certificates)))), "of a chain")
    assert (row.verdict, row.found) == (expected, found)


def test_chain_that_a_proxy_of_another_version_does_not_tell_is_not_judged() -> None:
    found = facts(status=status(certificates=(certificate("mldsa-87"),)))
    assert verdict(cnsa_2(found), "of a chain") is None


def test_chains_without_ml_dsa_87_are_judged_by_their_identity_alone() -> None:
    (row,) = of_clause(list(cnsa_2(facts(status=status(certificates=(certificate(),))))), "of a chain")
    assert row.verdict is NOT_USED


def test_suites_by_level(tmp_path: Path) -> None:
    for directory, level, expected in (("a", "standard", NOT_MET), ("b", "quantum-safe", MET)):
        (tmp_path / directory).mkdir()
        config = configuration(tmp_path / directory, listener=f'level = "{level}"\n')
        (row,) = of_clause(list(cnsa_2(facts(config))), "AES-256")
        assert row.verdict is expected
