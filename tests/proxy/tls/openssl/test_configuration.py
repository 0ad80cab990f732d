"""The text of `openssl.cnf`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from proxy.tls.openssl.configuration import (
    APPROVED_ALONE,
    ProviderModule,
    fips_provider,
    openssl_configuration,
    pkcs11_provider,
)

LIBRARY = "/opt/vendor/libhsm.so"


def test_default_provider_is_always_active() -> None:
    assert _parsed(openssl_configuration([])) == {
        "": {"openssl_conf": "plexigate"},
        "plexigate": {"providers": "providers"},
        "providers": {"default": "provider_default"},
        "provider_default": {"activate": "1"},
    }


def test_named_providers_are_activated_in_order_from_where_their_modules_are() -> None:
    modules = [ProviderModule(name, f"/opt/modules/{name}.so") for name in ("oqsprovider", "other")]
    sections = _parsed(openssl_configuration(modules))
    assert list(sections["providers"]) == ["default", "oqsprovider", "other"]
    assert sections["provider_oqsprovider"] == {"activate": "1", "module": "/opt/modules/oqsprovider.so"}
    assert sections["provider_other"] == {"activate": "1", "module": "/opt/modules/other.so"}


def test_openssl_finds_modules_by_itself_where_no_place_is_given() -> None:
    assert _parsed(openssl_configuration([ProviderModule("oqsprovider")]))["provider_oqsprovider"] == {"activate": "1"}


def test_keys_in_tokens_come_with_the_settings_that_make_them_safe() -> None:
    assert _parsed(openssl_configuration([pkcs11_provider(None, LIBRARY)]))["provider_pkcs11"] == {
        "activate": "1",
        "pkcs11-module-path": "/opt/vendor/libhsm.so",
        "pkcs11-module-quirks": "no-deinit",
        "pkcs11-module-load-behavior": "early",
        "pkcs11-module-cache-keys": "never",
        "pkcs11-module-cache-sessions": "1024",
    }


def test_no_pin_stands_in_it() -> None:
    assert "pin" not in openssl_configuration([pkcs11_provider(None, LIBRARY)])


@pytest.mark.parametrize("name", ["a b", "a$b", "a#b", "a'b", 'a"b', "a\\b", "a`b", "a,b=c;d"])
def test_every_path_is_read_as_it_is_meant(tmp_path: Path, name: str) -> None:
    """By OpenSSL itself: it loads a module from there."""
    said = subprocess.run(["openssl", "version", "-m"], capture_output=True, text=True, check=True).stdout
    module = tmp_path / name / "legacy.so"
    module.parent.mkdir()
    shutil.copy(Path(said.partition('"')[2].partition('"')[0]) / "legacy.so", module)
    file = tmp_path / "openssl.cnf"
    file.write_text(openssl_configuration([ProviderModule("legacy", str(module))]))
    done = subprocess.run(
        ["openssl", "list", "-providers"], env={"OPENSSL_CONF": str(file)}, capture_output=True, text=True, check=True
    )
    assert "OpenSSL Legacy Provider" in done.stdout


def _parsed(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {"": {}}
    name = ""
    for line in text.splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            assert name not in sections
            sections[name] = {}
        elif line:
            key, _, value = line.partition(" = ")
            sections[name][key] = value
    return sections


INSTALLED = """[fips_sect]
activate = 1
install-version = 1
conditional-errors = 1
hmac-key-check = 0
module-mac = 23:F5:1F
module = /elsewhere/fips.so
.include /etc/passwd
"""


def test_fips_provider_comes_with_its_settings() -> None:
    sections = _parsed(openssl_configuration([fips_provider("/opt/fips.so", INSTALLED)]))
    assert list(sections["providers"]) == ["default", "fips"]
    assert sections["provider_fips"] == {
        "activate": "1",
        "module": "/opt/fips.so",
        "install-version": "1",
        "conditional-errors": "1",
        "hmac-key-check": "0",
        "module-mac": "23:F5:1F",
    }


def test_approved_algorithms_alone_are_asked_for_apart() -> None:
    assert _parsed(APPROVED_ALONE) == {
        "": {"openssl_conf": "plexigate"},
        "plexigate": {"alg_section": "algorithms"},
        "algorithms": {"default_properties": "fips=yes"},
    }


def test_fips_provider_without_settings_is_named_all_the_same() -> None:
    """OpenSSL then does not start it, and `check` says why."""
    assert _parsed(openssl_configuration([fips_provider(None, "")]))["provider_fips"] == {"activate": "1"}
