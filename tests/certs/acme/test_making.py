"""From the configuration to issuers that are asked."""

import json
from pathlib import Path

import pytest

from certs.acme.challenges.dns_hook import DnsHook
from certs.acme.challenges.proofs import NobodyShows, Showing
from certs.acme.client.accounts import FileAccountStore
from certs.acme.fallback import FallbackIssuer
from certs.acme.issuer import AcmeIssuer
from certs.acme.making import acme_issuers
from certs.issuing.issuer import FailureKind, IssueFailed, IssueRequest
from config.loading.loaded import LoadedConfig
from config.loading.loader import accepted
from config.tables.issuers import AcmeChallenge
from tests.acme_directory import EAB_KEY, acme_directory, csr_for
from tests.certs.acme.scene import RememberingSolver
from tests.configurations import MINIMAL_LISTENER, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


REQUEST = IssueRequest(("chat.test",), csr_for("chat.test"))


def loaded(site: Site, issuers: str) -> LoadedConfig:
    text = f"{MINIMAL_LISTENER}{site.identity}{issuers}"
    return accepted(text.encode(), site.directory / "plexigate.toml")


def issuer(name: str, url: str, **settings: object) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in {"type": "acme", "directory": url, **settings}.items()]
    return "\n".join([f"[issuer.{name}]", *lines, ""])


def test_certificate_is_had_by_what_the_file_says(site: Site, tmp_path: Path) -> None:
    with acme_directory(tmp_path, binding_keys={"kid": EAB_KEY}, profiles={"shortlived": "6 days"}) as ca:
        solver = RememberingSolver()
        told: list[str] = []
        ca.look = solver.look
        key_file = tmp_path / "eab"
        root_file = tmp_path / "root.pem"
        root_file.write_bytes(ca.trust.read_bytes())
        text = issuer(
            "le",
            ca.url,
            contact="ops@example.org",
            eab_kid="kid",
            eab_key_file=str(key_file),
            profile="shortlived",
            challenge="http-01",
            ca_file=str(ca.trust),
            root_file=str(root_file),
        )
        text += '[plain]\nbind = "127.0.0.1:0"\n[issuer.own]\ntype = "internal"\n'
        made = acme_issuers(
            (given := loaded(site, text)).file,
            given.config.issuer,
            given.config.rotation.issue_seconds,
            FileAccountStore(tmp_path / "accounts"),
            Showing(solver, told.append),
        )
        assert list(made) == ["le"]
        assert (made["le"].name, len(made["le"].roots)) == ("le", 1)
        with pytest.raises(IssueFailed, match=r"le: chat\.test: .*No such file") as missing:
            made["le"].issue(REQUEST)
        assert missing.value.kind is FailureKind.TEMPORARY
        key_file.write_text(f"{EAB_KEY}\n")  # it is read when it is needed
        assert made["le"].issue(REQUEST).chain_pem.startswith(b"-----BEGIN")
        assert ca.orders[-1].asked["profile"] == "shortlived"
        assert [account["contact"] for account in ca.accounts.values()] == [["mailto:ops@example.org"]]
        assert {name for _, name in solver.log} == {"chat.test"}
        assert told[-1] == "le: issued for chat.test"


def test_others_are_asked_in_order_and_each_ca_is_one_object(site: Site, tmp_path: Path) -> None:
    text = (
        issuer("one", "https://localhost:1/dir", fallback=["two", "three"])
        + issuer("two", "https://localhost:2/dir")
        + issuer("three", "https://localhost:3/dir", challenge="dns-01", hook=["/bin/hook", "-x"], hook_timeout="7s")
        + "[rotation]\nissue_timeout = '90s'\n"
    )
    made = acme_issuers(
        (given := loaded(site, text)).file,
        given.config.issuer,
        given.config.rotation.issue_seconds,
        FileAccountStore(tmp_path),
        Showing(RememberingSolver(), lambda _: None),
    )
    one, two, three = made["one"], made["two"], made["three"]
    assert isinstance(one, FallbackIssuer)
    assert isinstance(two, AcmeIssuer)
    assert isinstance(three, AcmeIssuer)
    assert one._issuers[1:] == (two, three)
    with pytest.raises(IssueFailed) as caught:
        one.issue(REQUEST)
    assert [part.partition(":")[0] for part in caught.value.detail.split("; ")] == ["one", "two", "three"]
    hook = three._around.solver
    assert isinstance(hook, DnsHook)
    assert (hook._command, hook._seconds) == (("/bin/hook", "-x"), 7.0)
    assert three._settings.challenge is AcmeChallenge.DNS_01
    # all of them together have the time of one certificate
    patience = two._around.patience
    assert (patience.call, patience.validation, patience.issuance) == (10.0, 10.0, 10.0)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_roots_that_cannot_be_read_are_told_by_file(site: Site, tmp_path: Path, content: bytes | None) -> None:
    root_file = tmp_path / "root.pem"
    if content is not None:
        root_file.write_bytes(content)
    text = issuer("le", "https://localhost:1/dir", root_file=str(root_file))
    made = acme_issuers(
        (given := loaded(site, text)).file,
        given.config.issuer,
        given.config.rotation.issue_seconds,
        FileAccountStore(tmp_path),
        Showing(RememberingSolver(), lambda _: None),
    )
    with pytest.raises(IssueFailed, match=r"le: root_file .*root\.pem cannot be read as certificates in PEM"):
        made["le"].roots  # noqa: B018 - it raises


def test_nobody_shows_anything_while_the_proxy_does_not_run(site: Site, tmp_path: Path) -> None:
    with acme_directory(tmp_path) as ca:
        text = issuer("le", ca.url, ca_file=str(ca.trust))
        made = acme_issuers(
            (given := loaded(site, text)).file,
            given.config.issuer,
            given.config.rotation.issue_seconds,
            FileAccountStore(tmp_path),
            Showing(NobodyShows(), lambda _: None),
        )
        with pytest.raises(IssueFailed, match="the proxy does not run") as caught:
            made["le"].issue(REQUEST)
        assert caught.value.kind is FailureKind.TEMPORARY
