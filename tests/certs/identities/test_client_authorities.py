"""The authorities of clients and their revocation lists: what is taken, refused, and warned about."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.identities.client_authorities import (
    ClientAuthorities,
    client_authorities,
    fetched_path,
    fetched_paths,
)
from config.loading.loaded import ConfigFile
from config.loading.loader import load
from config.tables.client_certificates import ClientCertificatesConfig
from tests.certificates import DAY
from tests.client_authorities import ClientAuthority
from tests.configurations import Site

NOW = datetime.now(UTC)  # noqa: TID251 - certificates of tests are made by the clock
ROOT = ClientAuthority("Root")
BELOW = ClientAuthority("Below", above=ROOT)
MODERN = ClientAuthority("Modern", "mldsa-65")
DAMAGED = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), b"\x01")
PLACE = ("identity", "chat", "client_certificates")


@dataclass(frozen=True)
class Directory:
    """Where the files are."""

    path: Path

    def read(
        self, ca: bytes | None, crl: bytes | None = None, now: datetime = NOW
    ) -> tuple[ClientAuthorities | None, list[str]]:
        """Judge two files."""
        if ca is not None:
            (self.path / "ca.pem").write_bytes(ca)
        if crl is not None:
            (self.path / "crl.pem").write_bytes(crl)
        settings = ClientCertificatesConfig(ca="ca.pem", crl=None if crl is None else "crl.pem")
        found, problems = client_authorities(ConfigFile(self.path / "f.toml"), PLACE, settings, None, now)
        texts = [str(replace(one, line=None)).removeprefix(f"{self.path}/f.toml: ") for one in problems]
        return found, [text.removeprefix("identity.chat.client_certificates.") for text in texts]

    def refused(self, ca: bytes | None, crl: bytes | None = None) -> list[str]:
        """What is wrong."""
        found, problems = self.read(ca, crl)
        assert found is None
        return problems


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.mark.parametrize(
    "kind", ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519", "mldsa-44", "mldsa-65", "mldsa-87"]
)
def test_authorities_of_every_kind_with_their_lists(directory: Directory, kind: str) -> None:
    root = ClientAuthority("Any", kind)
    crl = root.revocations()
    found, problems = directory.read(root.pem, crl)
    assert problems == []
    assert found is not None
    assert (found.certificates_pem, found.lists_pem) == (root.pem, crl)


def test_content_tells_two_apart(directory: Directory, tmp_path: Path) -> None:
    issued = ROOT.issue(tmp_path, "bot")
    texts = [
        (ROOT.pem, None),
        (ROOT.pem, ROOT.revocations()),
        (ROOT.pem, ROOT.revocations(issued.leaf)),
        (MODERN.pem, None),
    ]
    found = [directory.read(*one)[0] for one in texts]
    assert len({one.lists_pem + one.certificates_pem for one in found if one is not None}) == len(texts)


def test_lists_are_current_until_the_first_authority_has_none(directory: Directory) -> None:
    early, late = (-2 * DAY, 3 * DAY), (-DAY, 5 * DAY)
    crl = ROOT.revocations(valid=early) + ROOT.revocations(valid=late) + BELOW.revocations(valid=(-DAY, 4 * DAY))
    found, problems = directory.read(ROOT.pem + BELOW.pem, crl)
    assert problems == []
    assert found is not None
    assert found.currency is not None
    now = datetime.now(UTC)  # noqa: TID251 - the lists were made just now, the file may be read long before
    assert abs(found.currency[1] - (now + 4 * DAY)) < timedelta(minutes=10)
    assert abs(found.currency[0] - (now - DAY)) < timedelta(minutes=10)
    without, _ = directory.read(ROOT.pem)
    assert without is not None
    assert without.currency is None


def test_the_next_list_may_be_there_before_it_begins(directory: Directory) -> None:
    crl = ROOT.revocations(valid=(-DAY, 3 * DAY)) + ROOT.revocations(valid=(2 * DAY, 9 * DAY))
    found, problems = directory.read(ROOT.pem, crl)
    assert problems == []
    assert found is not None
    assert found.currency is not None
    now = datetime.now(UTC)  # noqa: TID251 - the lists were made just now, the file may be read long before
    assert abs(found.currency[0] - (now - DAY)) < timedelta(minutes=10), "its clients are accepted"
    assert abs(found.currency[1] - (now + 9 * DAY)) < timedelta(minutes=10)


def test_intermediate_is_trusted_by_itself_where_no_list_is_looked_up(directory: Directory) -> None:
    found, problems = directory.read(BELOW.pem)
    assert (found is not None, problems) == (True, [])
    assert directory.refused(BELOW.pem, BELOW.revocations()) == [
        'ca: found "ca.pem", which lacks the issuer "CN=Root" of "CN=Below"; allowed: the issuer too, up to a root: '
        "with crl each certificate up to the root is looked up"
    ]


class TestAuthorities:
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (None, "which cannot be read (No such file or directory)"),
            (b"", "which holds nothing"),
            (b"0\x82", "which holds DER, not PEM"),
            (ROOT.revocations(), "which holds no certificate but X509 CRL"),
            (ROOT.pem.replace(b"\n", b"\nA", 1), "which holds a damaged certificate"),
            (ROOT.pem * 65, "which has 65 certificates"),
        ],
    )
    def test_file_without_them(self, directory: Directory, content: bytes | None, found: str) -> None:
        (problem,) = directory.refused(content)
        assert problem.startswith(f'ca: found "ca.pem", {found}; allowed: ')

    def test_those_that_may_issue_nothing(self, directory: Directory, tmp_path: Path) -> None:
        leaf = ROOT.issue(tmp_path, "bot").leaf.public_bytes(Encoding.PEM)
        (problem,) = directory.refused(ROOT.pem + leaf)
        assert problem == (
            'ca: found "ca.pem", whose certificate in place 2, "CN=bot", may issue no certificates; allowed: '
            "certificates of authorities (basicConstraints CA:TRUE, keyUsage keyCertSign), none of clients"
        )

    def test_rsa_key_that_openssl_would_refuse(self, directory: Directory) -> None:
        (problem,) = directory.refused(ClientAuthority("Weak", "rsa-1024").pem)
        assert 'place 1, "CN=Weak", has an RSA key of 1024 bits; allowed: at least 2048 bits' in problem

    @pytest.mark.parametrize(
        ("valid", "what"), [((-3 * DAY, -DAY), "expired at"), ((DAY, 3 * DAY), "is valid only from")]
    )
    def test_time_alone_makes_a_warning(
        self, directory: Directory, valid: tuple[timedelta, timedelta], what: str
    ) -> None:
        found, (problem,) = directory.read(ClientAuthority("Late", valid=valid).pem)
        assert found is not None
        assert f'ca: warning: found "ca.pem", whose certificate "CN=Late" {what}' in problem
        assert "its clients are refused" in problem


class TestLists:
    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"", "which holds nothing"),
            (b"0\x82", "which holds DER, not PEM"),
            (ROOT.pem, "which has no certificate revocation list (X509 CRL)"),
            (ROOT.revocations().replace(b"\n", b"\nA", 1), "which holds a damaged list"),
        ],
    )
    def test_file_without_them(self, directory: Directory, content: bytes, found: str) -> None:
        (problem,) = directory.refused(ROOT.pem, content)
        assert problem.startswith(f'crl: found "crl.pem", {found}; allowed: a PEM file with a list of each authority')

    def test_list_of_a_stranger(self, directory: Directory) -> None:
        problems = directory.refused(ROOT.pem, ROOT.revocations() + MODERN.revocations())
        assert problems == [
            'crl: found "crl.pem", whose list of "CN=Modern" is of no authority in ca; '
            'allowed: lists of these authorities: "CN=Root"'
        ]

    def test_forged_list(self, directory: Directory) -> None:
        for signer in (BELOW, MODERN):
            problems = directory.refused(ROOT.pem, ROOT.revocations(signer=signer))
            assert problems == [
                'crl: found "crl.pem", whose list of "CN=Root" is not signed by that authority; '
                "allowed: the list as the authority has published it"
            ]

    def test_authority_without_a_list(self, directory: Directory) -> None:
        problems = directory.refused(ROOT.pem + BELOW.pem, ROOT.revocations())
        assert problems == [
            'crl: found "crl.pem", which has no list of "CN=Below"; '
            "allowed: a list of each authority in ca: without one its clients are refused"
        ]

    def test_delta(self, directory: Directory) -> None:
        problems = directory.refused(ROOT.pem, ROOT.revocations(critical=x509.DeltaCRLIndicator(1)))
        assert problems == [
            'crl: found "crl.pem", whose list of "CN=Root" is a delta, which has only the latest changes; '
            "allowed: the complete list"
        ]

    def test_damaged_extension(self, directory: Directory) -> None:
        """No signature is needed for it."""
        (problem,) = directory.refused(ROOT.pem, ROOT.revocations(critical=DAMAGED))
        assert problem.startswith('crl: found "crl.pem", which holds a damaged list; allowed:')

    @pytest.mark.parametrize(
        ("valid", "what"), [((-3 * DAY, -DAY), "expired at"), ((DAY, 3 * DAY), "is current only from")]
    )
    def test_time_alone_makes_a_warning(
        self, directory: Directory, valid: tuple[timedelta, timedelta], what: str
    ) -> None:
        found, (problem,) = directory.read(ROOT.pem, ROOT.revocations(valid=valid))
        assert found is not None
        assert f'crl: warning: found "crl.pem", whose list of "CN=Root" {what}' in problem
        assert "its clients are refused until there is a current one" in problem
        _, problems = directory.read(ROOT.pem, ROOT.revocations(valid=valid) + ROOT.revocations())
        assert problems == []

    def test_large_lists_cost_each_handshake(self, directory: Directory) -> None:
        found, (problem,) = directory.read(ROOT.pem, b"#" * 1_048_577 + b"\n" + ROOT.revocations())
        assert found is not None
        assert "which has 1.0 MB, and each handshake with a certificate reads all of it" in problem
        (problem,) = directory.refused(ROOT.pem, b"#" * 16_777_217)
        assert "which holds more than 16_777_216 bytes" in problem

    def test_nothing_follows_from_authorities_that_cannot_be_read(self, directory: Directory) -> None:
        assert len(directory.refused(b"", ROOT.revocations())) == 1


class TestFetched:
    """Lists that the parent fetches into the state directory."""

    URL = "http://ca.test/a.crl"

    def read(self, directory: Directory, list_: bytes | None, **settings: Any) -> tuple[ClientAuthorities, list[str]]:
        (directory.path / "ca.pem").write_bytes(ROOT.pem)
        path = fetched_path(directory.path / "state", self.URL)
        path.parent.mkdir(parents=True, exist_ok=True)
        if list_ is not None:
            path.write_bytes(list_)
        config = ClientCertificatesConfig.model_validate({"ca": "ca.pem", "crl_url": self.URL, **settings})
        found, problems = client_authorities(ConfigFile(directory.path / "f.toml"), PLACE, config, "state", NOW)
        assert found is not None
        return found, [problem.found for problem in problems]

    @pytest.mark.parametrize("is_der", [False, True])
    def test_one_that_is_there_counts(self, directory: Directory, is_der: bool) -> None:  # noqa: FBT001 - a parameter of the test
        crl = ROOT.revocations()
        content = x509.load_pem_x509_crl(crl).public_bytes(Encoding.DER) if is_der else crl
        found, problems = self.read(directory, content)
        assert (found.lists_pem, problems) == (crl, [])
        assert found.checks_revocation
        assert not found.is_lenient

    def test_a_missing_one_is_a_warning_and_revocation_is_checked(self, directory: Directory) -> None:
        found, problems = self.read(directory, None)
        assert problems == ['no list of "CN=Root" yet: its clients are refused']
        assert (found.lists, found.checks_revocation) == ((), True)
        assert found.currency == (datetime(1970, 1, 1, tzinfo=UTC),) * 2
        lenient, problems = self.read(directory, None, crl_unknown="accept")
        assert lenient.is_lenient
        assert problems == ['no list of "CN=Root" yet: its clients may be revoked']

    def test_a_worker_may_not_look_for_one(self, directory: Directory) -> None:
        class Hidden(type(Path())):  # type: ignore[misc]  # of this system
            def read_bytes(self) -> bytes:
                raise PermissionError

        (directory.path / "ca.pem").write_bytes(ROOT.pem)
        path = fetched_path(directory.path / "state", self.URL)
        file = ConfigFile(directory.path / "f.toml", files={path: Hidden(path)})
        config = ClientCertificatesConfig.model_validate({"ca": "ca.pem", "crl_url": self.URL})
        _, problems = client_authorities(file, PLACE, config, "state", NOW)
        assert [one.found for one in problems] == ['no list of "CN=Root" yet: its clients are refused']

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"rubbish", "it is no revocation list, in DER or PEM"),
            (ClientAuthority("Root").revocations(), "is not signed by that authority"),
            (ClientAuthority("Other").revocations(), "is of no authority in ca"),
            (ROOT.revocations(critical=x509.DeltaCRLIndicator(1)), "is a delta"),
        ],
    )
    def test_one_that_is_not_of_the_authority_does_not_count(
        self, directory: Directory, content: bytes, found: str
    ) -> None:
        read, problems = self.read(directory, content)
        assert read.lists == ()
        assert found in problems[0]

    def test_time_and_size_are_judged_as_those_of_a_file(self, directory: Directory) -> None:
        _, problems = self.read(directory, b"#" * 1_048_577 + b"\n" + ROOT.revocations(valid=(-3 * DAY, -DAY)))
        assert problems[0].startswith(f'"{self.URL}", which has 1.0 MB')
        assert problems[1].startswith(f'"{self.URL}", whose list of "CN=Root" expired at')
        assert problems[1].endswith("its clients are refused until there is a current one")
        assert len(problems) == 2

    def test_a_newer_one_that_has_expired_stands_before_an_older_file(self, directory: Directory) -> None:
        """OpenSSL would prefer the one that is current, and accept who is revoked since."""
        (directory.path / "crl.pem").write_bytes(ROOT.revocations(valid=(-9 * DAY, 900 * DAY)))
        newer = ROOT.revocations(ROOT.certificate, valid=(-3 * DAY, -DAY))
        found, (problem,) = self.read(directory, newer, crl="crl.pem")
        assert found.lists_pem == newer
        assert found.currency is not None
        assert found.currency[1] < NOW
        assert "expired at" in problem

    def test_a_file_beside_it_may_lack_authorities(self, directory: Directory) -> None:
        crl = ROOT.revocations()
        (directory.path / "crl.pem").write_bytes(crl)
        found, problems = self.read(directory, None, crl="crl.pem")
        assert (found.lists_pem, problems) == (crl, [])

    def test_where_they_are_is_known_of_a_configuration(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path)
        (tmp_path / "ca.pem").write_bytes(ROOT.pem)
        table = f'[identity.chat.client_certificates]\nca = "ca.pem"\ncrl_url = ["{self.URL}", "http://b.test/"]\n'
        loaded = load(site.write(f'{site.minimal}{table}[rotation]\nstate = "state"\n'))
        state = loaded.file.directory / "state"
        assert fetched_paths(loaded) == [fetched_path(state, self.URL), fetched_path(state, "http://b.test/")]
        assert fetched_paths(load(site.write(site.minimal))) == []
