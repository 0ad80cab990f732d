"""What a person is told who is to trust a root."""

from pathlib import Path

from cryptography.hazmat.primitives import hashes

from certs.issuing.internal_ca.profiles import root_certificate
from certs.keys.generating import ALGORITHMS, generate
from proxy.commands.certs.trust_text import trust_text
from tests.certs.authority import NOW

ROOT = root_certificate("Plexigate internal root", generate(ALGORITHMS["ec-p256"]), NOW)


def text(names: tuple[str, ...] = ("*.chat.test", "chat.test"), permitted: tuple[str, ...] = ()) -> str:
    return trust_text("internal", ROOT, Path("root.pem"), names, permitted)


def test_each_kind_of_client_is_told_how() -> None:
    for word in ("update-ca-certificates", "certutil", "Firefox", "curl --cacert root.pem", "create_default_context"):
        assert word in text()
    assert "https://chat.test/" in text(), "no wildcard: nobody can ask for it"
    assert "https://NAME/" in text(names=("*.chat.test",))


def test_the_fingerprint_is_there_to_be_compared() -> None:
    assert ROOT.fingerprint(hashes.SHA256()).hex().upper() in text().replace(":", "")


def test_its_limits_are_told() -> None:
    assert "to which its intermediates are limited" not in text()
    assert "for the names example.org, to which" in text(permitted=("example.org",))
