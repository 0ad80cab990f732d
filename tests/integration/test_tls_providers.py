"""Providers that the configuration names, and the groups of oqs-provider, for real wherever it is installed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.configurations import listener, process
from tests.integration.gateway import Gateway, Said, Trust, events, gateway
from tests.integration.stage import workers_of
from tests.integration.upstreams import ScriptedServer
from tests.listing_provider import GROUPS, NAME, build_listing_provider
from tests.programs import PLEXIGATE, plexigate_listeners, program

OQS = "oqsprovider"
_LIST = """
import json, sys
from pathlib import Path
from proxy.tls.openssl.configuration import ProviderModule, openssl_configuration
from proxy.tls.openssl import capabilities
from proxy.tls.openssl import libssl
from proxy.tls.wire.groups import KNOWN
Path(sys.argv[1]).write_text(openssl_configuration([ProviderModule("oqsprovider")]))
libssl.load_configuration(Path(sys.argv[1]))
found = set(capabilities.survey(("oqsprovider",)).groups.values()) - set(KNOWN.values())
print(json.dumps(sorted((group.name, group.code_point, group.kind) for group in found)))
"""


def providers(*names: str) -> str:
    return f"[openssl]\nproviders = {json.dumps(names)}\n"


def test_named_provider_is_loaded_and_reported(trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
    """`legacy` comes with every OpenSSL, and nothing loads it that was not asked to."""
    with gateway(tmp_path, trust, echo_server, listener("standard") + providers("legacy")) as running:
        assert "legacy.so" in Path(f"/proc/{workers_of(running.program.pid)[0]}/maps").read_text()
        assert running.s_client("-groups", "X25519MLKEM768").is_established
    (ready,) = events(running.program.output, "ready")
    assert ready["providers"] == ["default", "legacy"]


def test_module_path_may_name_another_place(trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
    said = subprocess.run(["openssl", "version", "-m"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "renamed.so").symlink_to(Path(said.split('"')[1]) / "legacy.so")
    text = listener("standard") + '[openssl]\nproviders = ["renamed"]\nmodule_path = "modules"\n'
    with gateway(tmp_path, trust, echo_server, text) as running:
        assert running.s_client("-groups", "X25519MLKEM768").is_established
    (ready,) = events(running.program.output, "ready")
    assert ready["providers"] == ["default", "renamed"]


def test_groups_that_no_client_can_be_offered_are_left_out_and_named(
    trust: Trust, echo_server: ScriptedServer, tmp_path: Path
) -> None:
    """As those of BIKE, which any liboqs as it is built by default brings."""
    build_listing_provider(tmp_path)
    text = listener("standard") + f'[openssl]\nproviders = ["{NAME}"]\nmodule_path = "{tmp_path}"\n'
    with gateway(tmp_path, trust, echo_server, text) as running:
        assert running.s_client("-groups", "X25519MLKEM768").is_established
        checked = subprocess.run(
            [PLEXIGATE, "check", "--json", str(next(tmp_path.glob("gateway-*.toml")))],
            capture_output=True,
            check=True,
            timeout=30,
        )
    warnings = [one["found"] for one in json.loads(checked.stdout)["problems"] if one["key"] == "openssl.providers"]
    assert [found.rpartition(": ")[2] for found in warnings] == [", ".join(GROUPS)]
    (warning,) = [one for one in running.program.output if "bikel1" in one]
    assert json.loads(warning)["event"] == "warning"


# -- oqs-provider


def is_installed() -> bool:
    """Whether OpenSSL finds the module where it looks for modules."""
    command = ["openssl", "list", "-providers", "-provider", OQS]
    return OQS in subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


@dataclass(frozen=True, slots=True)
class Groups:
    """What the provider has that OpenSSL lacks, by kind."""

    hybrid: tuple[str, ...]
    post_quantum: tuple[str, ...]


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Groups:
    if not is_installed():
        pytest.skip(f"{OQS} not installed, so its groups were NOT tried: build it as docs/tls.md says")
    path = tmp_path_factory.mktemp("oqs") / "openssl.cnf"
    done = subprocess.run(
        [sys.executable, "-c", _LIST, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    return Groups(
        tuple(name for name, _, kind in found if kind == "hybrid"),
        tuple(name for name, _, kind in found if kind == "post_quantum"),
    )


@pytest.fixture(scope="module")
def oqs(
    groups: Groups, trust: Trust, echo_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A proxy that offers everything that the provider has."""
    listeners = (
        listener("standard", groups=[[*groups.hybrid], ["X25519MLKEM768"], ["X25519"]])
        + listener("pure", groups=[[*groups.hybrid, *groups.post_quantum]], pq="require")
        + providers(OQS)
    )
    # some of its groups are slow, and the same client asks for all of them
    rate = {"slow_groups_rate": 1_000.0, "slow_groups_burst": 1_000}
    with gateway(tmp_path_factory.mktemp("gateway"), trust, echo_server, listeners, rate) as running:
        yield running


def s_client(running: Gateway, *arguments: str, on: str = "standard") -> Said:
    return running.s_client("-provider", OQS, "-provider", "default", *arguments, on=on)


def test_oqs_is_reported_with_its_groups(oqs: Gateway, groups: Groups) -> None:
    (ready,) = events(oqs.program.output, "ready")
    assert ready["providers"] == ["default", OQS]
    assert ready["offers"]["standard"]["groups"] == f"{':'.join(groups.hybrid)} / X25519MLKEM768 / X25519"


def test_oqs_hybrid_is_negotiated_and_counts_as_one(oqs: Gateway, groups: Groups) -> None:
    for group in groups.hybrid:
        said = s_client(oqs, "-groups", group)
        assert said.group == group
        assert said.is_established
    said = s_client(oqs, "-groups", groups.hybrid[0], on="pure")
    assert said.is_established


def test_oqs_hybrid_is_reached_by_a_retry(oqs: Gateway, groups: Groups) -> None:
    said = s_client(oqs, "-groups", f"{groups.hybrid[-1]}:*X25519")
    assert said.group == groups.hybrid[-1]
    assert said.server_hellos == 2


def test_oqs_pure_group_satisfies_a_listener_that_requires_pq(oqs: Gateway, groups: Groups) -> None:
    for group in groups.post_quantum:
        assert s_client(oqs, "-groups", group, on="pure").group == group
    assert s_client(oqs, "-groups", "X25519", on="pure").alert == 40


def test_oqs_client_without_it_still_gets_ours(oqs: Gateway) -> None:
    assert oqs.s_client("-groups", "X25519MLKEM768:X25519").group == "X25519MLKEM768"
    assert oqs.s_client("-groups", "X25519").group == "x25519"


def test_oqs_group_is_unknown_without_the_provider(groups: Groups, trust: Trust, tmp_path: Path) -> None:
    path = tmp_path / "without.toml"
    path.write_text(
        process(path.with_suffix(".sock")) + listener("standard", groups=[*groups.hybrid]) + trust.identities()
    )
    done = subprocess.run([PLEXIGATE, "check", str(path)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"there is no key exchange group '{groups.hybrid[0]}'" in " ".join(done.stdout.split())


def test_oqs_is_not_needed_by_other_listeners(trust: Trust, tmp_path: Path, groups: Groups) -> None:
    """It is only loaded where it is named."""
    del groups
    path = tmp_path / "plain.toml"
    path.write_text(process(path.with_suffix(".sock")) + listener("standard") + trust.identities())
    with program([PLEXIGATE, "run", str(path)], plexigate_listeners) as running:
        assert OQS not in Path(f"/proc/{workers_of(running.pid)[0]}/maps").read_text()


# -- the FIPS provider


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The FIPS provider with what `openssl fipsinstall` writes, as an operator makes it."""
    said = subprocess.run(["openssl", "version", "-m"], capture_output=True, text=True, check=True).stdout
    module = Path(said.split('"')[1]) / "fips.so"
    if not module.exists():
        pytest.skip("apt-get install openssl-provider-fips (./dev test does)")
    directory = tmp_path_factory.mktemp("fips")
    (directory / "fips.so").symlink_to(module)
    command = ["openssl", "fipsinstall", "-module", str(module), "-out", str(directory / "fipsmodule.cnf"), "-quiet"]
    subprocess.run(command, check=True, timeout=60)
    return directory


def fips(directory: Path) -> str:
    return f'[openssl]\nproviders = ["fips"]\nmodule_path = "{directory}"\n'


@pytest.fixture(scope="module")
def approved(
    modules: Path, trust: Trust, echo_server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A proxy whose TLS is in the FIPS provider."""
    listeners = (
        listener("high", level="high")
        + listener("strict", level="quantum-safe", weaker_signatures=True)
        + fips(modules)
    )
    with gateway(tmp_path_factory.mktemp("gateway"), trust, echo_server, listeners) as running:
        yield running


def test_fips_provider_does_hybrid_handshakes(approved: Gateway) -> None:
    (ready,) = events(approved.program.output, "ready")
    assert ready["providers"] == ["default", "fips"]
    assert "fips.so" in Path(f"/proc/{workers_of(approved.program.pid)[0]}/maps").read_text()
    for group, on in (
        ("X25519MLKEM768", "high"),
        ("SecP256r1MLKEM768", "high"),
        ("secp384r1", "high"),
        ("SecP384r1MLKEM1024", "strict"),
        ("MLKEM1024", "strict"),
    ):
        said = approved.s_client("-groups", group, on=on)
        assert said.is_established, group
        assert said.group is not None
        assert said.group.lower() == group.lower()


def test_fips_provider_resumes_and_refuses_what_is_not_approved(approved: Gateway) -> None:
    assert approved.s_client("-groups", "X25519", on="high").alert == 40
    assert approved.s_client("-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", on="high").alert == 40
    assert approved.s_client("-ciphersuites", "TLS_AES_256_GCM_SHA384", on="high").is_established


def checked(trust: Trust, path: Path, text: str) -> list[dict[str, str]]:
    path.write_text(process(path.with_suffix(".sock")) + text + trust.identities())
    done = subprocess.run([PLEXIGATE, "check", "--json", str(path)], capture_output=True, timeout=60, check=False)
    found: list[dict[str, str]] = [
        one for one in json.loads(done.stdout)["problems"] if one["severity"] == "error" or "openssl" in one["key"]
    ]
    return found


def test_check_says_what_the_fips_provider_lacks(trust: Trust, modules: Path, tmp_path: Path) -> None:
    problems = checked(trust, tmp_path / "standard.toml", listener("standard") + fips(modules))
    (error,) = [one for one in problems if one["severity"] == "error"]
    assert "there is no key exchange group 'X25519'" in error["found"]
    assert 'level = "high"' in error["allowed"]
    (warning,) = [one for one in problems if one["key"].startswith("openssl.providers")]
    assert "no X25519 of its own, no X448 and no ChaCha20-Poly1305" in warning["found"]


def test_check_says_how_the_fips_provider_is_installed(trust: Trust, modules: Path, tmp_path: Path) -> None:
    text = listener("high", level="high")
    (tmp_path / "fips.so").symlink_to((modules / "fips.so").resolve())
    (missing,) = checked(trust, tmp_path / "one.toml", text + fips(tmp_path))
    assert f"{tmp_path}/fipsmodule.cnf is missing" in missing["found"]
    assert f"openssl fipsinstall -module {tmp_path}/fips.so -out {tmp_path}/fipsmodule.cnf" in missing["allowed"]
    mac = (modules / "fipsmodule.cnf").read_text().replace("module-mac = ", "module-mac = 00:")
    (tmp_path / "fipsmodule.cnf").write_text(mac)
    (other,) = checked(trust, tmp_path / "one.toml", text + fips(tmp_path))
    assert "is of another build of it" in other["found"]
    (tmp_path / "empty").mkdir()
    (absent,) = checked(trust, tmp_path / "one.toml", text + fips(tmp_path / "empty"))
    assert "the package openssl-provider-fips" in absent["allowed"]
