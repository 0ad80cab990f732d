"""ISO/IEC 27001:2022, Annex A."""

from pathlib import Path

import pytest

from proxy.doctor.standards.assessment import Conformity
from proxy.doctor.standards.information_security import iso_27001
from tests.proxy.doctor.standards.standard_facts import (
    certificate,
    configuration,
    facts,
    listener,
    of_clause,
    status,
    verdict,
)
from tests.proxy.doctor.standards.test_key_lifetimes import ISSUED, ISSUER

MET, NOT_MET, NOT_USED = Conformity


def test_without_a_file_and_a_proxy_nothing_is_judged() -> None:
    assert list(iso_27001(facts())) == []


def test_configuration_in_use_is_the_one_on_disk() -> None:
    for digest, expected in (("ab" * 32, MET), ("cd" * 32, NOT_MET), (None, None)):
        assert verdict(iso_27001(facts(status=status(), digest=digest)), "A.8.9") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NOT_MET),
        ('[audit]\nfile = "audit.log"\n', NOT_MET),
        ('[audit]\nfile = "audit.log"\ncheckpoint_key = "audit.key"\n', MET),
    ],
)
def test_logging(tmp_path: Path, text: str, expected: Conformity | None) -> None:
    assert verdict(iso_27001(facts(configuration(tmp_path, text))), "A.8.15") is expected


@pytest.mark.parametrize(("text", "expected"), [("", NOT_MET), ('[alerts]\ncommand = ["/bin/true"]\n', MET)])
def test_monitoring(tmp_path: Path, text: str, expected: Conformity | None) -> None:
    assert verdict(iso_27001(facts(configuration(tmp_path, text))), "A.8.16") is expected


@pytest.mark.parametrize(("has_token", "expected"), [(False, None), (True, MET)])
def test_secrets(tmp_path: Path, expected: Conformity | None, *, has_token: bool) -> None:
    (tmp_path / "m.so").touch()
    (tmp_path / "pin").touch()
    text = '[hsm]\nmodule = "m.so"\n[hsm.token.plexi]\npin_file = "pin"\n' if has_token else ""
    assert verdict(iso_27001(facts(configuration(tmp_path, text))), "A.5.17") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('[identity.chat.client_certificates]\nca = "ca.pem"\n', MET),
        ('[identity.chat.client_certificates]\nca = "ca.pem"\nmode = "optional"\n', None),
    ],
)
def test_authentication(tmp_path: Path, text: str, expected: Conformity | None) -> None:
    assert verdict(iso_27001(facts(configuration(tmp_path, text))), "A.8.5") is expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("http://127.0.0.1:9", MET),
        ("http://[::1]:9", MET),
        ("http://localhost:9", MET),
        ("unix:/run/chat.sock", MET),
        ("https://10.0.0.1", MET),
        ("http://10.0.0.1:9", NOT_MET),
        ("http://chat.internal:9", NOT_MET),
    ],
)
def test_networks(tmp_path: Path, server: str, expected: Conformity | None) -> None:
    config = configuration(tmp_path, f'[upstream.further]\nservers = ["{server}"]\n')
    assert verdict(iso_27001(facts(config)), "A.8.20") is expected


def test_services_are_named() -> None:
    (row,) = of_clause(list(iso_27001(facts(status=status(listener())))), "A.8.21")
    assert row.found == "public: TLS 1.3, X25519MLKEM768:SecP256r1MLKEM768 / X25519:secp256r1"


@pytest.mark.parametrize(
    ("is_issued", "days", "expected"), [(True, 7.0, MET), (False, 90.0, None), (True, 0.5, NOT_MET)]
)
def test_management_of_keys(tmp_path: Path, days: float, expected: Conformity | None, *, is_issued: bool) -> None:
    config = configuration(tmp_path, ISSUER, identity=ISSUED) if is_issued else configuration(tmp_path)
    rows = iso_27001(facts(config, status(certificates=(certificate(days=days),))))
    assert verdict(rows, "Keys are managed") is expected
