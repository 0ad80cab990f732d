"""What is judged of OpenSSL: its age, providers, groups and signature algorithms."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config.schema import OpensslConfig
from proxy.doctor.finding import Finding, State
from proxy.doctor.machine.openssl import OPENSSL, _kernel_wants_fips, openssl_findings
from proxy.doctor.machine.openssl_facts import OpensslFacts
from proxy.payload.keys import liboqs
from proxy.payload.keys.liboqs import LiboqsUnusable
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOTHING, configured, states
from tests.proxy.payload.keys.test_liboqs import package

GOOD = OpensslFacts(
    version="3.5.9",
    libssl="/usr/lib/libssl.so.3",
    modules="/usr/lib/ossl-modules",
    providers=("default",),
    missing_providers=(),
    groups=("X25519", "X25519MLKEM768"),
    post_quantum=("X25519MLKEM768",),
    unusable_groups=(),
    schemes=("ed25519", "mldsa44", "mldsa65", "mldsa87"),
    has_group_tuples=True,
)


def found(facts: OpensslFacts, *providers: str, kernel_wants_fips: bool = False) -> dict[str, Finding]:
    wanted = OpensslConfig(providers=providers)
    return {one.subject: one for one in openssl_findings(facts, wanted, kernel_wants_fips=kernel_wants_fips)}


def test_good_openssl() -> None:
    findings = found(GOOD)
    assert {name: str(one.state) for name, one in findings.items()} == {
        "version": "ok",
        "providers": "ok",
        "groups": "ok",
        "signature algorithms": "ok",
        "oqs-provider": "skipped",
        "FIPS": "skipped",
    }
    assert "absent" in findings["oqs-provider"].found


def test_old_openssl() -> None:
    old = replace(GOOD, has_group_tuples=False, groups=("X25519",), post_quantum=(), schemes=("ed25519",))
    findings = found(old)
    assert [str(findings[name].state) for name in ("version", "groups", "signature algorithms")] == [
        "failure",
        "failure",
        "warning",
    ]
    assert "mldsa44, mldsa65, mldsa87" in findings["signature algorithms"].found


def test_provider_that_is_missing() -> None:
    findings = found(replace(GOOD, missing_providers=("oqsprovider",)), "oqsprovider")
    assert findings["provider oqsprovider"].state == "failure"
    assert "/usr/lib/ossl-modules" in findings["provider oqsprovider"].remedy
    assert "although it is configured" in findings["oqs-provider"].found


def test_providers_that_are_there(tmp_path: Path) -> None:
    findings = found(replace(GOOD, providers=("default", "oqsprovider", "fips")), "oqsprovider", "fips")
    assert (findings["oqs-provider"].state, findings["FIPS"].state) == ("ok", "ok")
    (tmp_path / "oqsprovider.so").touch()
    assert "not configured" in found(replace(GOOD, modules=str(tmp_path)))["oqs-provider"].found


def test_groups_without_a_hello_and_fips_mode_without_its_provider() -> None:
    findings = found(replace(GOOD, unusable_groups=("bikel1",)), kernel_wants_fips=True)
    assert findings["further groups"].state == "skipped"
    assert findings["FIPS"].state == "warning"


def test_checks_look_at_this_machine(tmp_path: Path) -> None:
    openssl, _ = OPENSSL
    assert ("groups", "ok") in states(openssl.look(NOTHING))
    site = Site.make(tmp_path)
    file = site.write(site.minimal)
    assert ("groups", "ok") in states(openssl.look(replace(NOTHING, file=file, configured=configured(file))))


def test_openssl_that_does_not_answer_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    assert states(OPENSSL[0].look(NOTHING)) == [("OpenSSL", "failure")]


def test_liboqs_is_judged_by_whether_it_can_be_used_and_who_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site.make(tmp_path)
    sessions = '[sealing]\nkey = "sealing.key"\n[payload.sessions]\nsuites = ["X25519-HQC256"]\n'
    wanted = replace(NOTHING, configured=configured(site.write(site.minimal + sessions)))
    _, checkup = OPENSSL

    def broken() -> None:
        raise LiboqsUnusable("liboqs cannot be loaded: the system finds none")

    monkeypatch.setattr(liboqs, "_package", broken)
    assert states(checkup.look(NOTHING)) == [("liboqs", "skipped")], "the package alone is not a liboqs"
    (failure,) = checkup.look(wanted)
    assert failure.state is State.FAILURE
    assert "cannot be loaded" in failure.found
    assert "OQS_INSTALL_PATH" in failure.remedy
    oqs = package()
    oqs.oqs_python_version = lambda: "0.16.0.1"
    monkeypatch.setattr(liboqs, "_package", lambda: oqs)
    for library, state in (("0.16.0", State.OK), ("0.15.0", State.WARNING)):
        oqs.oqs_version = lambda library=library: library
        (finding,) = checkup.look(wanted)
        assert finding.state is state
        assert f"liboqs {library}" in finding.found


def test_fips_mode_of_the_kernel(tmp_path: Path) -> None:
    assert not _kernel_wants_fips(tmp_path)
    (tmp_path / "sys/crypto").mkdir(parents=True)
    (tmp_path / "sys/crypto/fips_enabled").write_text("1\n")
    assert _kernel_wants_fips(tmp_path)


def test_fips_provider_needs_more_than_its_module() -> None:
    findings = found(replace(GOOD, missing_providers=("fips",)), "fips")
    assert "run openssl fipsinstall" in findings["provider fips"].remedy
