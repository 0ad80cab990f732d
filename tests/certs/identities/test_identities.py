"""The credentials of a configuration."""

from dataclasses import replace
from pathlib import Path

import pytest

from certs.identities.identities import LoadedCredentials, load_credentials
from certs.keys.signing_key import Custody
from certs.sealing.key_file import create_key
from certs.sealing.sealer import AeadSealer
from config.loading.loader import load, survey
from tests.certs.authority import DAY, NOW, issue, private_key, write

CHAT = issue("chat", private_key("ecdsa-p256"), names=["chat.example.org"])

BASE = """
[listener.public]
bind = "127.0.0.1:8443"
[upstream.chat]
servers = ["https://127.0.0.1:8000"]
[[route]]
host = "chat.example.org"
upstream = "chat"
[identity.chat]
names = ["chat.example.org"]
"""
SINGLE = BASE + 'certificate = "chat.pem"\nkey = "chat.key"\n'


def several(*names: str, prefer: str = "classical") -> str:
    tables = [f'[[identity.chat.credential]]\ncertificate = "{name}.pem"\nkey = "{name}.key"\n' for name in names]
    return BASE + f'prefer = "{prefer}"\n' + "".join(tables)


def credentials(directory: Path, text: str) -> LoadedCredentials:
    path = directory / "plexigate.toml"
    path.write_text(text)
    return load_credentials(load(path), NOW)


def texts(directory: Path, loaded: LoadedCredentials) -> list[str]:
    return [
        str(replace(problem, line=None)).removeprefix(f"{directory}/plexigate.toml: ") for problem in loaded.problems
    ]


def test_credentials_are_read_from_beside_the_file(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    loaded = credentials(tmp_path, SINGLE)
    assert loaded.problems == ()
    assert [str(one.algorithm) for one in loaded.identities["chat"]] == ["ecdsa-p256"]
    assert loaded.identities["chat"][0].certificate_path == tmp_path / "chat.pem"
    assert loaded.upstreams == {}


def test_several_credentials_keep_their_order(tmp_path: Path) -> None:
    write(tmp_path, "mldsa", issue("chat", private_key("mldsa-65"), names=["chat.example.org"]))
    write(tmp_path, "chat", CHAT)
    loaded = credentials(tmp_path, several("mldsa", "chat", prefer="mldsa"))
    assert loaded.problems == ()
    assert [str(one.algorithm) for one in loaded.identities["chat"]] == ["mldsa-65", "ecdsa-p256"]


def test_a_key_that_rests_sealed_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "mldsa", issue("chat", private_key("mldsa-65"), names=["chat.example.org"]))
    write(tmp_path, "chat", CHAT)
    sealer = AeadSealer(create_key(tmp_path / "sealing.key"))
    (tmp_path / "mldsa.key").write_bytes(sealer.seal(b"PEM", "label"))
    loaded = credentials(tmp_path, several("mldsa", "chat"))
    assert [str(one.algorithm) for one in loaded.identities["chat"]] == ["ecdsa-p256"]
    (problem,) = loaded.problems
    assert (problem.key, problem.is_error) == ("identity.chat.credential[0].key", False)
    assert "stays sealed while the sealing key is unavailable" in problem.found


def test_missing_files_are_problems_of_their_keys(tmp_path: Path) -> None:
    loaded = credentials(tmp_path, SINGLE)
    assert [line.partition(";")[0] for line in texts(tmp_path, loaded)] == [
        'identity.chat.certificate: found "chat.pem", which cannot be read (No such file or directory)',
        'identity.chat.key: found "chat.key", which cannot be read (No such file or directory)',
    ]
    assert loaded.identities == {"chat": ()}


def test_problems_of_several_credentials_name_their_tables(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    write(tmp_path, "other", issue("chat", private_key("ed25519"), names=["chat.example.org"]))
    (tmp_path / "other.key").write_bytes((tmp_path / "chat.key").read_bytes())
    loaded = credentials(tmp_path, several("chat", "other"))
    (problem,) = texts(tmp_path, loaded)
    assert problem.startswith('identity.chat.credential[1].key: found "other.key", which does not fit the certificate')
    assert len(loaded.identities["chat"]) == 1


def test_the_index_is_the_one_of_the_file_where_an_entry_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "plexigate.toml"
    path.write_text(several("chat", "other").replace('"chat.key"', "5"))
    found = survey(path).loaded
    assert found is not None
    assert {problem.key for problem in load_credentials(found, NOW).problems} == {
        "identity.chat.credential[1].certificate",
        "identity.chat.credential[1].key",
    }


def test_every_name_of_an_identity_must_be_covered(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    names = '["chat.example.org", "*.chat.example.org", "192.0.2.1"]'
    loaded = credentials(tmp_path, SINGLE.replace('["chat.example.org"]', names))
    assert texts(tmp_path, loaded) == [
        'identity.chat.certificate: found "chat.pem", which is not for *.chat.example.org, 192.0.2.1; '
        'allowed: a certificate for every name of the identity (this one\'s names: "chat.example.org")'
    ]


def test_a_certificate_without_names_covers_none(tmp_path: Path) -> None:
    write(tmp_path, "chat", issue("chat.example.org", private_key("ecdsa-p256")))
    (problem,) = texts(tmp_path, credentials(tmp_path, SINGLE))
    assert "which is not for chat.example.org" in problem
    assert "none: it has no subjectAltName" in problem


def test_two_credentials_of_one_kind_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    write(tmp_path, "other", issue("chat", private_key("ecdsa-p384"), names=["chat.example.org"]))
    assert texts(tmp_path, credentials(tmp_path, several("chat", "other"))) == [
        'identity.chat.credential[1].key: found "other.key", a second ec key outside tokens in addition to "chat.key"; '
        "allowed: one of them: TLS would only ever use one of two keys that are always there"
    ]


def test_an_exposed_key_is_only_said(tmp_path: Path) -> None:
    _, key = write(tmp_path, "chat", CHAT)
    key.chmod(0o644)
    loaded = credentials(tmp_path, SINGLE)
    assert texts(tmp_path, loaded) == [
        'identity.chat.key: warning: found "chat.key", which others may read (mode 0644); '
        f"better: mode 0600: chmod 600 {key}"
    ]
    assert len(loaded.identities["chat"]) == 1
    # a worker reads a copy in memory, whose name is of no use to an operator
    copy = key.with_name("16")
    copy.write_bytes(key.read_bytes())
    copy.chmod(0o644)
    worker = load(tmp_path / "plexigate.toml")
    worker = replace(worker, file=replace(worker.file, files={key: copy}))
    assert load_credentials(worker, NOW).problems == loaded.problems


def test_a_certificate_that_expires_soon_is_only_said(tmp_path: Path) -> None:
    write(
        tmp_path,
        "chat",
        issue("chat", private_key("ecdsa-p256"), names=["chat.example.org"], valid=(NOW - DAY, NOW + 6 * DAY)),
    )
    (problem,) = texts(tmp_path, credentials(tmp_path, SINGLE))
    assert problem.startswith(
        'identity.chat.certificate: warning: found "chat.pem", which expires at 2026-06-07 12:00 UTC'
    )


def test_an_expired_certificate_is_an_error(tmp_path: Path) -> None:
    write(
        tmp_path,
        "chat",
        issue("chat", private_key("ecdsa-p256"), names=["chat.example.org"], valid=(NOW - 9 * DAY, NOW - DAY)),
    )
    (problem,) = credentials(tmp_path, SINGLE).problems
    assert problem.is_error
    assert "expired at 2026-05-31 12:00 UTC" in problem.found


def test_a_preference_without_effect_is_said(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    assert texts(tmp_path, credentials(tmp_path, several("chat", prefer="mldsa"))) == [
        'identity.chat.prefer: warning: found "mldsa", but no credential of this identity is ML-DSA; '
        "better: an ML-DSA credential, or no preference"
    ]


def test_a_preference_is_not_judged_by_what_could_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    assert {problem.key for problem in credentials(tmp_path, several("chat", "gone", prefer="mldsa")).problems} == {
        "identity.chat.credential[1].certificate",
        "identity.chat.credential[1].key",
    }


def test_what_an_upstream_is_shown_and_trusted_by_is_read(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    write(tmp_path, "proxy", issue("proxy", private_key("ed25519")))
    write(tmp_path, "ca", issue("CA", private_key("ecdsa-p384")))
    tls = 'servers = ["https://127.0.0.1:8000"]\nca = "ca.pem"\ncertificate = "proxy.pem"\nkey = "proxy.key"'
    loaded = credentials(tmp_path, SINGLE.replace('servers = ["https://127.0.0.1:8000"]', tls))
    assert loaded.problems == ()
    assert str(loaded.upstreams["chat"].algorithm) == "ed25519"


def test_problems_of_an_upstream_s_files_name_their_keys(tmp_path: Path) -> None:
    write(tmp_path, "chat", CHAT)
    tls = 'servers = ["https://127.0.0.1:8000"]\nca = "chat.key"\ncertificate = "chat.pem"\nkey = "none.key"'
    loaded = credentials(tmp_path, SINGLE.replace('servers = ["https://127.0.0.1:8000"]', tls))
    assert [line.partition(";")[0] for line in texts(tmp_path, loaded)] == [
        'upstream.chat.ca: found "chat.key", which holds no certificate but PRIVATE KEY',
        'upstream.chat.key: found "none.key", which cannot be read (No such file or directory)',
    ]
    assert loaded.upstreams == {}


class TestKnown:
    """What was examined before is not examined again."""

    def test_same_content_is_known_by_its_digest(self, tmp_path: Path) -> None:
        write(tmp_path, "chat", CHAT)
        before = credentials(tmp_path, SINGLE)
        after = load_credentials(load(tmp_path / "plexigate.toml"), NOW, before.by_digest)
        (one,), (other,) = before.identities["chat"], after.identities["chat"]
        assert one.chain is other.chain
        assert (one.digest, other.key_pem_path) == (other.digest, tmp_path / "chat.key")

    def test_other_content_is_examined(self, tmp_path: Path) -> None:
        write(tmp_path, "chat", CHAT)
        before = credentials(tmp_path, SINGLE)
        write(tmp_path, "chat", issue("chat", private_key("ecdsa-p256", 7), names=["chat.example.org"]))
        after = load_credentials(load(tmp_path / "plexigate.toml"), NOW, before.by_digest)
        assert before.identities["chat"][0].digest != after.identities["chat"][0].digest
        (tmp_path / "chat.key").write_text("no key")
        assert load_credentials(load(tmp_path / "plexigate.toml"), NOW, before.by_digest).identities["chat"] == ()

    def test_time_is_judged_anew_and_warnings_are_repeated(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            "chat",
            issue("chat", private_key("ecdsa-p256"), names=["chat.example.org"], valid=(NOW - DAY, NOW + DAY)),
        )
        before = credentials(tmp_path, SINGLE)
        again = load_credentials(load(tmp_path / "plexigate.toml"), NOW, before.by_digest)
        assert again.problems == before.problems != ()
        late = load_credentials(load(tmp_path / "plexigate.toml"), NOW + 2 * DAY, before.by_digest)
        assert [problem.key for problem in late.problems if problem.is_error] == ["identity.chat.certificate"]


class TestTokens:
    """Keys that are only named: no token is asked for anything."""

    KEY = '"pkcs11:token=plexi;object=chat"'
    HSM = '[hsm]\nmodule = "hsm.so"\n[hsm.token.plexi]\npin_file = "plexi.pin"\n[hsm.token.spare]\npin_file = "plexi.pin"\n'

    def text(self, key: str = KEY, further: str = "") -> str:
        return BASE + f'certificate = "chat.pem"\nkey = {key}\n{further}' + self.HSM

    @pytest.fixture(autouse=True)
    def files(self, tmp_path: Path) -> None:
        write(tmp_path, "chat", CHAT)
        (tmp_path / "hsm.so").touch()
        (tmp_path / "plexi.pin").touch(mode=0o600)
        (tmp_path / "plexi.pin").write_text("1234")

    def test_public_half_is_that_of_the_certificate(self, tmp_path: Path) -> None:
        loaded = credentials(tmp_path, self.text())
        assert loaded.problems == ()
        (one,) = loaded.identities["chat"]
        assert (one.key.custody, str(one.algorithm)) == (Custody.TOKEN, "ecdsa-p256")
        assert one.key.public_key == one.leaf.public_key()
        assert one.key_pem_path.read_bytes().startswith(b"-----BEGIN PKCS#11 PROVIDER URI-----")
        assert (one.keys, one.is_spread) == ((one.key,), False)

    def test_several_keep_their_order(self, tmp_path: Path) -> None:
        several = '["pkcs11:token=spare;object=chat", "pkcs11:token=plexi;object=chat"]'
        loaded = credentials(tmp_path, self.text(several, "spread = true\n"))
        (one,) = loaded.identities["chat"]
        assert [key.location for key in one.keys] == [
            "pkcs11:token=spare;object=chat",
            "pkcs11:token=plexi;object=chat",
        ]
        assert one.is_spread

    def test_unusable_pin_and_certificate_are_told_once_each(self, tmp_path: Path) -> None:
        (tmp_path / "plexi.pin").chmod(0o644)
        assert [one.partition(":")[0] for one in texts(tmp_path, credentials(tmp_path, self.text()))] == [
            "hsm.token.plexi.pin_file",
            "hsm.token.spare.pin_file",
        ]
        (tmp_path / "plexi.pin").chmod(0o600)
        (tmp_path / "chat.pem").unlink()
        loaded = credentials(tmp_path, self.text())
        assert [problem.key for problem in loaded.problems] == ["identity.chat.certificate"]
        assert loaded.identities["chat"] == ()

    def test_faulty_tables_are_the_business_of_others(self, tmp_path: Path) -> None:
        path = tmp_path / "plexigate.toml"
        for text in (self.text().partition("[hsm]")[0], self.text('"pkcs11:token=gone;object=chat"')):
            path.write_text(text)
            surveyed = survey(path)
            assert surveyed.loaded is not None
            assert load_credentials(surveyed.loaded, NOW).problems == ()

    def test_what_is_known_is_known_again_until_something_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "plexigate.toml"
        path.write_text(self.text())

        def digest(known: LoadedCredentials | None = None) -> bytes:
            loaded = load_credentials(load(path), NOW, {} if known is None else known.by_digest)
            (one,) = loaded.identities["chat"]
            assert one.key_pem_path.exists()
            return one.digest

        first = load_credentials(load(path), NOW)
        assert digest(first) == digest() == first.identities["chat"][0].digest
        before = digest()
        (tmp_path / "plexi.pin").write_text("5678")
        assert digest(first) != before
        path.write_text(self.text('"pkcs11:token=plexi;object=chat;id=%01"'))
        assert digest(first) != before
        late = load_credentials(load(path), NOW + 10_000 * DAY, load_credentials(load(path), NOW).by_digest)
        assert late.identities["chat"] == ()

    def test_key_of_an_upstream_is_a_file(self, tmp_path: Path) -> None:
        text = self.text().replace("servers = [", f'certificate = "chat.pem"\nkey = {self.KEY}\nservers = [')
        (tmp_path / "plexigate.toml").write_text(text)
        (problem,) = survey(tmp_path / "plexigate.toml").problems
        assert (problem.key, problem.allowed) == (
            "upstream.chat.key",
            "the path of a file: only keys of identities can be in a token",
        )
