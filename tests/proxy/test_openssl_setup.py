"""OpenSSL before its first context: the configured providers, from where they are."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.loader import load
from proxy.openssl_setup import prepare_openssl
from tests.configurations import Site


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
                "import sys; from pathlib import Path; from config.loader import load; from proxy.openssl_setup import "
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

    def test_nothing_is_written_to_disk(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded = load(site.write(site.minimal))
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        monkeypatch.setattr("tempfile.gettempdir", lambda: pytest.fail("a locked-down service has no such place"))
        assert prepare_openssl(loaded).missing_providers == ()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
