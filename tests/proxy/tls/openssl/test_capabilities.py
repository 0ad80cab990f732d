"""What this OpenSSL can do, found out and not assumed."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from config.schema import PqPolicy, SecurityLevel
from proxy.tls.handshake.group_choice import group_preference
from proxy.tls.openssl import capabilities
from proxy.tls.openssl.capabilities import survey
from proxy.tls.openssl.configuration import ProviderModule, openssl_configuration
from proxy.tls.wire.groups import KNOWN, GroupKind
from tests.listing_provider import GROUPS, NAME, build_listing_provider


class TestSurvey:
    def test_version_library_and_providers_are_those_of_this_process(self) -> None:
        found = survey(())
        assert ssl.OPENSSL_VERSION.startswith(f"OpenSSL {found.version} ")
        assert Path(found.libssl).name.startswith("libssl")
        assert found.providers == ("default",)
        assert found.missing_providers == ()
        assert found.has_group_tuples

    def test_missing_provider_is_told_from_those_that_are_there(self) -> None:
        found = survey(("nonsense",))
        assert found.providers == ("default",)
        assert found.missing_providers == ("nonsense",)

    def test_every_group_is_there_under_all_of_its_names_with_its_code_point(self) -> None:
        groups = survey(()).groups
        assert all(name == name.lower() for name in groups)
        assert groups["x25519mlkem768"] is KNOWN["x25519mlkem768"]
        assert groups["p-256"] is groups["secp256r1"] is groups["prime256v1"]
        for name, group in groups.items():
            assert capabilities._code_point(name) == group.code_point

    @pytest.mark.parametrize("level", list(SecurityLevel))
    def test_all_levels_can_be_served(self, level: SecurityLevel) -> None:
        assert group_preference(level, PqPolicy.PREFER, None, survey(()).groups).by_code_point

    def test_alias_of_a_group_that_is_not_there_is_not_there_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proxy.tls.openssl.libssl.implemented_groups", lambda _: ("x25519", "X25519MLKEM768"))
        assert set(survey(()).groups) == {"x25519", "x25519mlkem768"}

    def test_group_that_we_do_not_know_is_sorted_by_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As groups of a provider are. X25519MLKEM768 under the name of another hybrid says its number itself."""
        monkeypatch.setattr("proxy.tls.openssl.capabilities.KNOWN", {})
        groups = survey(()).groups
        assert groups["x25519mlkem768"].kind is GroupKind.HYBRID
        assert groups["mlkem1024"].kind is GroupKind.POST_QUANTUM
        assert groups["secp384r1"].kind is GroupKind.CLASSICAL
        assert {name: group.code_point for name, group in groups.items()} == {
            name: KNOWN[name].code_point for name in groups
        }

    def test_older_openssl_has_no_tuples(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ssl, "OPENSSL_VERSION_INFO", (3, 4, 0, 2, 0))
        assert not survey(()).has_group_tuples


def test_provider_is_loaded_by_the_configuration_that_we_write(tmp_path: Path) -> None:
    """With the one module that every OpenSSL brings, from where OpenSSL looks for it."""
    path = tmp_path / "openssl.cnf"
    path.write_text(openssl_configuration([ProviderModule("legacy")]))
    code = f"""
from pathlib import Path
from proxy.tls.openssl import capabilities
from proxy.tls.openssl import libssl
libssl.load_configuration(Path({str(path)!r}))
print(capabilities.survey(("legacy",)).providers)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "('default', 'legacy')\n"


def test_group_with_which_no_hello_can_be_made_is_left_out_and_named(tmp_path: Path) -> None:
    """In a process of its own, as the provider stays loaded. The groups of OpenSSL itself are as usual."""
    path = tmp_path / "openssl.cnf"
    path.write_text(openssl_configuration([ProviderModule(NAME, str(build_listing_provider(tmp_path)))]))
    code = f"""
from pathlib import Path
from proxy.tls.openssl import capabilities
from proxy.tls.openssl import libssl
libssl.load_configuration(Path({str(path)!r}))
found = capabilities.survey(("{NAME}",))
print(found.providers, found.unusable_groups, sorted(found.groups))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"{('default', NAME)} {GROUPS} {sorted(survey(()).groups)}\n"
