"""Problems of the configuration become findings, and a file that was changed is told."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import Problem, Severity
from proxy.doctor.configuration import configuration_checkups, problem_findings, served_findings
from proxy.tls.openssl.libssl import InterpreterUnsuitable
from tests.configurations import Site
from tests.parts import part
from tests.proxy.doctor.checkups import NOTHING, answering, configured, states

READ_AT = 1_780_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    site = Site.make(tmp_path)
    path = site.write(site.minimal)
    for one in tmp_path.iterdir():
        os.utime(one, (READ_AT - 60, READ_AT - 60))
    return path


def served(path: Path, **changes: Any) -> Any:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    told = {"file": str(path), "sha256": digest, "read_at": READ_AT, **changes}
    return {"version": "1.2", "configuration": told}


def test_errors_are_failures_and_warnings_are_warnings(file: Path) -> None:
    problems = (
        Problem(str(file), "workers", "0", "1 to 64", line=3, column=1),
        Problem(str(file), "", "an old file", "a new one", Severity.WARNING),
    )
    error, warning = problem_findings(configured(file), lambda _: problems)
    assert (error.subject, error.state, error.found) == ("workers", "failure", f"0 ({file}:3:1)")
    assert error.remedy == "Allowed: 1 to 64."
    assert (warning.subject, warning.state, warning.remedy) == (str(file), "warning", "Better: a new one.")


def test_file_without_errors_is_ok_beside_its_warnings(file: Path) -> None:
    warning = Problem(str(file), "user", "no user", "a user", Severity.WARNING)
    assert states(problem_findings(configured(file), lambda _: (warning,))) == [("user", "warning"), (str(file), "ok")]


def test_interpreter_that_cannot_check_is_a_failure(file: Path) -> None:
    def check(_: Path) -> tuple[Problem, ...]:
        raise InterpreterUnsuitable("no libssl", "use another one")

    (finding,) = problem_findings(configured(file), check)
    assert (finding.state, finding.found, finding.remedy) == ("failure", "no libssl", "use another one.")


def test_file_as_it_is_served(file: Path) -> None:
    assert states(served_findings(configured(file), served(file))) == [(str(file), "ok")]


def test_file_that_was_changed_since(file: Path) -> None:
    (finding,) = served_findings(configured(file), served(file, sha256="00"))
    assert (finding.state, "plexigate reload" in finding.remedy) == ("warning", True)


def test_certificate_that_was_replaced_since(file: Path, tmp_path: Path) -> None:
    loaded = configured(file)
    os.utime(tmp_path / "chat.pem", (READ_AT + 60, READ_AT + 60))
    (tmp_path / "chat.key").unlink()
    assert states(served_findings(loaded, served(file)))[1:] == [("identity.chat.certificate", "warning")]


def test_proxy_with_another_file_and_one_that_does_not_tell(file: Path) -> None:
    (other,) = served_findings(configured(file), served(file, file="/etc/other.toml"))
    assert (other.state, "/etc/other.toml" in other.found) == ("warning", True)
    assert states(served_findings(configured(file), part({"version": "0.9"}))) == [("the file", "unknown")]


def test_checks_use_what_they_are_given(file: Path) -> None:
    problems, changed = configuration_checkups(lambda _: ())
    examined = replace(NOTHING, configured=configured(file), running=answering(served(file)))
    assert states(problems.look(examined)) == [(str(file), "ok")]
    assert states(changed.look(examined)) == [(str(file), "ok")]
