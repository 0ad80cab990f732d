"""OpenSSL before its first context: the configured providers, from where they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.tls.tokens.openssl_setup import configured_directory, prepare_openssl
from tests.configurations import Site
from tests.descriptors import open_descriptors
from tests.hsm.site import HsmSite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class TestPrepareOpenssl:
    def test_provider_that_is_there_is_loaded(self, site: Site) -> None:
        """In a process of its own, as it stays loaded."""
        path = site.write('[openssl]\nproviders = ["legacy"]\n' + site.minimal)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from pathlib import Path; from config.loading.loader import load; from proxy.tls.tokens.openssl_setup import "
                "prepare_openssl; print(prepare_openssl(load(Path(sys.argv[1]))).providers)",
                str(path),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("('default', 'legacy')\n", "")

    def test_provider_that_is_missing_is_told(self, site: Site) -> None:
        loaded = load(site.write('[openssl]\nproviders = ["oqsprovider_of_tomorrow"]\n' + site.minimal))
        assert prepare_openssl(loaded).missing_providers == ("oqsprovider_of_tomorrow",)

    def test_module_is_looked_for_in_its_place_only(self, site: Site, tmp_path: Path) -> None:
        text = f'[openssl]\nproviders = ["legacy"]\nmodule_path = "{tmp_path}"\n' + site.minimal
        assert prepare_openssl(load(site.write(text))).missing_providers == ("legacy",)

    def test_relative_place_of_modules_is_relative_to_the_file(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(site.directory)
        Path("modules").mkdir()
        name = Path(site.write(site.minimal).name)
        assert configured_directory((given := load(name)).file, given.config.openssl) is None
        site.write('[openssl]\nmodule_path = "modules"\n' + site.minimal)
        assert configured_directory((given := load(name)).file, given.config.openssl) == site.directory / "modules"

    def test_nothing_is_written_to_disk(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded = load(site.write(site.minimal))
        descriptors = open_descriptors()
        monkeypatch.setattr("tempfile.gettempdir", lambda: pytest.fail("a locked-down service has no such place"))
        assert prepare_openssl(loaded).missing_providers == ()
        assert open_descriptors() == descriptors


class TestTokens:
    def test_provider_of_tokens_comes_before_those_that_were_asked_for(self, hsm_site: HsmSite) -> None:
        """In a process of its own, as it stays loaded."""
        path = hsm_site.write('[openssl]\nproviders = ["legacy"]\n', tokens_of(hsm_site))
        assert providers_of(path, hsm_site) == "('default', 'pkcs11', 'legacy')\n"
        assert hsm_site.hsm.shim.token("").calls("C_Initialize") == 1

    def test_it_is_taken_from_openssl_when_the_own_place_does_not_have_it(
        self, hsm_site: HsmSite, tmp_path: Path
    ) -> None:
        (tmp_path / "modules").mkdir()
        text = f'[openssl]\nmodule_path = "{tmp_path}/modules"\n'
        assert providers_of(hsm_site.write(text, tokens_of(hsm_site)), hsm_site) == "('default', 'pkcs11')\n"
        (tmp_path / "modules" / "pkcs11.so").write_bytes(b"none")
        assert providers_of(hsm_site.write(text, tokens_of(hsm_site)), hsm_site) == "('default',)\n"

    def test_nobody_is_asked_for_a_pin(self, hsm_site: HsmSite) -> None:
        """Neither on a terminal nor on standard input: what is written there is not read."""
        plexi = hsm_site.hsm.add_token("plexi")
        hsm_site.hsm.generate(plexi, "chat")
        path = hsm_site.write(hsm_site.tokens(plexi))
        code = _COUNT.format(path=str(path), uri="pkcs11:token=plexi;object=chat;type=private")
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **hsm_site.hsm.environment},
            input=f"{plexi.pin}\n",
            start_new_session=True,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("0\n", "")
        assert hsm_site.hsm.shim.token("plexi").calls("C_Login") == 0


_COUNT = """
import ctypes
from pathlib import Path
from config.loading.loader import survey
from proxy.tls.tokens.openssl_setup import prepare_openssl
from proxy.tls.openssl import key_store
prepare_openssl(survey(Path({path!r})).loaded)
key_store._library().UI_null = lambda: None  # as OpenSSL does it where it decides by itself
print(key_store.count_keys({uri!r}))
"""


def tokens_of(site: HsmSite) -> str:
    return site.tokens(site.hsm.add_token("plexi"))


def providers_of(path: Path, site: HsmSite) -> str:
    code = (
        "import sys; from pathlib import Path; from config.loading.loader import survey; from proxy.tls.tokens.openssl_setup import "
        "prepare_openssl; print(prepare_openssl(survey(Path(sys.argv[1])).loaded).providers)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, **site.hsm.environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout
