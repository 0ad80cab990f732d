"""The context for an upstream is built again when something that it is made of has changed, and
only then."""

import ssl
from pathlib import Path

import pytest

from proxy.tls.openssl.client_tls import client_tls
from proxy.tls.openssl.context import UpstreamTls
from tests.certificates import Authority

GROUPS = "X25519:secp256r1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_same_files_are_the_same_context_and_other_content_is_another(authority: Authority, tmp_path: Path) -> None:
    files, other = authority.issue("proxy"), authority.issue("other")
    settings = UpstreamTls(authority.path, files.certificate, files.key, GROUPS)
    first = client_tls(settings, None)
    assert client_tls(settings, first) is first
    assert client_tls(settings, None).context is not first.context
    files.certificate.write_bytes(other.certificate.read_bytes())
    files.key.write_bytes(other.key.read_bytes())
    second = client_tls(settings, first)
    assert second.context is not first.context
    (tmp_path / "elsewhere").mkdir()
    authority.path.write_bytes(Authority(tmp_path / "elsewhere").path.read_bytes())
    assert client_tls(settings, second).context is not second.context


def test_other_settings_are_another_context(authority: Authority) -> None:
    files = authority.issue("proxy")
    plain = client_tls(UpstreamTls(authority.path, None, None, GROUPS), None)
    assert client_tls(UpstreamTls(authority.path, None, None, "X25519"), plain) is not plain
    assert client_tls(UpstreamTls(authority.path, files.certificate, files.key, GROUPS), plain) is not plain


def test_trusted_certificates_of_the_system_count_by_the_time_of_their_change(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ssl.get_default_verify_paths()._replace(cafile=str(authority.path), capath=str(tmp_path / "none"))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: places)
    settings = UpstreamTls(None, None, None, GROUPS)
    first = client_tls(settings, None)
    assert client_tls(settings, first) is first
    authority.path.touch()
    assert client_tls(settings, first) is not first


def test_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        client_tls(UpstreamTls(tmp_path / "none.pem", None, None, GROUPS), None)


def test_fingerprint_of_a_key_is_not_shown(authority: Authority) -> None:
    made = client_tls(UpstreamTls(authority.path, None, None, GROUPS), None)
    assert repr(made.fingerprint) not in repr(made)
