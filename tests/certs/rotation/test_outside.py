"""What rotations need that no configuration can hold."""

from pathlib import Path

import pytest

from certs.rotation.outside import outside_problems
from config.loading.loader import load
from config.values.problems import Problem
from tests.configurations import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site.make(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_bytes(b"\xff\x00 no key")
    (tmp_path / "eab").write_text("c2Vj-cmV_0\n")
    return site


def problems_of(site: Site, text: str, *, is_all_issued: bool = False) -> list[Problem]:
    return list(
        outside_problems(
            (given := load(site.write(site.minimal + text))).file,
            given.config.issuer,
            is_all_issued=is_all_issued,
        )
    )


def issuer(**settings: str) -> str:
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    return "\n".join(["[issuer.ca]", 'type = "acme"', 'directory = "https://ca.test"', *lines, ""])


@pytest.mark.parametrize("key", ["ca_file", "root_file"])
@pytest.mark.parametrize("file", ["missing", "empty", "garbage", "chat.key", "."])
def test_a_file_without_certificates_is_named_before_anything_is_ordered(site: Site, key: str, file: str) -> None:
    (problem,) = problems_of(site, issuer(**{key: file}))
    assert (problem.key, problem.is_error) == (f"issuer.ca.{key}", True)
    assert problem.line is not None


@pytest.mark.parametrize(
    ("file", "found"), [("missing", "No such file"), ("empty", "is empty"), ("garbage", "is not base64url")]
)
def test_a_key_of_the_ca_is_looked_at(site: Site, file: str, found: str) -> None:
    (problem,) = problems_of(site, issuer(eab_kid="k", eab_key_file=file))
    assert problem.key == "issuer.ca.eab_key_file"
    assert found in problem.found


def test_programs_are_looked_for_as_they_will_be_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    program = site.directory / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(site.directory))
    text = '[issuer.ca]\ntype = "acme"\ndirectory = "https://ca.test"\nchallenge = "dns-01"\nhook = ["{0}"]\n'
    # hooks have a PATH of their own
    assert [one.key for one in problems_of(site, text.format("mine"))] == ["issuer.ca.hook[0]"]
    assert problems_of(site, text.format(program)) == []
    program.chmod(0o600)
    assert len(problems_of(site, text.format(program))) == 1


def test_what_is_there_is_fine(site: Site) -> None:
    root = str(site.authority.path)
    text = issuer(ca_file=root, root_file=root, eab_kid="k", eab_key_file="eab")
    assert problems_of(site, text) == []


def test_what_only_renewals_need_keeps_nobody_from_serving_what_is_issued(site: Site) -> None:
    text = issuer(ca_file="missing", root_file="missing")
    for is_all_issued in (False, True):
        found = problems_of(site, text, is_all_issued=is_all_issued)
        assert [one.is_error for one in found] == [not is_all_issued] * 2
